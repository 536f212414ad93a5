/** Checks LevelDB's tables before LevelDB opens them: it ends the process on some that are damaged. Costs one reading of the log. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CodedError } from '../../kernel/errors.ts'
import { liveTables, verifyTable } from '../../kernel/level-format.ts'

/** Throws CORRUPT naming the file. What is missing is left for LevelDB to say, and so is a folder that is in use. */
export async function checkLevelFolder(folder: string): Promise<void> {
  const current = await readIfThere(join(folder, 'CURRENT'))
  if (current === undefined) return
  const name = new TextDecoder().decode(current).trim()
  if (!/^MANIFEST-\d+$/.test(name)) throw new CodedError('CORRUPT', `"${join(folder, 'CURRENT')}" names no manifest`)
  const manifest = await readIfThere(join(folder, name))
  if (manifest === undefined) return
  const tables = named(join(folder, name), () => liveTables(manifest))
  for (const number of tables) {
    const path = join(folder, `${String(number).padStart(6, '0')}.ldb`)
    const table = await readIfThere(path)
    if (table !== undefined) named(path, () => verifyTable(table))
  }
}

function named<T>(path: string, check: () => T): T {
  try {
    return check()
  } catch (cause) {
    throw new CodedError('CORRUPT', `"${path}" is damaged: ${(cause as Error).message}`, { cause })
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CodedError('STORAGE_FAILED', `"${path}" cannot be read`, { cause })
  }
}
