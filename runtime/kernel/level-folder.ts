/** Checks the files of a LevelDB before LevelDB opens them: it ends the process on some that are damaged. Costs one reading of all. */
import { CodedError } from './errors.ts'
import { liveFiles, verifyLogs, verifyTable } from './level-format.ts'

export interface LevelFolder {
  /** Undefined when it is not there. */
  readonly read: (name: string) => Promise<Uint8Array | undefined>
  /** Names there; absent: logs are left to LevelDB, which skips what is damaged in them. */
  readonly names?: () => Promise<readonly string[]>
  /** Has each of these tables checked, by itself or some other way that finds as much. Default: one after the other. */
  readonly checkAll?: (tables: readonly string[], check: (table: string) => Promise<void>) => Promise<void>
}

async function oneByOne(tables: readonly string[], check: (table: string) => Promise<void>): Promise<void> {
  for (const table of tables) await check(table)
}

/** Throws CORRUPT naming the file. What is missing is left for LevelDB to say, and so is a folder that is in use. */
export async function checkLevelFolder(
  folder: string,
  { read, names, checkAll = oneByOne }: LevelFolder
): Promise<void> {
  const current = await read('CURRENT')
  if (current === undefined) return
  const name = new TextDecoder().decode(current).trim()
  if (!/^MANIFEST-\d+$/.test(name)) throw new CodedError('CORRUPT', `"${folder}/CURRENT" names no manifest`)
  const manifest = await read(name)
  if (manifest === undefined) return
  const { tables, firstLog, lastSequence } = named(`${folder}/${name}`, () => liveFiles(manifest))
  const paths = Array.from(tables, number => `${String(number).padStart(6, '0')}.ldb`)
  const check = async (path: string): Promise<void> => {
    const table = await read(path)
    if (table !== undefined) named(`${folder}/${path}`, () => verifyTable(table))
  }
  await checkAll(paths, check)
  if (names === undefined) return
  const logs: Uint8Array[] = []
  for (const each of [...(await names())].sort())
    if (/^\d+\.log$/.test(each) && parseInt(each) >= firstLog) logs.push((await read(each)) ?? new Uint8Array())
  named(`${folder}/*.log`, () => verifyLogs(logs, lastSequence))
}

function named<T>(path: string, check: () => T): T {
  try {
    return check()
  } catch (cause) {
    throw new CodedError('CORRUPT', `"${path}" is damaged: ${(cause as Error).message}`, { cause })
  }
}
