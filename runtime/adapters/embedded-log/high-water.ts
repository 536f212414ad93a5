/**
 * A small synced file beside LevelDB that says how far the log had come. LevelDB drops damaged batches at the tail of its own log
 * without a word; a log that ends before this mark has lost something that was acknowledged.
 *
 * Two places of 32 bytes are written in turn, so that a torn write leaves the other one: magic, number of the last write, digest
 * and count of the metadata behind it, CRC-32.
 */
import { open, readFile, rename, writeFile, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { ByteReader, ByteWriter } from '../../kernel/bytes.ts'
import { crc32 } from '../../kernel/checksum.ts'
import { CodedError } from '../../kernel/errors.ts'

const magic = 0x43524831
const placeBytes = 32

export interface Mark {
  /** Number of the last write of the log, from 1; 0 = none yet. */
  readonly write: number
  /** Of all metadata after that write. */
  readonly digest: number
  readonly count: number
}

export class HighWater {
  private readonly handle: FileHandle

  private constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** The newest whole mark; 'missing' when there is no file. Throws CORRUPT when the file holds no mark at all. */
  static async read(path: string): Promise<Mark | 'missing'> {
    let bytes: Uint8Array
    try {
      bytes = await readFile(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 'missing'
      throw new CodedError('STORAGE_FAILED', `"${path}" cannot be read`, { cause: error })
    }
    const marks = [0, 1].flatMap(place => decode(bytes.subarray(place * placeBytes, (place + 1) * placeBytes)) ?? [])
    const newest = marks.sort((a, b) => b.write - a.write)[0]
    if (newest === undefined) throw new CodedError('CORRUPT', `"${path}" holds no whole mark`)
    return newest
  }

  /** Makes the file with mark 0, whole or not at all. */
  static async create(path: string): Promise<void> {
    const temporary = `${path}.new`
    await writeFile(temporary, encode({ write: 0, digest: 0, count: 0 }), { flush: true, mode: 0o600 })
    await rename(temporary, path)
    for (const folder of [dirname(path), dirname(dirname(path))]) {
      const handle = await open(folder, 'r')
      await handle.sync().finally(() => handle.close())
    }
  }

  static async open(path: string): Promise<HighWater> {
    return new HighWater(await open(path, 'r+'))
  }

  /** Durable when it resolves. */
  async write(mark: Mark): Promise<void> {
    await this.handle.write(encode(mark), 0, placeBytes, (mark.write % 2) * placeBytes)
    await this.handle.datasync()
  }

  close(): Promise<void> {
    return this.handle.close()
  }
}

function encode({ write, digest, count }: Mark): Uint8Array {
  const writer = new ByteWriter(placeBytes)
  writer.u32(magic)
  writer.f64(write)
  writer.u32(digest)
  writer.f64(count)
  writer.u32(0)
  writer.u32(crc32(writer.view()))
  return writer.take()
}

function decode(bytes: Uint8Array): Mark | undefined {
  if (bytes.length !== placeBytes) return undefined
  const reader = new ByteReader(bytes)
  if (reader.u32() !== magic) return undefined
  const mark = { write: reader.f64(), digest: reader.u32(), count: reader.f64() }
  reader.u32()
  return reader.u32() === crc32(bytes.subarray(0, placeBytes - 4)) ? mark : undefined
}
