/** Reads a page of metrics as Prometheus does, by a small parser of its own. */

export interface Scraped {
  /** By name, without the suffixes of histograms. */
  readonly types: ReadonlyMap<string, string>
  /** The sum of all series of that name whose labels are those given; undefined: there is none. */
  value(name: string, labels?: Readonly<Record<string, string>>): number | undefined
  /** By series name. */
  readonly labels: ReadonlyMap<string, ReadonlySet<string>>
}

const line = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/
const pair = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"(?:,|$)/g

export function parseMetrics(text: string): Scraped {
  const types = new Map<string, string>()
  const labels = new Map<string, Set<string>>()
  const series: { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number }[] = []
  for (const each of text.split('\n')) {
    const [, typed, type] = /^# TYPE (\S+) (\S+)$/.exec(each) ?? []
    if (typed !== undefined && type !== undefined) types.set(typed, type)
    if (each === '' || each.startsWith('#')) continue
    const [, name, inner = '', value] = line.exec(each) ?? []
    if (name === undefined) throw new Error(`no line of metrics: ${each}`)
    const own = new Map([...inner.matchAll(pair)].map(([, label, given]) => [label as string, given as string]))
    series.push({ name, labels: own, value: value === '+Inf' ? Infinity : Number(value) })
    labels.set(name, new Set([...(labels.get(name) ?? []), ...own.keys()]))
  }
  return {
    types,
    labels,
    value(name, wanted = {}) {
      const found = series.filter(
        each => each.name === name && Object.entries(wanted).every(([label, value]) => each.labels.get(label) === value)
      )
      return found.length === 0 ? undefined : found.reduce((sum, { value }) => sum + value, 0)
    }
  }
}

export async function get(
  url: string,
  init: RequestInit = {}
): Promise<{ readonly status: number; readonly text: string }> {
  const response = await fetch(url, init)
  return { status: response.status, text: await response.text() }
}

/** Scrapes until it is so. */
export async function scrapeUntil(url: string, test: (page: Scraped) => boolean): Promise<Scraped> {
  for (;;) {
    const page = parseMetrics((await get(`${url}/metrics`)).text)
    if (test(page)) return page
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}
