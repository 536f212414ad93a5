/**
 * State files: the records that changed in one epoch of one task.
 *
 *   magic u32 · version u8 · record* · footer · footer length u32 · sha of nothing: the whole file's SHA-256 is in the manifest
 *   record = key group u16 · key block · 0 (tombstone) | 1 value block · crc32 u32 of the record's bytes
 *   footer = record count · crc32 of everything before it
 */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { crc32 } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

const magic = 0x43524e44
const formatVersion = 1
const footerBytes = 8

export interface StateRecord {
  readonly keyGroup: number
  readonly key: Uint8Array
  /** undefined = deleted. */
  readonly value: Uint8Array | undefined
}

export class StateFileWriter {
  private readonly writer = new ByteWriter(64 * 1024)
  records = 0

  constructor() {
    this.writer.u32(magic)
    this.writer.u8(formatVersion)
  }

  add(keyGroup: number, key: Uint8Array, value: Uint8Array | undefined): void {
    const start = this.writer.length
    this.writer.u16(keyGroup)
    this.writer.block(key)
    this.writer.u8(value === undefined ? 0 : 1)
    if (value !== undefined) this.writer.block(value)
    this.writer.u32(crc32(this.writer.view().subarray(start)))
    this.records++
  }

  get sizeBytes(): number {
    return this.writer.length + footerBytes
  }

  finish(): Uint8Array {
    this.writer.u32(this.records)
    this.writer.u32(crc32(this.writer.view()))
    return this.writer.take()
  }
}

/** All records, in the order written. Any flipped bit or truncation throws CORRUPT naming the file. */
export function readStateFile(bytes: Uint8Array, file: string): StateRecord[] {
  try {
    return parse(bytes)
  } catch (error) {
    if (error instanceof CodedError && error.code === 'CORRUPT')
      throw new CodedError('CORRUPT', `state file "${file}": ${error.message}`)
    throw error
  }
}

function parse(bytes: Uint8Array): StateRecord[] {
  const reader = new ByteReader(bytes)
  if (reader.u32() !== magic) throw new CodedError('CORRUPT', 'not a state file')
  const version = reader.u8()
  if (bytes.length < 13 || crc32(bytes.subarray(0, bytes.length - 4)) !== new ByteReader(bytes, bytes.length - 4).u32())
    throw new CodedError('CORRUPT', 'its checksum does not match')
  if (version > formatVersion)
    throw new CodedError('FORMAT_NEWER', `format version ${version}; this Cairn reads up to ${formatVersion}`)
  const count = new ByteReader(bytes, bytes.length - footerBytes).u32()
  const body = new ByteReader(bytes, 5, bytes.length - footerBytes)
  const records: StateRecord[] = []
  while (body.remaining > 0) {
    const start = body.offset
    const keyGroup = body.u16()
    const key = body.block()
    const value = body.u8() === 0 ? undefined : body.block()
    const sum = crc32(bytes.subarray(start, body.offset))
    if (body.u32() !== sum) throw new CodedError('CORRUPT', `the record at byte ${start} fails its checksum`)
    records.push({ keyGroup, key, value })
  }
  if (records.length !== count) throw new CodedError('CORRUPT', `${records.length} records, ${count} promised`)
  return records
}
