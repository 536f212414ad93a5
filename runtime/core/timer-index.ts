/**
 * The timers of keys that are not in memory, as ordered keys of the local store: kind · time · key · name, so that the store's
 * order is the firing order. They are hints: an entry's own record says which of its timers are armed, so one left over is
 * harmless and is removed when it is met.
 */
import { ByteReader, ByteWriter, latin1OfBytes } from '../kernel/bytes.ts'
import type { IndexedTimer } from './entry.ts'

const kinds = { event: 0x74, wall: 0x77 } as const

export interface TimerPlace extends IndexedTimer {
  readonly keyBytes: Uint8Array
}

/** IEEE bits turned so that byte order is number order, negative numbers included. */
function sortable(at: number, into: ByteWriter): void {
  const view = new DataView(new ArrayBuffer(8))
  view.setFloat64(0, at + 0)
  const high = view.getUint32(0)
  const negative = high >= 0x80000000
  into.u32((negative ? ~high : high | 0x80000000) >>> 0)
  into.u32((negative ? ~view.getUint32(4) : view.getUint32(4)) >>> 0)
}

function unsortable(reader: ByteReader): number {
  const [high, low] = [reader.u32(), reader.u32()]
  const view = new DataView(new ArrayBuffer(8))
  const positive = high >= 0x80000000
  view.setUint32(0, (positive ? high & 0x7fffffff : ~high) >>> 0)
  view.setUint32(4, (positive ? low : ~low) >>> 0)
  return view.getFloat64(0)
}

/** Zero bytes are escaped and a terminator added, so that what follows never disturbs the order. */
function escaped(bytes: Uint8Array, into: ByteWriter): void {
  for (const byte of bytes) {
    into.u8(byte)
    if (byte === 0) into.u8(0xff)
  }
  into.u16(0)
}

export function timerIndexKey(place: TimerPlace): Uint8Array {
  const writer = new ByteWriter(64)
  writer.u8(kinds[place.clock])
  sortable(place.at, writer)
  escaped(place.keyBytes, writer)
  for (let i = 0; i < place.name.length; i++) writer.u16(place.name.charCodeAt(i))
  return writer.take()
}

export function timerOfIndexKey(key: Uint8Array): TimerPlace {
  const reader = new ByteReader(key)
  const clock = reader.u8() === kinds.event ? 'event' : 'wall'
  const at = unsortable(reader)
  const bytes: number[] = []
  for (;;) {
    const byte = reader.u8()
    if (byte !== 0) bytes.push(byte)
    else if (reader.u8() === 0) break
    else bytes.push(0)
  }
  let name = ''
  while (reader.remaining > 0) name += String.fromCharCode(reader.u16())
  return { clock, at, keyBytes: Uint8Array.from(bytes), name }
}

/** From (exclusive) the last timer read, to (inclusive) everything due at `upTo`. */
export function timerIndexRange(
  clock: 'event' | 'wall',
  after: Uint8Array | undefined,
  upTo: number
): { readonly from: Uint8Array; readonly to: Uint8Array } {
  const start = new ByteWriter(16)
  start.u8(kinds[clock])
  const end = new ByteWriter(16)
  end.u8(kinds[clock])
  sortable(upTo, end)
  for (let i = 0; i < 4; i++) end.u8(0xff)
  let from = start.take()
  if (after !== undefined) {
    from = new Uint8Array(after.length + 1)
    from.set(after)
  }
  return { from, to: end.take() }
}

/** In the order of firing: time, key, name. */
export function timerBefore(
  a: { at: number; orderKey: string; name: string },
  b: { at: number; orderKey: string; name: string }
): boolean {
  if (a.at !== b.at) return a.at < b.at
  if (a.orderKey !== b.orderKey) return a.orderKey < b.orderKey
  return a.name < b.name
}

export const orderKeyOf = latin1OfBytes
