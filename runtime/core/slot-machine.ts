/**
 * Publishes the decided outboxes of one slot (RELIABILITY.md, page one). Recovery and the normal case are one path.
 *
 *   new ─initialise─► initialising ─ok─► reading ─entry─► ready ◄──published── publishing
 *                          ▲                                │ decided chunk        │
 *                          └──────── anything but success ──┴──────────────────────┘
 *
 * Invariants
 * 1. Fence first, then read the ledger, then publish, all with one producer (P2).
 * 2. An unknown outcome is neither success nor failure: initialise anew (P3).
 * 3. A missing entry halts unless the slot is new; an entry below the manifest's floor or above the head halts (P5, S16), unless
 *    a newer generation wrote it.
 * 4. Chunks are published in order of (epoch, chunk), each at most once per the ledger.
 * 5. Positions of sources, for whoever watches from outside, go along with the last chunk of their epoch, or alone when there is none; never
 *    before what was decided with them. Nothing here relies on them. Alone only when the ledger says that the slot is this generation's: else
 *    the entry that stands is written again, so that a deposed owner that initialises once more reads it and tells nobody how far it was.
 */
import { assert, CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { LedgerEntry, PublishOutcome, SlotName, SourcePosition } from '../ports/publisher.ts'

export interface DecidedChunk {
  readonly epoch: number
  readonly chunk: number
  readonly last: boolean
  readonly manifestHash: string
  /** Outbox object and place of the chunk in it. */
  readonly file: string
  readonly offset: number
  readonly length: number
}

interface Told {
  readonly epoch: number
  readonly positions: readonly SourcePosition[]
}

export type SlotAction =
  | { readonly kind: 'initialise'; readonly slot: SlotMachine }
  | { readonly kind: 'read-ledger'; readonly slot: SlotMachine }
  | {
      readonly kind: 'publish'
      readonly slot: SlotMachine
      readonly chunk: DecidedChunk | undefined
      readonly entry: LedgerEntry
      readonly positions?: readonly SourcePosition[]
    }
  /** A transaction of positions alone. */
  | { readonly kind: 'note'; readonly slot: SlotMachine; readonly positions: readonly SourcePosition[] }

/** More: a job that ends waits longer for whoever keeps the positions. */
const mostNotes = 20

export class SlotMachine {
  readonly name: SlotName
  /** Newest entry known to be in the ledger. */
  ledger: LedgerEntry | undefined
  state: 'new' | 'initialising' | 'reading' | 'ready' | 'publishing' = 'new'
  private readonly queue: DecidedChunk[] = []
  /** Not told yet; as many as there are epochs to publish, at most. */
  private untold: readonly Told[] = []
  /** Told with what is being published. */
  private telling: Told | undefined
  private notes = 0
  private readonly floor: { readonly epoch: number; readonly chunk: number } | undefined
  private readonly generation: number
  private readonly owner: string
  private head: number

  constructor(
    name: SlotName,
    options: { floor: { epoch: number; chunk: number } | undefined; head: number; generation: number; owner: string }
  ) {
    this.name = name
    this.floor = options.floor
    this.head = options.head
    this.generation = options.generation
    this.owner = options.owner
  }

  /** A checkpoint was decided; its chunks for this slot, in order, and what this slot tells of the sources. */
  decided(epoch: number, chunks: readonly DecidedChunk[], positions: readonly SourcePosition[] = []): void {
    this.head = Math.max(this.head, epoch)
    this.queue.push(...chunks)
    if (positions.length === 0) return
    this.untold = [...this.untold, { epoch, positions }]
    this.notes = 0
  }

  /** Fenced and told what the ledger says: a checkpoint may be decided. */
  get recovered(): boolean {
    return this.ledger !== undefined
  }

  get settled(): boolean {
    return this.state === 'ready' && this.queue.length === 0 && this.untold.length === 0
  }

  /** Decided epochs with something not published yet. */
  get unpublishedEpochs(): number {
    let epochs = 0
    let last: number | undefined
    for (const { epoch } of this.queue)
      if (epoch !== last) {
        epochs++
        last = epoch
      }
    return epochs
  }

  next(): SlotAction | undefined {
    if (this.state === 'new') {
      this.state = 'initialising'
      return { kind: 'initialise', slot: this }
    }
    if (this.state !== 'ready') return undefined
    while (this.queue[0] !== undefined && this.isPublished(this.queue[0])) this.queue.shift()
    const chunk = this.queue[0]
    if (chunk === undefined) return this.note()
    this.state = 'publishing'
    this.telling = chunk.last ? this.untold.findLast(({ epoch }) => epoch <= chunk.epoch) : undefined
    return {
      kind: 'publish',
      slot: this,
      chunk,
      entry: { ...this.entry(chunk.epoch, chunk.chunk, chunk.last), manifestHash: chunk.manifestHash },
      ...(this.telling === undefined ? {} : { positions: this.telling.positions })
    }
  }

  private note(): SlotAction | undefined {
    const newest = this.untold.at(-1)
    if (newest === undefined) return undefined
    const { ledger } = this
    assert(ledger !== undefined, 'a slot is ready before its ledger was read')
    this.state = 'publishing'
    this.telling = newest
    const { positions } = newest
    if (ledger.generation === this.generation) return { kind: 'note', slot: this, positions }
    reached('slot: an entry that says whose it is now')
    const entry = { ...ledger, generation: this.generation, owner: this.owner }
    return { kind: 'publish', slot: this, chunk: undefined, entry, positions }
  }

  noted(outcome: PublishOutcome): SlotAction | undefined {
    switch (outcome.kind) {
      case 'published':
        this.told(outcome.positions)
        this.state = 'ready'
        return this.next()
      case 'fenced':
        throw this.fenced()
      default:
        this.state = 'new'
        return this.next()
    }
  }

  private told(how: 'left-out' | undefined): void {
    const { telling } = this
    this.telling = undefined
    if (telling === undefined || (how === 'left-out' && ++this.notes < mostNotes)) return
    this.untold = this.untold.filter(({ epoch }) => epoch > telling.epoch)
  }

  initialised(): SlotAction {
    this.state = 'reading'
    return { kind: 'read-ledger', slot: this }
  }

  /** The sink does not answer: everything about the slot is as unknown as before. */
  unreachable(): SlotAction | undefined {
    this.state = 'new'
    return this.next()
  }

  ledgerRead(entry: LedgerEntry | undefined): SlotAction | undefined {
    if (entry === undefined) {
      if (this.floor !== undefined || this.ledger !== undefined)
        throw this.halt('its ledger entry is missing, though one was written')
      this.state = 'publishing'
      return { kind: 'publish', slot: this, chunk: undefined, entry: this.entry(0, 0, true) }
    }
    // A deposed owner meets what its successor published: that is no damage.
    if (entry.generation > this.generation) throw this.fenced()
    const known = this.ledger ?? this.floor
    if (known !== undefined && before(entry, known))
      throw this.halt(`its ledger says ${place(entry)}, below ${place(known)} which is known to be published`)
    if (entry.epoch > this.head)
      throw this.halt(`its ledger says epoch ${entry.epoch}, above the newest checkpoint ${this.head}`)
    this.ledger = entry
    this.state = 'ready'
    return this.next()
  }

  published(outcome: PublishOutcome, entry: LedgerEntry): SlotAction | undefined {
    switch (outcome.kind) {
      case 'published':
        this.ledger = entry
        this.told(outcome.positions)
        this.state = 'ready'
        return this.next()
      case 'unknown':
        reached('slot: an unknown outcome')
        this.state = 'new'
        return this.next()
      case 'fenced':
        throw this.fenced()
      case 'refused':
        throw this.halt(`the sink refuses epoch ${entry.epoch}, chunk ${entry.chunk}: ${outcome.error.message}`)
    }
  }

  private isPublished(chunk: DecidedChunk): boolean {
    return this.ledger !== undefined && !before(this.ledger, chunk)
  }

  private entry(epoch: number, chunk: number, last: boolean): LedgerEntry {
    return { epoch, chunk, last, generation: this.generation, manifestHash: '', owner: this.owner }
  }

  private describe(): string {
    return `sink "${this.name.sink}", stage "${this.name.stage}", slot ${this.name.slot}`
  }

  private fenced(): CodedError {
    return new CodedError('FENCED', `${this.describe()}: a newer owner has taken over`)
  }

  private halt(why: string): CodedError {
    return new CodedError('RECOVERY_HALTED', `${this.describe()}: ${why}`)
  }
}

interface Place {
  readonly epoch: number
  readonly chunk: number
}

function before(a: Place, b: Place): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.chunk < b.chunk)
}

function place(at: Place): string {
  return `epoch ${at.epoch}, chunk ${at.chunk}`
}
