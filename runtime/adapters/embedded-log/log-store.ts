/**
 * LevelDB under the embedded log: atomic, synced, numbered writes, and metadata held in memory.
 *
 * Invariants
 * 1. Everything staged before one `commit()` is in one LevelDB batch: wholly there after a crash, or not at all.
 * 2. Writes are numbered without gaps; each leaves a record of its number and of the digest of all metadata after it. A batch
 *    that LevelDB dropped is a gap, a metadata value that is lost, stale or changed is another digest: both refuse to open.
 * 3. The high-water file is synced before a write is acknowledged, so a lost tail is noticed too.
 * 4. After a failed write the store is dead: memory may be ahead of the disk. Open it anew.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Level } from 'level'
import { ByteReader, concatBytes } from '../../kernel/bytes.ts'
import { crc32 } from '../../kernel/checksum.ts'
import { CodedError } from '../../kernel/errors.ts'
import { checkLevelFolder } from '../../kernel/level-folder.ts'
import { loadNativeCrc32c } from '../../packages/native-crc32c.ts'
import { HighWater, type Mark } from './high-water.ts'

type Database = Level<Uint8Array, Uint8Array>
export type Metadata = Readonly<Record<string, unknown>>
type Operation = { type: 'put'; key: Uint8Array; value: Uint8Array } | { type: 'del'; key: Uint8Array }

const metadataTag = 1
const writeTag = 2
/**
 * Records of writes are kept for so many bytes written: LevelDB can only drop what is still in its own log (two buffers of 4 MiB
 * and one batch). Fewer would miss gaps, more would make opening slower.
 */
