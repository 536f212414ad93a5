/**
 * LevelDB's files, as far as needed to tell that they are whole. LevelDB itself does not check what it reads from its tables: a
 * flipped bit is an assertion that ends the process. So tables are checked here before it opens them.
 * https://github.com/google/leveldb/tree/main/doc (log_format.md, table_format.md).
 */
import { ByteReader, concatBytes } from './bytes.ts'
import { crc32c } from './crc32c.ts'
import { CodedError } from './errors.ts'

const blockBytes = 32768
const recordHeaderBytes = 7
const footerBytes = 48
const batchHeaderBytes = 12
const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]
/** An index of a table of some MiB; a larger length is a damaged one. */
const uncompressedLimitBytes = 64 * 1024 * 1024
/** Three bytes are a copy of 64 at most: who promises more than this for each byte lies. */
const snappyRatio = 22

/** LevelDB stores checksums in another form, so that data which holds checksums can be summed. */
function unmasked(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

/** Without an object for it: there is one for each block. */
const u32 = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)) >>>
  0

/**
 * Records of a log-format file, and where they end. What is cut off at the end was never complete; anything else that is wrong throws.
 * @param strict nothing may stand behind the end either
 */
function* logRecords(bytes: Uint8Array, strict = false): Generator<Uint8Array, number> {
  let parts: Uint8Array[] = []
  let at = 0
  while (at + recordHeaderBytes <= bytes.length) {
    const left = blockBytes - (at % blockBytes)
    if (left < recordHeaderBytes) {
      at += left
      continue
    }
    const length = (bytes[at + 4] as number) | ((bytes[at + 5] as number) << 8)
    const end = at + recordHeaderBytes + length
    if (strict && recordHeaderBytes + length > left)
      throw new CodedError('CORRUPT', `the record at byte ${at} is longer than its block`)
    if (end > bytes.length) return at
    if (u32(bytes, at) === 0 && length === 0) {
      if (strict && bytes.subarray(at).some(byte => byte !== 0))
        throw new CodedError('CORRUPT', `something stands behind the end at byte ${at}`)
      return at
    }
    if (unmasked(u32(bytes, at)) !== crc32c(bytes.subarray(at + 6, end)))
      throw new CodedError('CORRUPT', `the record at byte ${at} fails its checksum`)
    const type = bytes[at + 6] as number
    if (type === 1 || type === 2) parts = []
    else if (strict && parts.length === 0) throw new CodedError('CORRUPT', `the record at byte ${at} has no beginning`)
    parts.push(bytes.subarray(at + recordHeaderBytes, end))
    if (type === 1 || type === 4) {
      yield concatBytes(parts)
      parts = []
    }
    at = end
  }
  return at
}

/** Checks a file of this format that is made durable after each record, as RocksDB's MANIFEST is. Throws CORRUPT. */
export function verifyWhole(bytes: Uint8Array): void {
  const records = logRecords(bytes, true)
  for (;;) {
    const { done, value } = records.next()
    if (done !== true) continue
    if (value !== bytes.length) throw new CodedError('CORRUPT', `the record at byte ${value} is cut off`)
    return
  }
}

export interface LiveFiles {
  /** Numbers of the tables in use. */
  readonly tables: ReadonlySet<number>
  /** Logs from this number on hold what is in no table yet. */
  readonly firstLog: number
  /** Everything up to this number of a write is in a table or in one of these logs. */
  readonly lastSequence: number
}

/** What a MANIFEST says is in use. */
export function liveFiles(manifest: Uint8Array): LiveFiles {
  const tables = new Set<number>()
  const numbers = { firstLog: 0, lastSequence: 0 }
  for (const record of logRecords(manifest)) {
    const reader = new ByteReader(record)
    const deleted: number[] = []
    const added: number[] = []
    while (reader.remaining > 0) readEdit(reader, deleted, added, numbers)
    for (const number of deleted) tables.delete(number)
    for (const number of added) tables.add(number)
  }
  return { tables, ...numbers }
}

function readEdit(
  reader: ByteReader,
  deleted: number[],
  added: number[],
  numbers: { firstLog: number; lastSequence: number }
): void {
  const tag = reader.varuint()
  switch (tag) {
    case 1: // comparator
      reader.block()
      return
    case 2:
      numbers.firstLog = reader.varuint()
      return
    case 4:
      numbers.lastSequence = reader.varuint()
      return
    case 3: // next file
    case 9: // previous log
      reader.varuint()
      return
    case 5: // compaction pointer
      reader.varuint()
      reader.block()
      return
    case 6:
      reader.varuint()
      deleted.push(reader.varuint())
      return
    case 7:
      reader.varuint()
      added.push(reader.varuint())
      reader.varuint()
      reader.block()
      reader.block()
      return
    default:
      throw new CodedError('CORRUPT', `an entry of unknown kind ${tag}`)
  }
}

