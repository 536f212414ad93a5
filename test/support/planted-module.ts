/** Loads built modules with a mistake planted into their text; everything else stays what it is. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

export interface Planted {
  /** Built files, from the root of the build; each may import those before it. The last one is loaded. */
  readonly files: readonly string[]
  /** File, what stands there (exactly once), what stands there instead. */
  readonly changes: readonly (readonly [file: string, from: string | RegExp, to: string])[]
}

const root = new URL('../../', import.meta.url)

export async function plantedModule({ files, changes }: Planted): Promise<Record<string, unknown>> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-planted-'))
  const made = new Map<string, string>()
  let last = ''
  for (const file of files) {
    const url = new URL(file, root)
    let text = readFileSync(url, 'utf8').replace(/\n\/\/# sourceMappingURL.*/, '')
    for (const [where, from, to] of changes) {
      if (where !== file) continue
      const found = typeof from === 'string' ? text.split(from).length - 1 : (text.match(from) ?? []).length
      if (found !== 1) throw new Error(`${file} holds ${String(from)} ${found} times`)
      text = text.replace(from, () => to)
    }
    text = text.replace(/(from ["'])(\.[^"']+)(["'])/g, (_, before: string, target: string, after: string) => {
      const { href } = new URL(target, url)
      return `${before}${made.get(href) ?? href}${after}`
    })
    const path = join(folder, `${made.size}.mjs`)
    writeFileSync(path, text)
    last = pathToFileURL(path).href
    made.set(url.href, last)
  }
  const loaded = (await import(last)) as Record<string, unknown>
  rmSync(folder, { recursive: true })
  return loaded
}
