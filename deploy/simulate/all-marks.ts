/** Every branch that exists for a fault, by its mark, as the build has them. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const build = new URL('../../', import.meta.url)

/** Of the rooms that run in production. */
export function allMarks(): string[] {
  const marks = new Set<string>()
  for (const room of ['runtime', 'checkpoint'])
    for (const text of texts(new URL(`${room}/`, build)))
      for (const [, mark] of text.matchAll(/\breached\(['"`]([^'"`]+)['"`]\)/g)) if (mark !== undefined) marks.add(mark)
  return [...marks].sort()
}

function* texts(folder: URL): Generator<string> {
  for (const entry of readdirSync(fileURLToPath(folder), { withFileTypes: true }))
    if (entry.isDirectory()) yield* texts(new URL(`${entry.name}/`, folder))
    else if (entry.name.endsWith('.js')) yield readFileSync(new URL(entry.name, folder), 'utf8')
}
