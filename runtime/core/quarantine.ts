/**
 * The quarantine of one task: keys whose handler failed where the stage says `onError: 'quarantine'`, each with what waits for it in
 * order, and the answers given to operators. All of it is state: records of the delta file,
 *
 *   of a key     kind 'q' · key, escaped                     = attempts · since · error · stack
 *   what waits   kind 'q' · key, escaped · sequence u32      = handler · watermark · arrived · time · origin · offset · path · trace ·
 *                                                              event, or name of the timer
 *   an answer    kind 'o' · key, escaped · id of the command = given at · text
 *
 * under the key group of the key, so that they move with it. Armed timers of a parked key stay in its own record.
 *
 * Invariants
 * 1. The first one waiting is what failed; the others stand in the order in which they came.
 * 2. What waits leaves the list in the epoch that holds what its handler did, and a command's answer in that of its effects.
 * 3. Beyond its limits the job fails: nothing is lost, and neither watermark nor barrier is held up.
 */
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import { usualQuarantineLimit, type QuarantineLimit } from '../../actors/plan.ts'
import type { StateFileWriter } from '../../checkpoint/state-file.ts'
import { ByteReader, ByteWriter, bytesOfLatin1, latin1OfBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { decodeKey, encodeKey, keyGroupOf, keyIdentity, keyText, type Key } from '../kernel/keys.ts'
import { readEscaped, writeEscaped } from '../kernel/ordered-bytes.ts'
import type { Entry } from './entry.ts'

/** Kind bytes of its records in state files and stores. */
export const quarantineKind = 0x71
export const operatorKind = 0x6f

export function isQuarantineRecord(key: Uint8Array): boolean {
  return key[0] === quarantineKind || key[0] === operatorKind
}

const handlers = ['receive', 'onTimer', 'onAlarm'] as const
export type HandlerName = (typeof handlers)[number]

/** A handler that waits to be run. */
export interface Waiting {
  readonly handler: HandlerName
  /** The event, or the name of the timer. */
  readonly argument: unknown
  readonly time: number
  readonly origin: string
  readonly offset: number
  readonly path: string
  readonly trace: string
  /** When it came: what the key's timers up to there have to do with it. */
  readonly watermark: number
  readonly arrivedAt: number
}
export interface Failure {
  readonly error: string
  readonly stack: string
  /** How often the first one waiting has been tried. */
  readonly attempts: number
  /** Wall clock, ms. */
  readonly since: number
}

/** What an operator wants done about a parked key. */
export interface QuarantineCommand {
  readonly id: string
  readonly stage: string
  readonly key: Key
  /** `edit`: the first one waiting is tried again with another event. `drop`: it is given up. `drop-all`: all that wait are. */
  readonly action: 'retry' | 'edit' | 'drop' | 'drop-all'
  /** Of `edit`. */
  readonly value?: unknown
}
export interface QuarantineAnswer {
  /** `released`: the key goes on as any other. `quarantined`: a handler failed again. `refused`: nothing was done. */
  readonly outcome: 'released' | 'quarantined' | 'refused'
  readonly handled: number
  readonly dropped: number
  readonly waiting: number
  readonly error?: string
}

/** As people see it. */
export interface ParkedLine extends Failure {
  readonly key: Key
  readonly waiting: readonly Omit<Waiting, 'trace' | 'watermark'>[]
}

interface Item {
  readonly sequence: number
  readonly bytes: Uint8Array
}

export class ParkedKey {
  readonly key: Key
  readonly keyGroup: number
  readonly recordKey: Uint8Array
  failure: Failure = { error: '', stack: '', attempts: 0, since: 0 }
  items: Item[] = []
  entry: Entry | undefined
  /** Commands that wait, the first of them under way. */
  readonly commands: QuarantineCommand[] = []
  /** What is being run by a release: the first one waiting, or a timer between two of them. */
  running: 'first' | 'timer' | undefined
  /** Of what was run last. */
  outcome: 'passed' | 'failed' | undefined
  /** When what is being run came, or was due. */
  watermark = -Infinity
  arrivedAt = -Infinity

  constructor(key: Key, keyGroup: number, recordKey: Uint8Array) {
    this.key = key
    this.keyGroup = keyGroup
    this.recordKey = recordKey
  }
}

interface Answer {
  readonly recordKey: Uint8Array
  readonly keyGroup: number
  readonly at: number
  readonly text: string
}
type Write = readonly [keyGroup: number, value: Uint8Array | undefined]

/** The middle: what is put before the first one counts down from it. */
const firstSequence = 0x80000000
/** Answers are kept as long as somebody may ask again; more would only grow the state. */
const answersKeptMs = 24 * 3_600_000
const answersKept = 1000

export class Quarantine {
  readonly keys = new Map<string | number, ParkedKey>()
  /** What waits, of all keys. */
  events = 0
  private sizeBytes = 0
  private readonly stage: string
  private readonly limit: QuarantineLimit
  private readonly answers = new Map<string, Answer>()
  /** Commands answered since the last decided epoch. */
  private undecided = new Set<string>()
  private sealedAnswers = new Set<string>()
  private dirty = new Map<string, Write>()
  private dirtyBytes = 0
  private sealed = new Map<string, Write>()
  private readonly scratch = new ByteWriter(256)

  constructor(stage: string, limit: QuarantineLimit = usualQuarantineLimit) {
    this.stage = stage
    this.limit = limit
  }

  // ---- keys

  park(entry: Entry, first: Waiting, failure: Failure): ParkedKey {
    const parked = this.keyed(entry.keyBytes, entry.key, entry.keyGroup)
    parked.entry = entry
    entry.parked = parked
    this.push(parked, first)
    this.fail(parked, failure)
    return parked
  }

  private keyed(keyBytes: Uint8Array, key: Key, keyGroup: number): ParkedKey {
    const identity = keyIdentity(key)
    let parked = this.keys.get(identity)
    if (parked !== undefined) return parked
    this.scratch.reset()
    this.scratch.u8(quarantineKind)
    writeEscaped(keyBytes, this.scratch)
    parked = new ParkedKey(key, keyGroup, this.scratch.take())
    this.keys.set(identity, parked)
    return parked
  }

  /** Behind all that wait. Throws QUARANTINE_FULL. */
  push(parked: ParkedKey, waiting: Waiting): void {
    this.put(parked, { sequence: (parked.items.at(-1)?.sequence ?? firstSequence - 1) + 1, bytes: encoded(waiting) })
  }

  /** Before all that wait: a timer that failed between two of them. */
  unshift(parked: ParkedKey, waiting: Waiting): void {
    this.put(parked, { sequence: (parked.items[0]?.sequence ?? firstSequence) - 1, bytes: encoded(waiting) }, true)
  }

  private put(parked: ParkedKey, item: Item, first = false): void {
    const { eventsPerKey, bytes } = this.limit
    if (parked.items.length >= eventsPerKey || this.sizeBytes + item.bytes.length > bytes)
      throw new CodedError(
        'QUARANTINE_FULL',
        `stage "${this.stage}", key ${keyText(parked.key)}: ${parked.items.length} events wait for this key, and ${this.sizeBytes} bytes for all of a task; the limits are ${eventsPerKey} and ${bytes}. It failed with: ${parked.failure.error}`
      )
    if (first) parked.items.unshift(item)
    else parked.items.push(item)
    this.events++
    this.sizeBytes += item.bytes.length
    this.write(itemKey(parked, item), parked.keyGroup, item.bytes)
  }

  first(parked: ParkedKey): Waiting | undefined {
    const item = parked.items[0]
    return item === undefined ? undefined : decoded(item.bytes)
  }

  /** The first one waits no more. */
  shift(parked: ParkedKey): void {
    const item = parked.items.shift()
    if (item === undefined) return
    this.gone(parked, item)
    // The next one has not been tried.
    parked.failure = { ...parked.failure, attempts: 0 }
  }

  /** The first one waits with another event. */
  replace(parked: ParkedKey, value: unknown): void {
    const first = this.first(parked)
    if (first === undefined) return
    this.shift(parked)
    this.unshift(parked, { ...first, argument: value })
  }

  fail(parked: ParkedKey, failure: Failure): void {
    parked.failure = failure
    this.scratch.reset()
    this.scratch.varuint(failure.attempts)
    this.scratch.f64(failure.since)
    this.scratch.string(failure.error)
    this.scratch.string(failure.stack)
    this.write(parked.recordKey, parked.keyGroup, this.scratch.take())
  }

  /** It is a key as any other again. */
  release(parked: ParkedKey): void {
    this.keys.delete(keyIdentity(parked.key))
    if (parked.entry !== undefined) parked.entry.parked = undefined
    this.write(parked.recordKey, parked.keyGroup, undefined)
  }

  private gone(parked: ParkedKey, item: Item): void {
    this.events--
    this.sizeBytes -= item.bytes.length
    this.write(itemKey(parked, item), parked.keyGroup, undefined)
  }

  lines(): ParkedLine[] {
    return [...this.keys.values()].map(parkedLine)
  }

  // ---- answers

  answer(command: QuarantineCommand, keyGroup: number, answer: QuarantineAnswer, at: number): void {
    for (const [old, given] of this.answers) {
      if (given.at > at - answersKeptMs && this.answers.size < answersKept) break
      this.answers.delete(old)
      this.write(given.recordKey, given.keyGroup, undefined)
    }
    const [recordKey, text] = [answerKey(command), JSON.stringify(answer)]
    const id = latin1OfBytes(recordKey)
    this.answers.set(id, { recordKey, keyGroup, at, text })
    this.undecided.add(id)
    this.scratch.reset()
    this.scratch.f64(at)
    this.scratch.string(text)
    this.write(recordKey, keyGroup, this.scratch.take())
  }

  answered(command: QuarantineCommand): boolean {
    return this.answers.has(latin1OfBytes(answerKey(command)))
  }

  /** The key is parked, or the command was carried out in an epoch that is not decided yet. */
  holds(command: QuarantineCommand): boolean {
    return this.keys.has(keyIdentity(command.key)) || this.answered(command)
  }

  /** Once it is decided. */
  answerOf(command: QuarantineCommand): QuarantineAnswer | undefined {
    const id = latin1OfBytes(answerKey(command))
    const given = this.answers.get(id)
    if (given === undefined || this.undecided.has(id) || this.sealedAnswers.has(id)) return undefined
    return JSON.parse(given.text) as QuarantineAnswer
  }

  // ---- records

  restore(key: Uint8Array, value: Uint8Array, keyGroups: number): void {
    const [place, reader] = [new ByteReader(key, 1), new ByteReader(value)]
    const keyBytes = readEscaped(place)
    const keyGroup = keyGroupOf(keyBytes, keyGroups)
    if (key[0] === operatorKind) {
      const recordKey = key.slice()
      this.answers.set(latin1OfBytes(key), { recordKey, keyGroup, at: reader.f64(), text: reader.string() })
      return
    }
    const parked = this.keyed(keyBytes, decodeKey(keyBytes), keyGroup)
    if (place.remaining === 0) {
      const [attempts, since] = [reader.varuint(), reader.f64()]
      parked.failure = { attempts, since, error: reader.string(), stack: reader.string() }
      return
    }
    const item = { sequence: place.u32(), bytes: value.slice() }
    // They come nearly in order.
    let at = parked.items.length
    while (at > 0 && (parked.items[at - 1] as Item).sequence > item.sequence) at--
    parked.items.splice(at, 0, item)
    this.events++
    this.sizeBytes += value.length
  }

  /** Everything was restored: parks the entries. */
  restored(entryOf: (key: Key) => Entry): void {
    for (const parked of this.keys.values()) {
      parked.entry = entryOf(parked.key)
      parked.entry.parked = parked
    }
  }

  get changed(): boolean {
    return this.dirty.size > 0
  }
  get pendingBytes(): number {
    return this.dirtyBytes
  }

  seal(writer: StateFileWriter): void {
    for (const [key, [keyGroup, value]] of this.dirty) writer.add(keyGroup, bytesOfLatin1(key), value)
    this.sealed = this.dirty
    this.sealedAnswers = this.undecided
    this.dirty = new Map()
    this.dirtyBytes = 0
    this.undecided = new Set()
  }

  decided(): void {
    this.sealed = new Map()
    this.sealedAnswers = new Set()
  }

  abandon(): void {
    this.dirtyBytes = 0
    for (const [key, write] of this.dirty) this.sealed.set(key, write)
    this.dirty = this.sealed
    for (const [key, [, value]] of this.dirty) this.dirtyBytes += key.length + (value?.length ?? 0)
    for (const id of this.sealedAnswers) this.undecided.add(id)
    this.decided()
  }

  private write(key: Uint8Array, keyGroup: number, value: Uint8Array | undefined): void {
    this.dirty.set(latin1OfBytes(key), [keyGroup, value])
    this.dirtyBytes += key.length + (value?.length ?? 0)
  }
}

function parkedLine({ key, failure, items }: ParkedKey): ParkedLine {
  const waiting = items.map(({ bytes }) => {
    const { trace: _trace, watermark: _watermark, ...rest } = decoded(bytes)
    return rest
  })
  return { key, ...failure, waiting }
}

function itemKey({ recordKey }: ParkedKey, { sequence }: Item): Uint8Array {
  const key = new Uint8Array(recordKey.length + 4)
  key.set(recordKey)
  new DataView(key.buffer).setUint32(recordKey.length, sequence)
  return key
}

function answerKey({ key, id }: QuarantineCommand): Uint8Array {
  const into = new ByteWriter(64)
  into.u8(operatorKind)
  writeEscaped(encodeKey(key), into)
  into.bytes(new TextEncoder().encode(id))
  return into.take()
}

function encoded(waiting: Waiting): Uint8Array {
  const into = new ByteWriter(256)
  into.u8(handlers.indexOf(waiting.handler))
  into.f64(waiting.watermark)
  into.f64(waiting.arrivedAt)
  into.f64(waiting.time)
  into.string(waiting.origin)
  into.f64(waiting.offset)
  into.string(waiting.path)
  into.string(waiting.trace)
  encodeValue(waiting.argument, into, 'event')
  return into.take()
}

function decoded(bytes: Uint8Array): Waiting {
  const reader = new ByteReader(bytes)
  const handler = handlers[reader.u8()]
  if (handler === undefined) throw new CodedError('CORRUPT', 'a record of a quarantine names no handler')
  return {
    handler,
    watermark: reader.f64(),
    arrivedAt: reader.f64(),
    time: reader.f64(),
    origin: reader.string(),
    offset: reader.f64(),
    path: reader.string(),
    trace: reader.string(),
    argument: decodeValue(reader)
  }
}
