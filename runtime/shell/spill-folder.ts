/**
 * Batches that a loop holds beyond memory, each a file in a local folder. Not durable: a generation that begins anew has them from its
 * checkpoint. What the disk does not take stays in memory.
 */
import type { SpilledBatch } from '../core/channel.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { Files } from '../ports/files.ts'

export class SpillFolder {
  /** Why batches stay in memory, undefined when all is well. */
  trouble: string | undefined
  private readonly files: Files
  private readonly folder: string
  /** On its way to the disk, or refused by it. */
  private readonly inMemory = new Map<SpilledBatch, Uint8Array>()
  private readonly onDisk = new Map<SpilledBatch, string>()
  /** Writes and removals that are not over. */
  private readonly underWay = new Set<Promise<void>>()
  private ready: Promise<void> | undefined
  private next = 0

  /** @param folder what an earlier process left there is removed */
  constructor(files: Files, folder: string) {
    this.files = files
    this.folder = folder
  }

  write(batch: SpilledBatch, bytes: Uint8Array): Promise<void> {
    return this.follow(this.put(batch, bytes))
  }

  /** Once for each. Throws SPILL_LOST. */
  async read(batch: SpilledBatch): Promise<Uint8Array> {
    const bytes = this.inMemory.get(batch)
    if (bytes !== undefined) {
      this.inMemory.delete(batch)
      return bytes
    }
    const path = this.onDisk.get(batch)
    this.onDisk.delete(batch)
    if (path === undefined) throw new CodedError('SPILL_LOST', 'a batch of a loop was asked for twice')
    try {
      return await this.files.read(path)
    } catch (error) {
      throw new CodedError('SPILL_LOST', `"${path}" cannot be read back: ${(error as Error).message}`, { cause: error })
    } finally {
      void this.remove(path)
    }
  }

  /** Leaves nothing behind, not even of writes that are under way. */
  async close(): Promise<void> {
    this.inMemory.clear()
    const left = [...this.onDisk.values()]
    this.onDisk.clear()
    for (const path of left) await this.remove(path)
    while (this.underWay.size > 0) await Promise.all(this.underWay)
  }

  private async put(batch: SpilledBatch, bytes: Uint8Array): Promise<void> {
    this.inMemory.set(batch, bytes)
    const path = `${this.folder}/${this.next++}`
    try {
      await (this.ready ??= this.prepare())
      await this.files.writeSynced(path, bytes)
    } catch (error) {
      reached('spill: the disk takes nothing')
      this.ready = undefined
      this.trouble = `what a loop holds stays in memory: ${(error as Error).message}`
      return
    }
    this.trouble = undefined
    // It may have been read meanwhile.
    if (this.inMemory.delete(batch)) this.onDisk.set(batch, path)
    else await this.remove(path)
  }

  private async prepare(): Promise<void> {
    for (const name of await this.files.list(this.folder)) await this.files.remove(`${this.folder}/${name}`)
    await this.files.makeFolder(this.folder)
  }

  private remove(path: string): Promise<void> {
    // One that stays is removed by the next process.
    return this.follow(this.files.remove(path).catch(() => undefined))
  }

  private follow(work: Promise<void>): Promise<void> {
    const followed = work.finally(() => this.underWay.delete(followed))
    this.underWay.add(followed)
    return followed
  }
}
