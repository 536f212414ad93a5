/** Packages with a native addon are optional: one is loaded when a job first needs it, and says how it is had where it is not there. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CodedError } from '../kernel/errors.ts'

export interface AddonPackage<T> {
  readonly name: string
  /** An environment variable that names another package or folder to load instead. */
  readonly variable: string
  /** The folder below `.cache/services` where `npm run services -- install` puts it in a clone. */
  readonly cache: string
  /** What it exports if it is the right one. */
  readonly exported: keyof T
  /** Who needs it: the subject of the error's sentence. */
  readonly who: string
  readonly remedy: string
}

/** Throws PACKAGE_MISSING, which says what was tried. */
export function loadAddon<T>(
  { name, variable, cache, exported, who, remedy }: AddonPackage<T>,
  load: (name: string) => unknown = createRequire(import.meta.url)
): T {
  const named = process.env[variable]
  const places = named === undefined || named === '' ? [name, installedPlace(cache, name)] : [named]
  const tried: string[] = []
  for (const place of places) {
    if (place === undefined) continue
    try {
      const found = load(place) as Partial<T>
      if (found[exported] !== undefined) return found as T
      tried.push(`${place}: it is another package`)
    } catch (error) {
      const [sentence] = (error instanceof Error ? error.message : String(error)).split('\n')
      tried.push(`${place}: ${sentence}`)
    }
  }
  throw new CodedError(
    'PACKAGE_MISSING',
    `${who} needs the package "${name}", which cannot be loaded (${tried.join('; ')})`,
    { remedy }
  )
}

function installedPlace(cache: string, name: string): string | undefined {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    if (dirname(folder) === folder) return undefined
    folder = dirname(folder)
  }
  const place = join(folder, '.cache', 'services', cache, 'node_modules', name)
  return existsSync(place) ? place : undefined
}
