/** What a benchmark says, for people: columns for a terminal, and a page that needs nothing else, with tables and charts. */

export const escaped = (text: string): string => text.replace(/[&<>"]/g, sign => `&#${sign.charCodeAt(0)};`)

/** `left`: columns that begin at the left; the others end at the right. */
export function columns(lines: readonly (readonly string[])[], left: readonly number[]): string[] {
  const widths = (lines[0] ?? []).map((_, column) => Math.max(...lines.map(line => (line[column] ?? '').length)))
  return lines.map(line =>
    line
      .map((cell, column) => {
        const width = widths[column] as number
        return left.includes(column) ? cell.padEnd(width) : cell.padStart(width)
      })
      .join('  ')
      .trimEnd()
  )
}

const tableRow = (tag: string, texts: readonly string[]): string =>
  `<tr>${texts.map(text => `<${tag}>${escaped(text)}</${tag}>`).join('')}</tr>`

/** The first line is the heading. */
export function htmlTable([heading = [], ...lines]: readonly (readonly string[])[]): string {
  return `<table><thead>${tableRow('th', heading)}</thead><tbody>
${lines.map(line => tableRow('td', line)).join('\n')}
</tbody></table>`
}

export function legend(names: readonly { readonly name: string; readonly colour: string }[]): string {
  const signs = names.map(({ name, colour }) => `<span><i style="background:${colour}"></i>${escaped(name)}</span>`)
  return `<p>${signs.join('')}</p>`
}

/** @param body HTML */
export function page(title: string, setting: string, body: string): string {
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title>
<style>
body{font:14px/1.5 system-ui,sans-serif;max-width:1280px;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:12px}
th,td{padding:.3em .7em;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}
th:first-child,td:first-child,th:last-child,td:last-child{text-align:left}
svg{max-width:920px;width:100%;font-size:11px}
span{margin-right:1.5em}i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
</style>
<h1>${escaped(title)}</h1>
<p>${escaped(setting)}</p>
${body}
</html>
`
}

export interface Line {
  readonly name: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

const lineColours = ['#b4552d', '#4d7298', '#5b8c5a', '#8a6bb1', '#b59b2c', '#777777']
const [left, top, width, height] = [80, 14, 640, 260]

/** Powers of ten that hold all values: both are there, and at least one decade lies between them. */
function decades(values: readonly number[]): readonly [number, number] {
  const from = Math.floor(Math.log10(Math.min(...values)))
  return [from, Math.max(from + 1, Math.ceil(Math.log10(Math.max(...values))))]
}

/** Lines with points, both scales logarithmic, with their legend. Values below or equal 0 are left out; without values: nothing. */
export function lineChart(all: readonly Line[], xName: string, yName: string, show: (y: number) => string): string {
  const lines = all.map(({ name, points }) => ({ name, points: points.filter(({ x, y }) => x > 0 && y > 0) }))
  const points = lines.flatMap(each => each.points)
  if (points.length === 0) return ''
  const [x0, x1] = decades(points.map(({ x }) => x))
  const [y0, y1] = decades(points.map(({ y }) => y))
  const xOf = (value: number): string => (left + ((Math.log10(value) - x0) / (x1 - x0)) * width).toFixed(1)
  const yOf = (value: number): string => (top + ((y1 - Math.log10(value)) / (y1 - y0)) * height).toFixed(1)
  const tens = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => 10 ** (from + i))
  const grid = [
    ...tens(x0, x1).map(
      x =>
        `<line x1="${xOf(x)}" x2="${xOf(x)}" y1="${top}" y2="${top + height}" stroke="#ddd"/><text x="${xOf(x)}" y="${top + height + 16}" text-anchor="middle">${x.toLocaleString('en-US')}</text>`
    ),
    ...tens(y0, y1).map(
      y =>
        `<line x1="${left}" x2="${left + width}" y1="${yOf(y)}" y2="${yOf(y)}" stroke="#ddd"/><text x="${left - 8}" y="${Number(yOf(y)) + 4}" text-anchor="end">${escaped(show(y))}</text>`
    )
  ]
  const drawn = lines.map(({ name, points }, i) => {
    const colour = lineColours[i % lineColours.length] as string
    const path = points.map(({ x, y }) => `${xOf(x)},${yOf(y)}`).join(' ')
    const dots = points.map(
      ({ x, y }) =>
        `<circle cx="${xOf(x)}" cy="${yOf(y)}" r="3.5" fill="${colour}"><title>${escaped(`${name}; ${xName} ${x.toLocaleString('en-US')}: ${show(y)}`)}</title></circle>`
    )
    return `<polyline points="${path}" fill="none" stroke="${colour}"/>${dots.join('')}`
  })
  const names = lines.map(({ name }, i) => ({ name, colour: lineColours[i % lineColours.length] as string }))
  return `${legend(names)}
<svg viewBox="0 0 ${left + width + 40} ${top + height + 40}" role="img" aria-label="${escaped(`${yName} against ${xName}`)}">${[...grid, ...drawn].join('')}<text x="${left + width / 2}" y="${top + height + 34}" text-anchor="middle">${escaped(xName)}</text></svg>`
}