const writesKeptBytes = 64 * 1024 * 1024
const markEveryBytes = 4 * 1024 * 1024

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export class LogStore {
  readonly folder: string
  readonly database: Database
  /** What is staged counts: in order, and durable once the next `commit()` resolves. */
  readonly metadata = new Map<string, Metadata>()
  /** Called when a group is cut; what it returns is called once the group is durable. */
  onCut: () => () => void = () => () => undefined
  private readonly crcs = new Map<string, number>()
  private highWater: HighWater | undefined
  private write = 0
  private digest = 0
  private staged = new Map<string, Operation>()
  private stagedBytes = 0
  private waiting: { resolve(): void; reject(error: unknown): void }[] = []
  private flushing: Promise<void> | undefined
  private failure: CodedError | undefined
  private marks: number[] = []
  private sinceMark = 0

  private constructor(folder: string, database: Database) {
    this.folder = folder
    this.database = database
  }

  /** Throws LOCKED when another process (or another object) has it open, CORRUPT when something stored is lost or changed. */
  static async open(folder: string): Promise<LogStore> {
    const path = join(folder, 'high-water')
    const found = await HighWater.read(path)
    loadNativeCrc32c()
    await checkLevelFolder(join(folder, 'level'), { read: name => readIfThere(join(folder, 'level', name)) })
    const database: Database = new Level<Uint8Array, Uint8Array>(join(folder, 'level'), {
      keyEncoding: 'buffer',
      valueEncoding: 'buffer',
      createIfMissing: found === 'missing' || found.write === 0
    })
    try {
      await database.open()
    } catch (error) {
      throw openFailure(error, folder)
    }
    const store = new LogStore(folder, database)
    try {
      await store.load(found)
      if (found === 'missing') await HighWater.create(path)
      store.highWater = await HighWater.open(path)
      return store
    } catch (error) {
      await store.highWater?.close()
      await database.close()
      throw error instanceof CodedError ? error : readFailure(error, `the log in "${folder}"`)
    }
  }

  put(key: string, value: Metadata): void {
    const bytes = encodeMetadata(key, value)
    this.forget(key)
    this.crcs.set(key, crcOf(bytes))
    this.digest = (this.digest + crcOf(bytes)) >>> 0
    this.metadata.set(key, value)
    this.stage({ type: 'put', key: metadataKey(key), value: bytes }, key)
  }

  remove(key: string): void {
    this.forget(key)
    this.metadata.delete(key)
    this.crcs.delete(key)
    this.stage({ type: 'del', key: metadataKey(key) }, key)
  }

  putEntry(key: Uint8Array, value: Uint8Array): void {
    this.stage({ type: 'put', key, value }, `\u0000${this.staged.size}`)
  }

  /** Metadata whose key begins so, in no order. */
  *under(prefix: string): Generator<[string, Metadata]> {
    for (const entry of this.metadata) if (entry[0].startsWith(prefix)) yield entry
  }

  /** Throws when the store is closed or a write has failed. */
  check(): void {
    if (this.failure !== undefined) throw this.failure
  }

  /** Resolves when everything staged so far is durable. */
  commit(): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject })
      this.flushing ??= this.flush()
    })
  }

  async close(): Promise<void> {
    this.failure ??= new CodedError('NOT_RUNNING', `the log in "${this.folder}" is closed`)
    await this.flushing
    await this.database.close()
    await this.highWater?.close()
  }

  private stage(operation: Operation, key: string): void {
    this.staged.set(key, operation)
    this.stagedBytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0)
  }

  private forget(key: string): void {
    const crc = this.crcs.get(key)
    if (crc !== undefined) this.digest = (this.digest - crc) >>> 0
  }

  private async flush(): Promise<void> {
    // Whatever is staged in the same turn joins the first group.
    await Promise.resolve()
    while (this.waiting.length > 0) {
      const { waiting } = this
      const operations = [...this.staged.values()]
      const done = this.onCut()
      const mark: Mark = { write: ++this.write, digest: this.digest, count: this.crcs.size }
      operations.push({ type: 'put', key: writeKey(mark.write), value: encodeMark(mark) })
      this.sinceMark += this.stagedBytes + 64
      this.waiting = []
      this.staged = new Map()
      this.stagedBytes = 0
      try {
        await this.database.batch(operations, { sync: true })
        await this.highWater?.write(mark)
      } catch (cause) {
        this.failure = new CodedError(
          'STORAGE_FAILED',
          `the log in "${this.folder}" cannot be written: ${why(cause)}`,
          {
            cause
          }
        )
        for (const { reject } of [...waiting, ...this.waiting.splice(0)]) reject(this.failure)
        break
      }
      done()
      for (const { resolve } of waiting) resolve()
      await this.prune()
    }
    this.flushing = undefined
  }

  private async prune(): Promise<void> {
    if (this.sinceMark < markEveryBytes) return
    this.sinceMark = 0
    this.marks.push(this.write)
    const oldest = this.marks.length > writesKeptBytes / markEveryBytes ? this.marks.shift() : undefined
    if (oldest !== undefined)
      await this.database.clear({ gte: writeKey(0), lt: writeKey(oldest) }).catch(() => undefined)
  }

  private async load(found: Mark | 'missing'): Promise<void> {
    for await (const [key, value] of this.database.iterator({
      gte: Uint8Array.of(metadataTag),
      lt: Uint8Array.of(metadataTag + 1)
    })) {
      const name = decoder.decode(key.subarray(1))
      const crc = value.length < 4 ? -1 : crcOf(value)
      if (crc !== crc32(value.subarray(4), crc32(key)))
        throw new CodedError('CORRUPT', `log "${this.folder}": "${name}" fails its checksum`)
      this.metadata.set(name, JSON.parse(decoder.decode(value.subarray(4))) as Metadata)
      this.crcs.set(name, crc)
      this.digest = (this.digest + crc) >>> 0
    }
    const last = await this.readWrites()
    if (found === 'missing') {
      if (last !== undefined || this.crcs.size > 0)
        throw new CodedError('CORRUPT', `log "${this.folder}": the file "high-water" is missing`)
    } else if ((last?.write ?? 0) < found.write)
      throw new CodedError(
        'CORRUPT',
        `log "${this.folder}" ends at write ${last?.write ?? 0}, but write ${found.write} was acknowledged: its tail is lost`
      )
    else if (last?.write === found.write && last.digest !== found.digest)
      throw new CodedError('CORRUPT', `log "${this.folder}": write ${last.write} is not the one that was acknowledged`)
    if ((last?.digest ?? 0) !== this.digest || (last?.count ?? 0) !== this.crcs.size)
      throw new CodedError('CORRUPT', `log "${this.folder}": its metadata is not that of write ${last?.write ?? 0}`)
    this.write = last?.write ?? 0
    if (last !== undefined) await this.database.clear({ gte: writeKey(0), lt: writeKey(last.write) })
  }

  private async readWrites(): Promise<Mark | undefined> {
    let last: Mark | undefined
    for await (const [key, value] of this.database.iterator({ gte: writeKey(0), lt: Uint8Array.of(writeTag + 1) })) {
      const mark = decodeMark(key, value)
      if (mark === undefined)
        throw new CodedError(
          'CORRUPT',
          `log "${this.folder}": a record of a write after ${last?.write ?? 0} is damaged`
        )
      if (last !== undefined && mark.write !== last.write + 1)
        throw new CodedError('CORRUPT', `log "${this.folder}": write ${last.write + 1} is missing`)
      last = mark
    }
    return last
  }
}

