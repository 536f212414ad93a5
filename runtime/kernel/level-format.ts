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
const magic = [0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb]
/** An index of a table of some MiB; a larger length is a damaged one. */
const uncompressedLimitBytes = 64 * 1024 * 1024

/** LevelDB stores checksums in another form, so that data which holds checksums can be summed. */
function unmasked(masked: number): number {
  const rotated = (masked - 0xa282ead8) >>> 0
  return ((rotated >>> 17) | (rotated << 15)) >>> 0
}

const u32 = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at, true)

/** Records of a log-format file. What is cut off at the end was never complete; anything else that is wrong throws. */
function* logRecords(bytes: Uint8Array): Generator<Uint8Array> {
  let parts: Uint8Array[] = []
  for (let at = 0; at + recordHeaderBytes <= bytes.length;) {
    const left = blockBytes - (at % blockBytes)
    if (left < recordHeaderBytes) {
      at += left
      continue
    }
    const length = (bytes[at + 4] as number) | ((bytes[at + 5] as number) << 8)
    const end = at + recordHeaderBytes + length
    if (end > bytes.length) return
    if (u32(bytes, at) === 0 && length === 0) return
    if (unmasked(u32(bytes, at)) !== crc32c(bytes.subarray(at + 6, end)))
      throw new CodedError('CORRUPT', `the record at byte ${at} fails its checksum`)
    const type = bytes[at + 6] as number
    if (type === 1 || type === 2) parts = []
    parts.push(bytes.subarray(at + recordHeaderBytes, end))
    if (type === 1 || type === 4) yield concatBytes(parts)
    at = end
  }
}

/** Numbers of the tables that a MANIFEST says are in use. */
export function liveTables(manifest: Uint8Array): Set<number> {
  const live = new Set<number>()
  for (const record of logRecords(manifest)) {
    const reader = new ByteReader(record)
    const deleted: number[] = []
    const added: number[] = []
    while (reader.remaining > 0) readEdit(reader, deleted, added)
    for (const number of deleted) live.delete(number)
    for (const number of added) live.add(number)
  }
  return live
}

function readEdit(reader: ByteReader, deleted: number[], added: number[]): void {
  const tag = reader.varuint()
  switch (tag) {
    case 1: // comparator
      reader.block()
      return
    case 2: // log number
    case 3: // next file
    case 4: // last sequence
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
    yield readHandle(new ByteReader(reader.bytes(valueBytes)))
  }
}

/** https://github.com/google/snappy/blob/main/format_description.txt */
export function uncompressSnappy(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes)
  const length = reader.varuint()
  if (length > uncompressedLimitBytes) throw new CodedError('CORRUPT', `a compressed block of ${length} bytes`)
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
