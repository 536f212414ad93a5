/** A copy of the build in which a mistake is planted. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Mistake } from './mistakes.ts'

const build = fileURLToPath(new URL('../../', import.meta.url))
/** Inside the project, so that packages are found. */
const cache = join(dirname(build.replace(/\/$/, '')), '.cache', 'planted-bugs')
const rooms = ['actors', 'checkpoint', 'runtime', 'simulations', 'deploy']

export interface PatchedBuild {
  readonly folder: string
  remove(): void
}

/** Throws when a text to be changed does not stand there exactly once. */
export function patchedBuild(mistake: Mistake, name: string): PatchedBuild {
  const folder = join(cache, name)
  rmSync(folder, { recursive: true, force: true })
  for (const room of rooms) copy(join(build, room), join(folder, room))
  for (const [file, find, replace] of mistake.changes) {
    const path = join(folder, file)
    const text = readFileSync(path, 'utf8')
    const wanted = new RegExp(find.split(/\s+/).map(escape).join('\\s+'), 'g')
    const found = text.match(wanted)?.length ?? 0
    if (found !== 1) throw new Error(`"${mistake.name}": ${file} holds ${JSON.stringify(find)} ${found} times`)
    writeFileSync(
      path,
      text.replace(wanted, () => replace)
    )
  }
  return { folder, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function copy(from: string, to: string): void {
  mkdirSync(to, { recursive: true })
  for (const name of readdirSync(from)) {
    const [source, target] = [join(from, name), join(to, name)]
    if (statSync(source).isDirectory()) copy(source, target)
    else if (name.endsWith('.js')) copyFileSync(source, target)
  }
}
