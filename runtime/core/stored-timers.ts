/**
 * Up to where the stored timers of a task are in memory, and when another look into the store may find one that is due.
 *
 * Invariants
 * 1. Every stored timer at or before the boundary of its clock is in memory.
 * 2. No stored timer that is not in memory is due before `nextAt` of its clock, so that the boundary moves up to there without a read.
 */
import { latin1OfBytes } from '../kernel/bytes.ts'
import { timerBefore, type TimerPlace } from './timer-index.ts'

export type TimerClock = 'event' | 'wall'

/** What a cold read brought: a key's record, undefined when the store has none. */
export interface LoadedEntry {
  readonly keyBytes: Uint8Array
  readonly value: Uint8Array | undefined
}
export interface TimerPage {
  readonly clock: 'event' | 'wall'
  /** Index keys met, in order. */
  readonly index: readonly Uint8Array[]
  readonly entries: readonly LoadedEntry[]
  /** When the first one is due that is stored behind what was asked for, Infinity when there is none; undefined: the page was full before. */
  readonly nextAt: number | undefined
  readonly upTo: number
}

interface Boundary {
  readonly at: number
  readonly orderKey: string
  readonly name: string
  readonly cursor: Uint8Array | undefined
}

const beginning: Boundary = { at: -Infinity, orderKey: '', name: '', cursor: undefined }
/** After every key: no byte string is greater in latin1. */
const afterEveryKey = '\uffff'

export class StoredTimers {
  private readonly boundaries: Record<TimerClock, Boundary> = { event: beginning, wall: beginning }
  private readonly nextAt: Record<TimerClock, number> = { event: -Infinity, wall: -Infinity }

  /** Alarms after it may be stored only. */
  get alarmsUpTo(): number {
    return this.boundaries.wall.at
  }

  beyond(clock: TimerClock, timer: { readonly at: number; readonly orderKey: string; readonly name: string }): boolean {
    return timerBefore(this.boundaries[clock], timer)
  }

  /** As far as it is known that nothing more is stored, nothing has to be read. */
  extend(clock: TimerClock, upTo: number): void {
    const { at, cursor } = this.boundaries[clock]
    if (at < upTo && upTo < this.nextAt[clock])
      this.boundaries[clock] = { at: upTo, orderKey: afterEveryKey, name: '', cursor }
  }

  /** Something up to there may be stored only. */
  unknown(clock: TimerClock, upTo: number): boolean {
    const { at, orderKey } = this.boundaries[clock]
    return at < upTo || (at === upTo && orderKey !== afterEveryKey)
  }

  /** Where the next page begins. */
  cursor(clock: TimerClock): Uint8Array | undefined {
    return this.boundaries[clock].cursor
  }

  /**
   * A page was brought into memory, up to `last`.
   * @param nextAt of the first one stored behind `upTo`; undefined when the page ended before
   */
  read(
    clock: TimerClock,
    upTo: number,
    last: TimerPlace | undefined,
    nextAt: number | undefined,
    cursor = this.cursor(clock)
  ): void {
    this.nextAt[clock] = nextAt ?? -Infinity
    this.boundaries[clock] =
      nextAt !== undefined || last === undefined
        ? { at: upTo, orderKey: afterEveryKey, name: '', cursor }
        : { at: last.at, orderKey: latin1OfBytes(last.keyBytes), name: last.name, cursor }
  }

  /** A timer leaves memory; the store has it. */
  left(clock: TimerClock, at: number): void {
    this.nextAt[clock] = Math.min(this.nextAt[clock], at)
  }
}
