/**
 * A copy of the build with textual patches: how a rule is taken out of the code in order to see that its absence is noticed. The
 * code itself knows nothing of this.
 */
import { createHash } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

export interface Patch {
  /** Compiled file, below the build's root: `checkpoint/coordinator.js`. */
  readonly file: string
  /** Must occur exactly once: as it stands, or else with any white space for its own. */
  readonly find: string
  readonly replace: string
}

export interface PatchedBuild {
  readonly folder: string
  /** A module of the copy, by its compiled path. */
  readonly load: (file: string) => Promise<unknown>
  readonly remove: () => void
}

const rooms = ['actors', 'checkpoint', 'runtime', 'deploy', 'simulations']

const literally = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Throws when a patch does not fit: the code has moved, and the patch must follow it. */
export function patchedBuild(patches: readonly Patch[]): PatchedBuild {
  const dist = dirname(dirname(fileURLToPath(import.meta.url)))
  const texts = new Map<string, string>()
  for (const { file, find, replace } of patches) {
    const text = texts.get(file) ?? readFileSync(join(dist, file), 'utf8')
    const wanted = text.includes(find)
      ? new RegExp(literally(find), 'g')
      : new RegExp(find.split(/\s+/).map(literally).join('\\s+'), 'g')
    const places = text.match(wanted)?.length ?? 0
    if (places !== 1) throw new Error(`the patch of ${file} fits ${places} places, not one: ${find}`)
    texts.set(
      file,
      text.replace(wanted, () => replace)
    )
  }
  const id = createHash('sha256').update(JSON.stringify(patches)).digest('hex').slice(0, 16)
  // Below the project, so that packages are found; per process, so that two runs do not meet.
  const folder = join(projectOf(dist), '.cache', 'patched', `${id}-${process.pid}`)
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const room of rooms) linkAll(dist, folder, room)
  for (const [file, text] of texts) {
    writeFileSync(join(folder, `${file}.patched`), text)
    renameSync(join(folder, `${file}.patched`), join(folder, file))
  }
  return {
    folder,
    load: file => import(pathToFileURL(join(folder, file)).href),
    remove: () => rmSync(folder, { recursive: true, force: true })
  }
}

function linkAll(from: string, to: string, path: string): void {
  if (!existsSync(join(from, path))) return
  mkdirSync(join(to, path), { recursive: true })
  for (const entry of readdirSync(join(from, path), { withFileTypes: true })) {
    const inner = join(path, entry.name)
    if (entry.isDirectory()) linkAll(from, to, inner)
    else if (!/\.(d\.ts|map)$/.test(inner)) linkSync(join(from, inner), join(to, inner))
  }
}

function projectOf(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : projectOf(dirname(folder))
}
