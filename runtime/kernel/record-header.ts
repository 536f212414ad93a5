/** Headers of a record: names with bytes, in order; a name may come more than once. */
import { ByteReader, ByteWriter } from './bytes.ts'

export interface RecordHeader {
  readonly name: string
  readonly value: Uint8Array | undefined
}

const noBytes = new Uint8Array(0)
const noHeaders: readonly RecordHeader[] = []

/** `name · value?` for each (0 = absent, else length + 1); no headers are no bytes. */
export function encodeHeaders(headers: readonly RecordHeader[] | undefined): Uint8Array {
  if (headers === undefined || headers.length === 0) return noBytes
  const writer = new ByteWriter(128)
  for (const { name, value } of headers) {
    writer.string(name)
    writer.varuint(value === undefined ? 0 : value.length + 1)
    if (value !== undefined) writer.bytes(value)
  }
  return writer.take()
}

/** Throws CORRUPT. */
export function decodeHeaders(bytes: Uint8Array): readonly RecordHeader[] {
  if (bytes.length === 0) return noHeaders
  const reader = new ByteReader(bytes)
  const headers: RecordHeader[] = []
  while (reader.remaining > 0) {
    const name = reader.string()
    const length = reader.varuint()
    headers.push({ name, value: length === 0 ? undefined : reader.bytes(length - 1) })
  }
  return headers
}

/** Lengths may take so many bytes beside a header's name and value. */
const lengthsBytes = 10

/** What they add to a record, at most. */
export function headersSizeBytes(headers: readonly RecordHeader[] | undefined): number {
  let size = 0
  for (const { name, value } of headers ?? noHeaders) size += lengthsBytes + name.length * 3 + (value?.length ?? 0)
  return size
}