/**
 * Checks the logs in use, in order: LevelDB skips what is damaged in one and goes on behind it, and a lost power supply may leave a gap
 * between two. What is cut off at the very end was not written. Throws CORRUPT.
 */
export function verifyLogs(logs: readonly Uint8Array[], lastSequence: number): void {
  let next: number | undefined
  let empty = false
  for (const log of logs) {
    let records = 0
    for (const record of logRecords(log, true)) {
      if (record.length < batchHeaderBytes) throw new CodedError('CORRUPT', 'a batch without its header')
      const view = new DataView(record.buffer, record.byteOffset, record.byteLength)
      const sequence = Number(view.getBigUint64(0, true))
      if (empty || (next === undefined ? sequence > lastSequence + 1 : sequence !== next))
        throw new CodedError('CORRUPT', `write ${next ?? lastSequence + 1} is missing before write ${sequence}`)
      next = sequence + view.getUint32(8, true)
      records++
    }
    empty = records === 0
  }
}

interface Handle {
  readonly offset: number
  readonly size: number
}

const readHandle = (reader: ByteReader): Handle => ({ offset: reader.varuint(), size: reader.varuint() })

/** Checks every block of a table against its checksum; throws CORRUPT saying where. */
export function verifyTable(table: Uint8Array): void {
  const footer = table.length - footerBytes
  if (footer < 0 || magic.some((byte, i) => table[table.length - 8 + i] !== byte))
    throw new CodedError('CORRUPT', 'it does not end as a table does')
  const reader = new ByteReader(table, footer)
  const metaIndex = readHandle(reader)
  const index = readHandle(reader)
  verifyBlock(table, metaIndex)
  verifyBlock(table, index)
  for (const handle of handlesIn(contentOf(table, index))) verifyBlock(table, handle)
  for (const handle of handlesIn(contentOf(table, metaIndex))) verifyBlock(table, handle)
}

function verifyBlock(table: Uint8Array, { offset, size }: Handle): void {
  const end = offset + size + 1
  if (end + 4 > table.length) throw new CodedError('CORRUPT', `the block at byte ${offset} lies behind its end`)
  if (unmasked(u32(table, end)) !== crc32c(table.subarray(offset, end)))
    throw new CodedError('CORRUPT', `the block at byte ${offset} fails its checksum`)
}

function contentOf(table: Uint8Array, { offset, size }: Handle): Uint8Array {
  const content = table.subarray(offset, offset + size)
  const compression = table[offset + size]
  if (compression === 0) return content
  if (compression === 1) return uncompressSnappy(content)
  throw new CodedError('CORRUPT', `the block at byte ${offset} is compressed in an unknown way`)
}

/** The blocks that an index block points to. */
function* handlesIn(block: Uint8Array): Generator<Handle> {
  const restarts = block.length < 4 ? Infinity : u32(block, block.length - 4)
  const end = block.length - 4 - 4 * restarts
  if (end < 0) throw new CodedError('CORRUPT', 'an index that is too short')
  const reader = new ByteReader(block, 0, end)
  while (reader.remaining > 0) {
    reader.varuint()
    const keyBytes = reader.varuint()
    const valueBytes = reader.varuint()
    reader.bytes(keyBytes)
    const next = reader.offset + valueBytes
    const handle = readHandle(reader)
    if (reader.offset > next) throw new CodedError('CORRUPT', `a handle of more than ${valueBytes} bytes`)
    reader.offset = next
    yield handle
  }
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
export function uncompressSnappy(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes)
  const length = reader.varuint()
  if (length > Math.min(uncompressedLimitBytes, snappyRatio * bytes.length))
    throw new CodedError('CORRUPT', `a compressed block of ${length} bytes`)
  const out = new Uint8Array(length)
  let at = 0
  const little = (count: number): number => {
    let value = 0
    for (let i = 0; i < count; i++) value += reader.u8() * 2 ** (8 * i)
    return value
  }
  while (reader.remaining > 0) {
    const tag = reader.u8()
    const kind = tag & 3
    if (kind === 0) {
      const size = (tag >> 2 < 60 ? tag >> 2 : little((tag >> 2) - 59)) + 1
      if (size > length - at) throw new CodedError('CORRUPT', 'a compressed block that is longer than it says')
      out.set(reader.bytes(size), at)
      at += size
      continue
    }
    const size = kind === 1 ? ((tag >> 2) & 7) + 4 : (tag >> 2) + 1
    const distance = kind === 1 ? ((tag >> 5) << 8) | reader.u8() : little(kind === 2 ? 2 : 4)
    if (distance === 0 || distance > at || size > length - at)
      throw new CodedError('CORRUPT', 'a compressed block that points outside of itself')
    for (let i = 0; i < size; i++, at++) out[at] = out[at - distance] as number
  }
  if (at !== length) throw new CodedError('CORRUPT', 'a compressed block that is shorter than it says')
  return out
}
