/** A state store on LevelDB, which does not verify what it reads: every table and log is read and checked before it is opened. */
import { open, readdir, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { unfilledBytes } from '../../runtime/kernel/bytes.ts'
import { checkLevelFolder } from '../../runtime/kernel/level-folder.ts'
import { loadNativeCrc32c } from '../../runtime/packages/native-crc32c.ts'
import { LsmStore, type LsmEngine } from './lsm-store.ts'
import { checkTables } from './table-check.ts'

/** What `level` is in Node, which its types do not say. */
const classic = Level as unknown as { destroy(folder: string): Promise<void> }
const views = { keyEncoding: 'view', valueEncoding: 'view' } as const

const engine: LsmEngine = {
  name: 'level',
  batchWrites: 500,
  async open(folder) {
    const db = new Level<Uint8Array, Uint8Array>(folder, { ...views, writeBufferSize: 16 * 1024 * 1024 })
    await db.open()
    return db
  },
  destroy: folder => classic.destroy(folder),
  async check(folder) {
    loadNativeCrc32c()
    await checkLevelFolder(folder, {
      read: name => wholeFile(join(folder, name)),
      names: () => readdir(folder),
      checkAll: (tables, check) => checkTables(folder, tables, check)
    })
  }
}

/** In one piece: `readFile` takes half a megabyte at a time. Undefined when it is not there. */
async function wholeFile(path: string): Promise<Uint8Array | undefined> {
  let file: FileHandle
  try {
    file = await open(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { size } = await file.stat()
    const bytes = unfilledBytes(size)
    const { bytesRead } = await file.read(bytes, 0, size, 0)
    return bytes.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

export const LevelStore = {
  /** With what is there, unless it is damaged. In use by another process: another folder, for this time. Throws STORAGE_FAILED. */
  open: (folder: string): Promise<LsmStore> => LsmStore.open(engine, folder),
  /** An empty store in the folder, whatever was there. Throws STORAGE_FAILED. */
  create: (folder: string): Promise<LsmStore> => LsmStore.create(engine, folder)
}
