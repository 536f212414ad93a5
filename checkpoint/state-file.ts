/**
 * State files: deltas (what changed in one epoch of one task) and what they are merged into.
 *
 *   magic u32 · version u8 · block* · index · index offset f64 · crc32 of the index and that offset u32 · magic u32
 *   block = the records of one key group: (key block · 0 tombstone | 1 value block)*
 *   index = meta string · groups varuint · (key group · offset · length · records: varuints · crc32 of the block u32)*
 *
 * Records are grouped by key group with a counting sort, so that a merge, and a worker that needs some groups only, reads ranges.
 * Within a block records stand in the order in which they were added; later ones win.
 */
import { ByteReader, ByteWriter, latin1OfBytes } from '../runtime/kernel/bytes.ts'
import { crc32 } from '../runtime/kernel/checksum.ts'
import { assert, CodedError } from '../runtime/kernel/errors.ts'

const magic = 0x43524e44
const formatVersion = 2
const headerBytes = 5
const footerBytes = 16

export interface StateRecord {
  readonly keyGroup: number
  readonly key: Uint8Array
  /** undefined = deleted. */
  readonly value: Uint8Array | undefined
}

/** First byte of a record that deletes every earlier record of its key group whose key begins with the rest of its key. */
export const prefixDelete = 0x78

/** What a file says of itself; checked against the manifest when it is read. */
export interface StateFileMeta {
  readonly job: string
  readonly lineage: number
  readonly generation: number
  readonly epoch: number
  readonly stage: string
}

export interface BlockIndex {
  readonly keyGroup: number
  readonly offset: number
  readonly length: number
  readonly records: number
  readonly crc: number
}

export class StateFileWriter {
  private readonly body: ByteWriter
  private readonly groups: number[] = []
  private readonly starts: number[] = []
  private sorted:
    { readonly order: Uint32Array; readonly file: ByteWriter; readonly blocks: BlockIndex[]; next: number } | undefined
  private finished = false

  /** @param expectedBytes saves growing */
  constructor(expectedBytes = 16 * 1024) {
    this.body = new ByteWriter(expectedBytes)
  }

  get records(): number {
    return this.groups.length
  }
  get sizeBytes(): number {
    return this.body.length
  }

  add(keyGroup: number, key: Uint8Array, value: Uint8Array | undefined): void {
    assert(this.sorted === undefined && !this.finished, 'a record added to a state file that is being finished')
    this.groups.push(keyGroup)
    this.starts.push(this.body.length)
    this.body.block(key)
    this.body.u8(value === undefined ? 0 : 1)
    if (value !== undefined) this.body.block(value)
  }

  /** The same from what two writers hold. */
  addFrom(keyGroup: number, key: ByteWriter, value: ByteWriter): void {
    assert(this.sorted === undefined && !this.finished, 'a record added to a state file that is being finished')
    const { body } = this
    this.groups.push(keyGroup)
    this.starts.push(body.length)
    body.varuint(key.length)
    body.copy(key.raw, 0, key.length)
    body.u8(1)
    body.varuint(value.length)
    body.copy(value.raw, 0, value.length)
  }

  /** What was added, in that order. */
  *added(): Generator<StateRecord> {
    const reader = new ByteReader(this.body.view())
    for (const keyGroup of this.groups) {
      const key = reader.block()
      yield { keyGroup, key, value: reader.u8() === 0 ? undefined : reader.block() }
    }
  }

  /** Places up to `limit` more records; true when all are placed. Lets the event loop breathe while a large delta is laid out. */
  arrange(limit: number): boolean {
    this.sorted ??= { order: countingSort(this.groups), file: newFile(this.body.length), blocks: [], next: 0 }
    const { order, file, blocks } = this.sorted
    const body = this.body.view()
    let placed = 0
    while (this.sorted.next < order.length && placed < limit) {
      const group = this.groups[order[this.sorted.next] as number] as number
      const offset = file.length
      let records = 0
      for (; this.sorted.next < order.length; this.sorted.next++, records++) {
        const i = order[this.sorted.next] as number
        if (this.groups[i] !== group) break
        file.copy(body, this.starts[i] as number, this.starts[i + 1] ?? body.length)
      }
      const crc = crc32(file.view().subarray(offset))
      blocks.push({ keyGroup: group, offset, length: file.length - offset, records, crc })
      placed += records
    }
    return this.sorted.next >= order.length
  }

