/**
 * The timers of keys that are not in memory, as ordered keys of the local store: kind · time · key · name, so that the store's
 * order is the firing order. They are hints: an entry's own record says which of its timers are armed, so one left over is
 * harmless and is removed when it is met.
 */
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { readEscaped, readOrderedNumber, writeEscaped, writeOrderedNumber } from '../kernel/ordered-bytes.ts'
import type { IndexedTimer } from './entry.ts'

const kinds = { event: 0x74, wall: 0x77 } as const

export interface TimerPlace extends IndexedTimer {
  readonly keyBytes: Uint8Array
}

export function timerIndexKey(place: TimerPlace): Uint8Array {
  const writer = new ByteWriter(64)
  writer.u8(kinds[place.clock])
  writeOrderedNumber(place.at, writer)
  writeEscaped(place.keyBytes, writer)
  for (let i = 0; i < place.name.length; i++) writer.u16(place.name.charCodeAt(i))
  return writer.take()
}

export function timerOfIndexKey(key: Uint8Array): TimerPlace {
  const reader = new ByteReader(key)
  const clock = reader.u8() === kinds.event ? 'event' : 'wall'
  const at = readOrderedNumber(reader)
  const keyBytes = readEscaped(reader)
  let name = ''
  while (reader.remaining > 0) name += String.fromCharCode(reader.u16())
  return { clock, at, keyBytes, name }
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
  writeOrderedNumber(upTo, end)
  for (let i = 0; i < 4; i++) end.u8(0xff)
  let from = start.take()
  if (after !== undefined) {
    from = new Uint8Array(after.length + 1)
    from.set(after)
  }
  return { from, to: end.take() }
}

/** Everything that is due after `upTo`. */
export function timerIndexBehind(
  clock: 'event' | 'wall',
  upTo: number
): { readonly from: Uint8Array; readonly to: Uint8Array } {
  return { from: timerIndexRange(clock, undefined, upTo).to, to: Uint8Array.of(kinds[clock] + 1) }
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
