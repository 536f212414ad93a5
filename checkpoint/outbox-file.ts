/**
 * Outbox files: one epoch's outputs of one task, final bytes, cut into chunks small enough for one transaction each. A chunk is
 * `record* · crc32`; a record is `partition · timestamp f64 · key? · value? · headers` (0 = absent, else length + 1; headers: a length and
 * what `record-header.ts` writes).
 */
import { ByteReader, ByteWriter } from '../runtime/kernel/bytes.ts'
import { crc32 } from '../runtime/kernel/checksum.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { decodeHeaders, encodeHeaders, type RecordHeader } from '../runtime/kernel/record-header.ts'
import type { OutboxChunk, OutboxSection } from './manifest.ts'

/** A larger chunk would make a transaction long; one record may be larger. */
const chunkLimitBytes = 1024 * 1024

export interface OutboxRecord {
  readonly partition: number
  readonly timestamp: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly headers?: readonly RecordHeader[]
}

interface OpenSection {
  readonly sink: string
  readonly slot: number
  readonly chunks: { bytes: Uint8Array; records: number }[]
  readonly writer: ByteWriter
  records: number
}

export class OutboxFileWriter {
  /** By sink, then slot. */
  private readonly sections = new Map<string, (OpenSection | undefined)[]>()

  /** What was written, about. */
  sizeBytes = 0

  /** Puts the records of a later writer behind those of this one: an abandoned epoch's outputs come before the next one's. */
  absorb(later: OutboxFileWriter): void {
    for (const section of later.all()) {
      closeChunk(section)
      const own = this.section(section.sink, section.slot)
      closeChunk(own)
      own.chunks.push(...section.chunks)
    }
    this.sizeBytes += later.sizeBytes
  }

  append(sink: string, slot: number, { partition, timestamp, key, value, headers }: OutboxRecord): void {
    const section = this.section(sink, slot)
    begin(section.writer, partition, timestamp, key)
    writePart(section.writer, value)
    const more = writeHeaders(section.writer, headers)
    this.added(section, (key?.length ?? 0) + (value?.length ?? 0) + more)
  }

  /** The same for a value that is well-formed text. False: it takes more than `limitBytes` and was not added. */
  appendText(
    sink: string,
    slot: number,
    partition: number,
    timestamp: number,
    key: Uint8Array | undefined,
    value: string,
    headers: readonly RecordHeader[] | undefined,
    limitBytes: number
  ): boolean {
    const section = this.section(sink, slot)
    const { writer } = section
    const start = writer.length
    begin(writer, partition, timestamp, key)
    const bytes = writer.textPlusOne(value)
    if (bytes > limitBytes) {
      writer.truncate(start)
      return false
    }
    const more = writeHeaders(writer, headers)
    this.added(section, (key?.length ?? 0) + bytes + more)
    return true
  }

  private added(section: OpenSection, bytes: number): void {
    this.sizeBytes += bytes + 12
    section.records++
    if (section.writer.length >= chunkLimitBytes) closeChunk(section)
  }

  private section(sink: string, slot: number): OpenSection {
    let slots = this.sections.get(sink)
    if (slots === undefined) this.sections.set(sink, (slots = []))
    return (slots[slot] ??= { sink, slot, chunks: [], writer: new ByteWriter(), records: 0 })
  }

  private *all(): Generator<OpenSection> {
    for (const slots of this.sections.values()) for (const section of slots) if (section !== undefined) yield section
  }

  finish(): { readonly bytes: Uint8Array; readonly sections: readonly OutboxSection[] } {
    const file = new ByteWriter(64 * 1024)
    const sections = [...this.all()].map((section): OutboxSection => {
      closeChunk(section)
      const chunks = section.chunks.map((chunk, i): OutboxChunk => {
        const offset = file.length
        file.bytes(chunk.bytes)
        return { offset, length: chunk.bytes.length, records: chunk.records, last: i === section.chunks.length - 1 }
      })
      return { sink: section.sink, slot: section.slot, chunks }
    })
    return { bytes: file.take(), sections }
  }
}

function begin(writer: ByteWriter, partition: number, timestamp: number, key: Uint8Array | undefined): void {
  writer.varuint(partition)
  writer.f64(timestamp)
  writePart(writer, key)
}

function writePart(writer: ByteWriter, part: Uint8Array | undefined): void {
  if (part === undefined) return writer.varuint(0)
  writer.varuint(part.length + 1)
  writer.bytes(part)
}

/** Answers their bytes. */
function writeHeaders(writer: ByteWriter, headers: readonly RecordHeader[] | undefined): number {
  if (headers === undefined) {
    writer.u8(0)
    return 0
  }
  const bytes = encodeHeaders(headers)
  writer.block(bytes)
  return bytes.length
}

function closeChunk(section: OpenSection): void {
  if (section.records === 0) return
  section.writer.u32(crc32(section.writer.view()))
  section.chunks.push({ bytes: section.writer.take(), records: section.records })
  section.writer.reset()
  section.records = 0
}

export function decodeChunk(bytes: Uint8Array, file: string): OutboxRecord[] {
  if (bytes.length < 4 || crc32(bytes.subarray(0, bytes.length - 4)) !== new ByteReader(bytes, bytes.length - 4).u32())
    throw new CodedError('CORRUPT', `outbox file "${file}": a chunk fails its checksum`)
  const reader = new ByteReader(bytes, 0, bytes.length - 4)
  const part = (): Uint8Array | undefined => {
    const length = reader.varuint()
    return length === 0 ? undefined : reader.bytes(length - 1)
  }
  const records: OutboxRecord[] = []
  while (reader.remaining > 0) {
    const record = { partition: reader.varuint(), timestamp: reader.f64(), key: part(), value: part() }
    const headers = decodeHeaders(reader.block())
    records.push(headers.length === 0 ? record : { ...record, headers })
  }
  return records
}