  finish(meta: StateFileMeta): Uint8Array {
    while (!this.arrange(Infinity));
    const { file, blocks } = this.sorted as NonNullable<typeof this.sorted>
    writeIndex(file, blocks, meta)
    // What was added is kept, for `added`; the file is the caller's alone.
    this.sorted = undefined
    this.finished = true
    return file.view()
  }
}

/** Writes a file whose records already come in order of key group, a block at a time. */
export class SortedStateFileWriter {
  private readonly file = newFile(64 * 1024)
  private readonly blocks: BlockIndex[] = []
  records = 0

  get sizeBytes(): number {
    return this.file.length
  }

  /** Answers how many there were. */
  block(keyGroup: number, records: Iterable<StateRecord>): number {
    const last = this.blocks.at(-1)
    assert(last === undefined || last.keyGroup < keyGroup, 'key groups out of order')
    const offset = this.file.length
    let count = 0
    for (const { key, value } of records) {
      this.file.block(key)
      this.file.u8(value === undefined ? 0 : 1)
      if (value !== undefined) this.file.block(value)
      count++
    }
    if (count === 0) return 0
    this.records += count
    const crc = crc32(this.file.view().subarray(offset))
    this.blocks.push({ keyGroup, offset, length: this.file.length - offset, records: count, crc })
    return count
  }

  finish(meta: StateFileMeta): Uint8Array {
    writeIndex(this.file, this.blocks, meta)
    return this.file.view()
  }
}

function newFile(expectedBytes: number): ByteWriter {
  const file = new ByteWriter(expectedBytes + 4096)
  file.u32(magic)
  file.u8(formatVersion)
  return file
}

function countingSort(groups: readonly number[]): Uint32Array {
  let most = 0
  for (const group of groups) if (group > most) most = group
  const starts = new Uint32Array(most + 2)
  for (const group of groups) (starts[group + 1] as number)++
  for (let group = 0; group <= most; group++)
    starts[group + 1] = (starts[group + 1] as number) + (starts[group] as number)
  const order = new Uint32Array(groups.length)
  for (let i = 0; i < groups.length; i++) {
    const group = groups[i] as number
    order[starts[group] as number] = i
    starts[group] = (starts[group] as number) + 1
  }
  return order
}

function writeIndex(file: ByteWriter, blocks: readonly BlockIndex[], meta: StateFileMeta): void {
  const start = file.length
  file.string(JSON.stringify(meta))
  file.varuint(blocks.length)
  for (const block of blocks) {
    file.varuint(block.keyGroup)
    file.varuint(block.offset)
    file.varuint(block.length)
    file.varuint(block.records)
    file.u32(block.crc)
  }
  file.f64(start)
  file.u32(crc32(file.view().subarray(start)))
  file.u32(magic)
}

export interface StateFileIndex {
  readonly meta: StateFileMeta
  readonly blocks: readonly BlockIndex[]
}

/** Where the index of a file of `sizeBytes` begins, from its last bytes. */
export function indexOffset(footer: Uint8Array, sizeBytes: number): number {
  const reader = new ByteReader(footer, footer.length - footerBytes)
  const offset = reader.f64()
  reader.u32()
  if (reader.u32() !== magic) throw new CodedError('CORRUPT', 'not a state file: its footer is missing')
  if (!Number.isSafeInteger(offset) || offset < headerBytes || offset > sizeBytes - footerBytes)
    throw new CodedError('CORRUPT', 'its index is said to lie outside the file')
  return offset
}
export const stateFooterBytes = footerBytes

