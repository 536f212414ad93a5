/**
 * Carries out what operators want done about the parked keys of one task.
 *
 *   parked ──retry, edit, drop──► what waits is run in order, its timers between ──all ran──► a key as any other
 *     ▲                                     │ a handler throws
 *     └─────────────────────────────────────┘
 *
 * Invariants
 * 1. What waits sees the watermark that stood when it came, and the timers that were due by then have fired before it: the key ends
 *    as if nothing had failed.
 * 2. While a release runs nothing else is read, but for the time that a promise of its handler is pending.
 * 3. A command that comes again does nothing again: it is under way, or its answer is known.
 */
import { assert } from '../kernel/errors.ts'
import { keyIdentity } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'
import type { Entry } from './entry.ts'
import type { HandlerRunner } from './handler-runner.ts'
import type { TimerClock } from './held-timers.ts'
import type { ParkedKey, QuarantineAnswer, QuarantineCommand, Waiting } from './quarantine.ts'
import type { TaskState } from './task-state.ts'

/** One release: what it has done so far, and up to when the key's timers have fired. */
interface Release {
  readonly command: QuarantineCommand
  readonly firedUpTo: Record<TimerClock, number>
  handled: number
  dropped: number
}

export class QuarantineRelease {
  private readonly state: TaskState
  private readonly handlers: HandlerRunner
  private readonly releases = new Map<ParkedKey, Release>()
  private readonly active = new Set<ParkedKey>()

  constructor(state: TaskState, handlers: HandlerRunner) {
    this.state = state
    this.handlers = handlers
  }

  /** Some command is not carried out yet. */
  get busy(): boolean {
    return this.active.size > 0
  }

  /** Whoever sends it has seen that the key is parked, or waits for the answer of the same command. */
  take(command: QuarantineCommand): void {
    const parked = this.state.quarantine.keys.get(keyIdentity(command.key))
    if (parked === undefined || this.state.quarantine.answered(command)) return
    if (parked.commands.some(({ id }) => id === command.id)) return
    parked.commands.push(command)
    this.active.add(parked)
  }

  /** Runs up to `budget` handlers; answers how many. */
  work(budget: number): number {
    let done = 0
    for (const parked of this.active) while (done < budget && this.step(parked)) done++
    return done
  }

  /** False: nothing can be done for the key now. */
  private step(parked: ParkedKey): boolean {
    const { entry, commands } = parked
    assert(entry !== undefined, 'a parked key without its entry')
    const [command] = commands
    if (entry.busy || command === undefined) return false
    const release = this.releases.get(parked) ?? this.begin(parked, command)
    if (release === undefined) return true
    const { outcome } = parked
    parked.outcome = undefined
    if (outcome === 'passed') release.handled++
    if (outcome === 'failed') {
      reached('quarantine: a released event fails again')
      this.end(parked, release, { outcome: 'quarantined', error: parked.failure.error })
      return true
    }
    const next = this.state.quarantine.first(parked)
    if (this.fireDue(parked, entry, release, next)) return true
    if (next !== undefined) this.run(parked, entry, release, next)
    else this.free(parked, entry, release)
    return true
  }

  private begin(parked: ParkedKey, command: QuarantineCommand): Release | undefined {
    const { quarantine } = this.state
    const first = quarantine.first(parked)
    assert(first !== undefined, 'a parked key for which nothing waits')
    const firedUpTo = { event: first.watermark, wall: first.arrivedAt }
    const release: Release = { command, firedUpTo, handled: 0, dropped: 0 }
    this.releases.set(parked, release)
    parked.outcome = undefined
    if (command.action === 'edit' && first.handler !== 'receive') {
      const what = first.handler === 'onTimer' ? 'timer' : 'alarm'
      this.end(parked, release, { outcome: 'refused', error: `what failed is ${what} "${String(first.argument)}"` })
      return undefined
    }
    if (command.action === 'edit') quarantine.replace(parked, command.value)
    const drops = command.action === 'drop' ? 1 : command.action === 'drop-all' ? parked.items.length : 0
    for (; release.dropped < drops; release.dropped++) {
      this.left(release, quarantine.first(parked) as Waiting)
      quarantine.shift(parked)
    }
    return release
  }

  /** Behind a timer or alarm that waited come the others that fell due with it. */
  private left({ firedUpTo }: Release, { handler }: Waiting): void {
    if (handler === 'onTimer') firedUpTo.event = -Infinity
    if (handler === 'onAlarm') firedUpTo.wall = -Infinity
  }

  /** Fires one timer of those that were due before `next` came, or before now where nothing waits any more. */
  private fireDue(parked: ParkedKey, entry: Entry, { firedUpTo }: Release, next: Waiting | undefined): boolean {
    const upTo = {
      event: next?.watermark ?? this.handlers.watermarkFor(entry),
      // What is due by now rings by itself once the key is free.
      wall: next?.arrivedAt ?? firedUpTo.wall
    }
    for (const clock of ['event', 'wall'] as const) {
      if (upTo[clock] <= firedUpTo[clock]) continue
      this.state.touch(entry)
      const due = this.state.held.takeDue(entry, clock, upTo[clock])
      if (due === undefined) {
        firedUpTo[clock] = upTo[clock]
        continue
      }
      parked.running = 'timer'
      parked.watermark = upTo.event
      parked.arrivedAt = upTo.wall
      const handler = clock === 'event' ? 'onTimer' : 'onAlarm'
      this.handlers.fire(handler, entry, due.name, due.at, clock === 'event' ? due.at : this.handlers.now())
      // Its time to live may have run out instead.
      if (!entry.busy) parked.running = undefined
      return true
    }
    return false
  }

  private run(parked: ParkedKey, entry: Entry, release: Release, next: Waiting): void {
    const { handler, argument, time, origin, offset, path, trace } = next
    parked.running = 'first'
    parked.watermark = next.watermark
    parked.arrivedAt = next.arrivedAt
    this.left(release, next)
    this.handlers.run(entry, handler, argument, time, origin, offset, path, trace)
  }

  private free(parked: ParkedKey, entry: Entry, release: Release): void {
    reached('quarantine: a key is free again')
    const { state } = this
    state.quarantine.release(parked)
    state.held.free(entry)
    if (!state.exists(entry)) {
      // It stayed in memory because it was parked.
      state.touch(entry)
      entry.forgotten = true
    }
    this.end(parked, release, { outcome: 'released' })
    for (const command of parked.commands.splice(0))
      this.answer(parked, { ...release, command, handled: 0, dropped: 0 }, { outcome: 'refused', error: 'it is free' })
    this.active.delete(parked)
  }

  private end(parked: ParkedKey, release: Release, how: Pick<QuarantineAnswer, 'outcome' | 'error'>): void {
    this.answer(parked, release, how)
    this.releases.delete(parked)
    parked.commands.shift()
    if (parked.commands.length === 0) this.active.delete(parked)
  }

  private answer(
    { keyGroup, items }: ParkedKey,
    { command, handled, dropped }: Release,
    how: Pick<QuarantineAnswer, 'outcome' | 'error'>
  ): void {
    const answer = { ...how, handled, dropped, waiting: items.length }
    this.state.quarantine.answer(command, keyGroup, answer, this.handlers.now())
  }
}
