/** A state store on LevelDB, which does not verify what it reads: every table and log is read and checked before it is opened. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { checkLevelFolder } from '../../runtime/kernel/level-folder.ts'
import { loadNativeCrc32c } from '../../runtime/packages/native-crc32c.ts'
import { LsmStore, type LsmEngine } from './lsm-store.ts'

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
    const read = async (name: string): Promise<Uint8Array | undefined> => {
      try {
        return await readFile(join(folder, name))
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    }
    loadNativeCrc32c()
    await checkLevelFolder(folder, { read, names: () => readdir(folder) })
  }
}

export const LevelStore = {
  /** With what is there, unless it is damaged. In use by another process: another folder, for this time. Throws STORAGE_FAILED. */
  open: (folder: string): Promise<LsmStore> => LsmStore.open(engine, folder),
  /** An empty store in the folder, whatever was there. Throws STORAGE_FAILED. */
  create: (folder: string): Promise<LsmStore> => LsmStore.create(engine, folder)
}