/** @param tail everything from the index on */
export function parseIndex(tail: Uint8Array, sizeBytes: number): StateFileIndex {
  const start = indexOffset(tail.subarray(-footerBytes), sizeBytes)
  const reader = new ByteReader(tail, 0, tail.length - footerBytes)
  const sum = new ByteReader(tail, tail.length - 8).u32()
  if (crc32(tail.subarray(0, tail.length - 8)) !== sum) throw new CodedError('CORRUPT', 'its index fails its checksum')
  let meta: StateFileMeta
  try {
    meta = JSON.parse(reader.string()) as StateFileMeta
  } catch {
    throw new CodedError('CORRUPT', 'its index is malformed')
  }
  const count = reader.varuint()
  const blocks: BlockIndex[] = []
  let expected = headerBytes
  let group = -1
  for (let i = 0; i < count; i++) {
    const keyGroup = reader.varuint()
    const offset = reader.varuint()
    const length = reader.varuint()
    const block = { keyGroup, offset, length, records: reader.varuint(), crc: reader.u32() }
    if (offset !== expected || keyGroup <= group) throw new CodedError('CORRUPT', 'its index is not in order')
    expected = offset + length
    group = keyGroup
    blocks.push(block)
  }
  reader.expectEnd()
  if (expected !== start) throw new CodedError('CORRUPT', 'its blocks do not end where its index begins')
  return { meta, blocks }
}

export function parseBlock(bytes: Uint8Array, block: BlockIndex): StateRecord[] {
  if (bytes.length !== block.length || crc32(bytes) !== block.crc)
    throw new CodedError('CORRUPT', `its block of key group ${block.keyGroup} fails its checksum`)
  const reader = new ByteReader(bytes)
  const records: StateRecord[] = []
  while (reader.remaining > 0) {
    const key = reader.block()
    const value = reader.u8() === 0 ? undefined : reader.block()
    records.push({ keyGroup: block.keyGroup, key, value })
  }
  if (records.length !== block.records)
    throw new CodedError(
      'CORRUPT',
      `key group ${block.keyGroup} has ${records.length} records, ${block.records} promised`
    )
  return records
}

/** All records of a whole file, by key group. Any flipped bit or truncation throws CORRUPT naming the file. */
export function* readStateFile(bytes: Uint8Array, file: string): Generator<StateRecord> {
  try {
    for (const block of openStateFile(bytes).blocks)
      yield* parseBlock(bytes.subarray(block.offset, block.offset + block.length), block)
  } catch (error) {
    throw nameFile(error, file)
  }
}

/** Checks header and index of a file held whole. */
export function openStateFile(bytes: Uint8Array): StateFileIndex {
  if (bytes.length < headerBytes + footerBytes) throw new CodedError('CORRUPT', 'too short for a state file')
  const reader = new ByteReader(bytes)
  if (reader.u32() !== magic) throw new CodedError('CORRUPT', 'not a state file')
  const version = reader.u8()
  if (version > formatVersion)
    throw new CodedError('FORMAT_NEWER', `format version ${version}; this Cairn reads up to ${formatVersion}`)
  if (version < formatVersion) throw new CodedError('CORRUPT', `format version ${version}`)
  return parseIndex(bytes.subarray(indexOffset(bytes.subarray(-footerBytes), bytes.length)), bytes.length)
}

export function nameFile(error: unknown, file: string): unknown {
  if (!(error instanceof CodedError) || error.message.startsWith('state file')) return error
  return new CodedError(error.code, `state file "${file}": ${error.message}`)
}

/** What is left of records applied in order: later ones win, tombstones and prefix deletes are remembered when asked for. */
export class LiveRecords {
  private readonly live = new Map<string, StateRecord>()
  private readonly keepTombstones: boolean

  constructor(keepTombstones: boolean) {
    this.keepTombstones = keepTombstones
  }

  apply(record: StateRecord): void {
    const id = latin1OfBytes(record.key)
    if (record.key[0] === prefixDelete) {
      const prefix = id.slice(1)
      for (const other of this.live.keys()) if (other.startsWith(prefix)) this.live.delete(other)
      if (!this.keepTombstones) return
      // Deleted first, so that it stands before what was written after it.
      this.live.delete(id)
      this.live.set(id, record)
      return
    }
    this.live.delete(id)
    if (record.value !== undefined || this.keepTombstones) this.live.set(id, record)
  }

  values(): IterableIterator<StateRecord> {
    return this.live.values()
  }
}