const metadataKey = (key: string): Uint8Array => concatBytes([Uint8Array.of(metadataTag), encoder.encode(key)])
const crcOf = (bytes: Uint8Array): number => new ByteReader(bytes).u32()

function sealed(key: Uint8Array, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + content.length)
  bytes.set(content, 4)
  new DataView(bytes.buffer).setUint32(0, crc32(content, crc32(key)))
  return bytes
}

function encodeMetadata(key: string, value: Metadata): Uint8Array {
  return sealed(metadataKey(key), encoder.encode(JSON.stringify(value)))
}

function writeKey(write: number): Uint8Array {
  const key = new Uint8Array(9)
  const view = new DataView(key.buffer)
  view.setUint8(0, writeTag)
  view.setUint32(1, Math.floor(write / 2 ** 32))
  view.setUint32(5, write % 2 ** 32)
  return key
}

function encodeMark({ write, digest, count }: Mark): Uint8Array {
  const content = new Uint8Array(12)
  const view = new DataView(content.buffer)
  view.setUint32(0, digest)
  view.setFloat64(4, count)
  return sealed(writeKey(write), content)
}

function decodeMark(key: Uint8Array, value: Uint8Array): Mark | undefined {
  if (key.length !== 9 || value.length !== 16) return undefined
  const reader = new ByteReader(value)
  if (reader.u32() !== crc32(value.subarray(4), crc32(key))) return undefined
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return { write: view.getUint32(1) * 2 ** 32 + view.getUint32(5), digest: reader.u32(), count: reader.f64() }
}

const why = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const noRoom = /No space left|Read-only file system|Permission denied|Disk quota|Too many open files/i

function openFailure(error: unknown, folder: string): CodedError {
  const cause = (error as Error).cause ?? error
  const { code } = cause as { code?: unknown }
  if (code === 'LEVEL_LOCKED')
    return new CodedError('LOCKED', `the log in "${folder}" is in use by another process`, { cause })
  return readFailure(cause, `the log in "${folder}"`)
}

/** An error of LevelDB while opening or reading, as one of ours. */
export function readFailure(error: unknown, what: string): CodedError {
  const message = why(error)
  return noRoom.test(message)
    ? new CodedError('STORAGE_FAILED', `${what}: ${message}`, { cause: error })
    : new CodedError('CORRUPT', `${what} is damaged: ${message}`, { cause: error })
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFile(path)
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new CodedError('STORAGE_FAILED', `"${path}" cannot be read`, { cause })
  }
}
