/**
 * Channel state of one task: messages that were under way when an epoch was sealed. Each is a record of the epoch's delta file,
 *
 *   key = kind · sequence u32      value = key block · time · origin · offset · path · trace · message
 *
 * under the key group of its receiver, so that tasks counted anew find it by key. A sender's messages to a receiver come through
 * one channel, so the sequence of arrival keeps their order.
 *
 * Invariants
 * 1. The records of an epoch take the place of all earlier ones: those were handled before its barrier.
 * 2. An abandoned epoch leaves none: its messages were handled after the seal, so what they did belongs to the next epoch.
 */
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import type { StateFileWriter } from '../../checkpoint/state-file.ts'
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { decodeKey, encodeKey, keyGroupOf, type Key } from '../kernel/keys.ts'
import { Channel } from './channel.ts'

/** Kind byte of recorded messages in state files and stores. */
export const messageKind = 0x72

export function isRecordedMessage(key: Uint8Array): boolean {
  return key[0] === messageKind
}

interface Place {
  readonly keyGroup: number
  readonly sequence: number
}

export interface Message {
  readonly key: Key
  readonly value: unknown
  readonly time: number
  readonly origin: string
  readonly offset: number
  readonly path: string
  readonly trace: string
}

export class RecordedMessages {
  /** In the newest checkpoint. */
  private stored: Place[] = []
  /** Of the sealed epoch. */
  private taken: Place[] = []
  private restored: { readonly sequence: number; readonly message: Message }[] = []
  private readonly key = new ByteWriter(16)
  private readonly value = new ByteWriter(256)

  /** Of the sealed epoch, so far. */
  get count(): number {
    return this.taken.length
  }

  restore(keyBytes: Uint8Array, value: Uint8Array, keyGroups: number): void {
    const message = decodeMessage(value)
    const sequence = new ByteReader(keyBytes, 1).u32()
    this.stored.push({ keyGroup: keyGroupOf(encodeKey(message.key), keyGroups), sequence })
    this.restored.push({ sequence, message })
  }

  /** What was restored, in the order of its arrival: to be handled before anything else. */
  replay(): Channel {
    const channel = new Channel()
    for (const { message } of this.restored.sort((a, b) => a.sequence - b.sequence)) {
      const { key, value, time, origin, offset, path, trace } = message
      channel.push(key, value, time, origin, offset, path, trace)
    }
    this.restored = []
    return channel
  }

  get restoredSome(): boolean {
    return this.restored.length > 0
  }

  seal(writer: StateFileWriter): void {
    this.taken = []
    for (const { keyGroup, sequence } of this.stored) writer.add(keyGroup, this.keyOf(sequence).take(), undefined)
  }

  record(writer: StateFileWriter, keyGroup: number, message: Message): void {
    const place = { keyGroup, sequence: this.taken.length }
    this.taken.push(place)
    const { value } = this
    value.reset()
    value.block(encodeKey(message.key))
    value.f64(message.time)
    value.string(message.origin)
    value.f64(message.offset)
    value.string(message.path)
    value.string(message.trace)
    encodeValue(message.value, value, 'message')
    writer.addFrom(keyGroup, this.keyOf(place.sequence), value)
  }

  decided(): void {
    this.stored = this.taken
    this.taken = []
  }

  abandon(): void {
    this.taken = []
  }

  private keyOf(sequence: number): ByteWriter {
    this.key.reset()
    this.key.u8(messageKind)
    this.key.u32(sequence)
    return this.key
  }
}

export function decodeMessage(value: Uint8Array): Message {
  const reader = new ByteReader(value)
  const key = decodeKey(reader.block())
  const time = reader.f64()
  const origin = reader.string()
  const offset = reader.f64()
  const path = reader.string()
  const trace = reader.string()
  return { key, time, origin, offset, path, trace, value: decodeValue(reader) }
}
