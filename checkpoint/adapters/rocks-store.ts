/**
 * A state store on RocksDB, which verifies each block that it reads: only its logs and its manifest are checked before it is opened, so
 * that a start does not read the whole store.
 *
 * Its driver reads many keys on a thread, but cannot tell of a damaged block from there: that is an uncaught exception, which ends the
 * process. The store notes it in its folder on the way out, so that the next process begins with an empty one.
 */
import { existsSync, writeFileSync } from 'node:fs'
import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { verifyLogs, verifyWhole } from '../../runtime/kernel/level-format.ts'
import { reached } from '../../runtime/kernel/marks.ts'
import { loadNativeCrc32c } from '../../runtime/packages/native-crc32c.ts'
import { loadRocks, type RocksLevel } from './load-rocks.ts'
import { isLocked, LsmStore, type LsmBatch, type LsmDatabase, type LsmEngine } from './lsm-store.ts'

const options = {
  keyEncoding: 'view',
  valueEncoding: 'view',
  compaction: 'level',
  /** A quarter is one table in memory; there may be six of them. */
  memtableMemoryBudget: 64 * 1024 * 1024,
  /** Compressed they could not be checked here. */
  walCompression: false
}
/** Up to so many keys are deleted one by one: each range that is deleted as such costs every read, until it is merged away. */
const fewKeys = 1000
const stalledMs = 5
const mostStalledMs = 1000
/** Says why the store is damaged. RocksDB takes no notice of it. */
const damageFile = 'DAMAGED'

class RocksDatabase implements LsmDatabase {
  private readonly folder: string
  private readonly db: RocksLevel

  constructor(folder: string, db: RocksLevel) {
    this.folder = folder
    this.db = db
    process.on('uncaughtExceptionMonitor', this.noteDamage)
  }

  getMany(keys: Uint8Array[]): Promise<(Uint8Array | undefined)[]> {
    return this.db.getMany(keys)
  }

  getSync(key: Uint8Array): Uint8Array | undefined {
    // The driver does not ask itself, and would end the process.
    if (this.db.status !== 'open') throw new Error('the database is not open')
    return this.db._getManySync([key], {})[0]
  }

  iterator(range: Parameters<LsmDatabase['iterator']>[0]): ReturnType<LsmDatabase['iterator']> {
    return this.db.iterator(range)
  }

  batch(): LsmBatch {
    const batch = this.db.batch()
    return {
      get length() {
        return batch.length
      },
      put: (key, value) => batch.put(key, value),
      del: key => batch.del(key),
      write: async () => {
        // A write that has to wait for merges would hold the event loop until they are done.
        for (let waited = 0; waited < mostStalledMs && this.isStalled(); waited += stalledMs) await sleep(stalledMs)
        await batch.write()
        await turn()
      },
      close: () => batch.close()
    }
  }

  async clear(range: { readonly gte: Uint8Array; readonly lt: Uint8Array }): Promise<void> {
    const keys = await this.db.keys({ ...range, limit: fewKeys }).all()
    if (keys.length === fewKeys) return this.db.clear(range)
    const batch = this.batch()
    for (const key of keys) batch.del(key)
    await batch.write()
  }

  async close(): Promise<void> {
    await this.db.close()
    process.off('uncaughtExceptionMonitor', this.noteDamage)
  }

  /** Where writes fail from now on, the next one says why. */
  private isStalled(): boolean {
    const is = (name: string): boolean => this.db.getProperty(`rocksdb.${name}`) !== '0'
    return (is('actual-delayed-write-rate') || is('is-write-stopped')) && !is('background-errors')
  }

  private readonly noteDamage = (error: Error): void => {
    if ((error as { readonly code?: unknown }).code !== 'LEVEL_CORRUPTION' || !error.message.includes(this.folder))
      return
    reached('rocksdb store: damage that ends the process')
    writeFileSync(join(this.folder, damageFile), error.message)
  }
}

async function opened(folder: string): Promise<RocksLevel> {
  const { RocksLevel } = loadRocks()
  const db = new RocksLevel(folder, options)
  await db.open()
  return db
}

const engine: LsmEngine = {
  name: 'rocksdb',
  // They are written on the event loop, too.
  batchWrites: 100,
  open: async folder => new RocksDatabase(folder, await opened(folder)),
  async destroy(folder) {
    if (!existsSync(folder)) return
    try {
      // Takes the lock, whatever else is there.
      await (await opened(folder)).close()
    } catch (error) {
      if (error instanceof CodedError || isLocked(error)) throw error
    }
    await rm(folder, { recursive: true, force: true })
  },
  async check(folder) {
    const names = existsSync(folder) ? await readdir(folder) : []
    if (!names.includes('CURRENT')) return
    if (names.includes(damageFile)) throw new CodedError('CORRUPT', await readFile(join(folder, damageFile), 'utf8'))
    loadNativeCrc32c()
    verifyWhole(await readFile(join(folder, (await readFile(join(folder, 'CURRENT'), 'utf8')).trim())))
    const logs: Uint8Array[] = []
    for (const name of names.filter(each => /^\d+\.log$/.test(each)).sort((a, b) => parseInt(a) - parseInt(b)))
      logs.push(await readFile(join(folder, name)))
    // What of them is in tables already is not known here: any may be the first.
    verifyLogs(logs, Number.MAX_SAFE_INTEGER)
  }
}

/** Its functions throw PACKAGE_MISSING where the driver is not there. */
export const RocksStore = {
  /** With what is there, unless it is damaged. In use by another process: another folder, for this time. Throws STORAGE_FAILED. */
  open: (folder: string): Promise<LsmStore> => LsmStore.open(engine, folder),
  /** An empty store in the folder, whatever was there. Throws STORAGE_FAILED. */
  create: (folder: string): Promise<LsmStore> => LsmStore.create(engine, folder)
}
