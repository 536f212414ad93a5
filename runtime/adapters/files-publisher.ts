/**
 * Exactly-once output to a folder (DESIGN 6.3). A publication is the hard link of a synced temporary file under a name made of
 * (lineage, sink, stage, slot, epoch, chunk): that name is the ledger entry. Two owners can only ever write equal bytes under one
 * name, and the link fails when the name exists, so the conditional create fences by content.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { equalBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import type { Files } from '../ports/files.ts'
import type { OutputRecord } from '../ports/log.ts'
import type { LedgerEntry, Producer, Publisher, PublishOutcome, SlotName } from '../ports/publisher.ts'

const newline = 0x0a
const padded = (n: number, digits: number): string => String(n).padStart(digits, '0')

export class FilesPublisher implements Publisher {
  private readonly files: Files
  private readonly folder: string

  /** @param folder absolute; made when missing */
  constructor(files: Files, folder: string) {
    this.files = files
    this.folder = folder
  }

  describe(): Promise<{ readonly partitions: number; readonly maxRecordBytes: number }> {
    return Promise.resolve({ partitions: 1, maxRecordBytes: 64 * 1024 * 1024 })
  }

  async initialise(slot: SlotName): Promise<Producer> {
    await this.files.makeFolder(this.folder)
    const producer = new FilesProducer(this.files, this.folder, slot)
    await producer.clear()
    // A dead owner may have linked what it did not live to sync; the ledger that is read next must last.
    await this.files.syncFolder(this.folder)
    return producer
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

class FilesProducer implements Producer {
  private readonly files: Files
  private readonly folder: string
  private readonly prefix: string
  /** Two owners at once must not write one temporary file: a link would show it half written. */
  private readonly suffix = `.${randomBytes(6).toString('hex')}.tmp`

  constructor(files: Files, folder: string, slot: SlotName) {
    this.files = files
    this.folder = folder
    // A name may hold "-" but no dot, so that two slots never share a prefix.
    this.prefix = `${padded(slot.lineage, 3)}.${slot.sink}.${slot.stage}.${padded(slot.slot, 3)}.`
  }

  /** Removes what a dead owner left half written. One that lives after all finds its file gone: its outcome is unknown. */
  async clear(): Promise<void> {
    for (const name of await this.files.list(this.folder))
      if (name.startsWith(`.${this.prefix}`) && name.endsWith('.tmp')) await this.files.remove(join(this.folder, name))
  }

  async readLedger(): Promise<LedgerEntry | undefined> {
    let newest: LedgerEntry | undefined
    for (const name of await this.files.list(this.folder)) {
      if (!name.startsWith(this.prefix)) continue
      const match = /^(\d{12})-(\d{6})(-last)?\.ndjson$/.exec(name.slice(this.prefix.length))
      if (match === null) continue
      newest = {
        epoch: Number(match[1]),
        chunk: Number(match[2]),
        last: match[3] !== undefined,
        generation: 0,
        manifestHash: '',
        owner: ''
      }
    }
    return newest
  }

  async publish(records: readonly OutputRecord[], entry: LedgerEntry): Promise<PublishOutcome> {
    const name = `${this.prefix}${padded(entry.epoch, 12)}-${padded(entry.chunk, 6)}${entry.last ? '-last' : ''}.ndjson`
    const path = join(this.folder, name)
    const temporary = join(this.folder, `.${name}${this.suffix}`)
    const bytes = linesOf(records)
    try {
      await this.files.writeSynced(temporary, bytes)
      try {
        await this.files.link(temporary, path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        if (!equalBytes(await this.files.read(path), bytes))
          return {
            kind: 'refused',
            error: new CodedError('OUTPUT_CONFLICT', `"${path}" holds other bytes than the ones to publish`)
          }
      }
      await this.files.remove(temporary)
      await this.files.syncFolder(this.folder)
      return { kind: 'published' }
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENOSPC' || code === 'EROFS' || code === 'EACCES' || code === 'EDQUOT')
        throw new CodedError('STORAGE_FAILED', `output folder "${this.folder}": ${code}`, { cause: error })
      return { kind: 'unknown', error: error as Error }
    }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function linesOf(records: readonly OutputRecord[]): Uint8Array {
  let size = 0
  for (const { value } of records) size += (value?.length ?? 0) + 1
  const bytes = new Uint8Array(size)
  let at = 0
  for (const { value } of records) {
    if (value !== undefined) bytes.set(value, at)
    at += value?.length ?? 0
    bytes[at++] = newline
  }
  return bytes
}
