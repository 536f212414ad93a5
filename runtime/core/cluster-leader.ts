/**
 * The leader of a cluster: knows the workers by their reports, decides when a generation must end and who runs the next one.
 *
 *   gathering ─enough workers─► beginning ─begun─► running ──── a worker lost or failed ────► beginning
 *                                   ▲                 │ a worker came, leaves, drain
 *                                   │                 ▼
 *                                   └─ last epoch ─ stopping          finished or drained ─► over
 *
 * Owns the checkpoints of the generation that runs (`CheckpointLeader`). What it decides becomes true only in the decision log, which
 * the shell writes; a leader that loses there resigns.
 *
 * Invariants
 * 1. A worker counts as alive by when it was heard here, on this worker's clock; no other clock is looked at.
 * 2. Only workers with the leader's own plan get tasks.
 * 3. A planned change of the assignment (join, leave, rescale) stops behind a decided and published checkpoint; nothing is rolled back.
 * 4. Without progress, generations begin at growing distances.
 * 5. A worker to which another one lost its connection is waited for, for a few heartbeats: one that lives is heard by then, one that died
 *    gets nothing, though `lostAfterMs` is not over. It is not waited for when a younger process of its name was heard.
 * 6. Who comes while a generation runs is taken in once it is not `starting` there any more: it prepares for its share
 *    (`shell/warm-up`). After a generation that ended unplanned nobody is left out for that.
 */
import type { ResolvedLatencyGoal } from '../../actors/interval.ts'
import { reached } from '../kernel/marks.ts'
import { assign, inherited, nameOf, slotsAwayFrom, workersOf, type Assignment } from './assignment.ts'
import {
  CheckpointLeader,
  firstCheckpointMs,
  type CheckpointAction,
  type CheckpointCommand
} from './checkpoint-leader.ts'
import type { PaceGauges } from './checkpoint-pace.ts'
import type { Directive, Report } from './cluster-messages.ts'
import { isRunning, type Member, type Running } from './cluster-members.ts'
import { doubtMs, type ClusterTiming } from './cluster-timing.ts'

export interface ClusterLeaderSettings {
  /** In which it leads. */
  readonly lineage: number
  readonly worker: string
  readonly plan: string
  readonly term: number
  readonly slots: number
  readonly tasksPerWorker: number
  readonly intervalMs: number
  readonly latencyGoal?: ResolvedLatencyGoal | undefined
  readonly pendingLimitBytes: number
  readonly timing: ClusterTiming
  /** Of the newest generation in the decision log. */
  readonly previous: Assignment | undefined
  /** Who led before, if it said that it ends. */
  readonly gone?: string
  /** The newest checkpoint is final, everything is published, and nobody has to be told of it. */
  readonly finished: boolean
}

export type ClusterCommand =
  | { readonly kind: 'heard'; readonly report: Report }
  /** It is alive, though it may be too busy to report. */
  | { readonly kind: 'pulse'; readonly worker: string }
  /** The generation stands in the decision log. */
  | { readonly kind: 'begun'; readonly generation: number; readonly epoch: number; readonly final: boolean }
  | { readonly kind: 'begin-failed'; readonly message: string }
  /** What became of a checkpoint action. */
  | { readonly kind: 'checkpoint'; readonly command: CheckpointCommand }
  /** The decision of an epoch stands. */
  | ({ readonly kind: 'decided' } & NonNullable<Directive['decided']>)
  /** End the job behind a last checkpoint. */
  | { readonly kind: 'drain' }
  /** From now on so many tasks of each stage in a worker, whoever leads; the job's own number: as if nobody had asked. */
  | { readonly kind: 'rescale'; readonly tasks: number }
  /** A checkpoint that is kept; asked again, it is the same one. One that no generation has decided is forgotten with it. */
  | { readonly kind: 'savepoint'; readonly name: string }
  | { readonly kind: 'tick' }

export type ClusterAction =
  | { readonly kind: 'begin'; readonly assignment: Assignment }
  | { readonly kind: 'complete'; readonly action: Extract<CheckpointAction, { kind: 'complete' }> }
  | { readonly kind: 'announce'; readonly directive: Directive }

/** Checkpoints that ran out of time before the generation is given up: something is stuck though everybody reports. */
const stuckAfterTimeouts = 2
/** Fewer: a lost report hides a dead connection; more: a busy event loop is taken for one that turns. */
const steadyHeartbeats = 3
const firstBackoffMs = 200
const longestBackoffMs = 30_000

export class ClusterLeader {
  private readonly settings: ClusterLeaderSettings
  private readonly members = new Map<string, Member>()
  private previous: Assignment | undefined
  private perWorker: number
  private running: Running | undefined
  private beginning: Assignment | undefined
  /** The newest generation begun here. */
  private newest = 0
  private phase: Directive['phase'] = 'waiting'
  private sequence = 0
  private gatherUntil: number | undefined
  private notBefore = 0
  /** Generations begun since the last decided checkpoint. */
  private fruitless = 0
  private draining = false
  private announceAt = 0
  private dirty = true
  /** Why the last generation ended; undefined: as planned, or none has. */
  lastFailure: string | undefined

  constructor(settings: ClusterLeaderSettings) {
    this.settings = settings
    this.previous = settings.previous
    this.perWorker = settings.previous?.perWorker ?? settings.tasksPerWorker
    if (settings.finished) this.phase = 'finished'
  }

  step(command: ClusterCommand, now: number): ClusterAction[] {
    const actions: ClusterAction[] = []
    this.gatherUntil ??= now + this.settings.timing.gatherMs
    switch (command.kind) {
      case 'heard':
        this.heard(command.report, now, actions)
        break
      case 'pulse':
        this.pulse(command.worker, now)
        break
      case 'begun':
        this.begun(command.generation, command.epoch, command.final, now)
        break
      case 'begin-failed':
        this.beginning = undefined
        this.giveUp(command.message, now)
        break
      case 'checkpoint':
        this.checkpoint(command.command, now, actions)
        break
      case 'decided':
        if (this.running === undefined) break
        this.running.decided = { epoch: command.epoch, hash: command.hash, loops: command.loops }
        this.running.timeouts = 0
        this.fruitless = 0
        this.dirty = true
        this.checkpoint({ kind: 'decided', epoch: command.epoch }, now, actions)
        break
      case 'drain':
        this.draining = true
        break
      case 'rescale':
        this.perWorker = command.tasks
        break
      case 'savepoint':
        this.savepoint(command.name, now, actions)
        break
      case 'tick':
        this.checkpoint({ kind: 'tick' }, now, actions)
        break
    }
    this.watch(now, actions)
    this.begin(now, actions)
    this.announce(now, actions)
    return actions
  }

  nextDeadlineMs(now: number): number {
    const { heartbeatMs } = this.settings.timing
    const checkpoint = this.running?.checkpoints.nextDeadlineMs() ?? Infinity
    const begin = this.running === undefined && this.beginning === undefined ? this.earliestBegin(now) : Infinity
    return Math.min(this.announceAt, now + heartbeatMs, checkpoint, begin > now ? begin : Infinity)
  }

  get term(): number {
    return this.settings.term
  }

  /** Of the generation that runs. */
  get pace(): PaceGauges | undefined {
    return this.running?.checkpoints.pace
  }

  /** What the job waits for, for people. */
  get waitingFor(): string[] {
    const waiting: string[] = []
    const { running } = this
    if (this.lastFailure !== undefined) waiting.push(`the last generation ended: ${this.lastFailure}`)
    if (running === undefined) return [...waiting, `a generation to begin (${this.members.size} workers are known)`]
    const pending = running.checkpoints.pendingEpoch
    if (pending !== undefined)
      waiting.push(`epoch ${pending}: acknowledgements of ${running.checkpoints.missing.join(', ') || 'nobody'}`)
    for (const worker of running.workers) {
      const report = this.members.get(worker)?.report
      if (report?.generation !== running.generation || report.state !== 'running')
        waiting.push(`worker ${worker} to run generation ${running.generation}: it is ${report?.state ?? 'unknown'}`)
      else if (report.report?.recovered !== true) waiting.push(`worker ${worker} to recover its slots`)
    }
    return waiting
  }

  private heard(report: Report, now: number, actions: ClusterAction[]): void {
    const known = this.members.get(report.worker)
    if (known !== undefined && known.report.sequence >= report.sequence) {
      reached('cluster leader: a report that is repeated or late')
      return
    }
    const steady = known !== undefined && now - known.reportedAt <= steadyHeartbeats * this.settings.timing.heartbeatMs
    const steadySince = steady ? known.steadySince : now
    const firstAt = known?.firstAt ?? now
    const ran = known?.report.state === 'running' && known.report.generation === report.generation
    const since = { steadySince, firstAt, runsSince: ran ? known.runsSince : now }
    this.members.set(report.worker, { report, heardAt: now, reportedAt: now, ...since, doubtedAt: undefined })
    if (known === undefined) this.settleDoubt(report.name)
    const { running } = this
    const repeated = known?.report.state === 'failed' && known.report.generation === report.generation
    if (report.lost !== undefined && report.generation === this.newest && !repeated) this.doubt(report.lost, now)
    if (running === undefined) return
    if (known === undefined && this.isBackInTime(report, running))
      return this.giveUp(`worker ${report.worker} is back before the generation ran without it`, now)
    if (report.generation !== running.generation) return
    if (report.state === 'failed' && running.workers.includes(report.worker))
      return this.giveUp(`worker ${report.worker}: ${report.error ?? 'failed'}`, now)
    if (report.report !== undefined)
      this.checkpoint({ kind: 'report', worker: report.worker, report: report.report }, now, actions)
  }

  /** What it had is being fetched by others, which may take long, and it may have it still. Once: it may come and go. */
  private isBackInTime({ name }: Report, running: Running): boolean {
    if (this.fruitless > 1 || slotsAwayFrom(running.assignment, name).length === 0) return false
    if (running.workers.every(worker => isRunning(this.members.get(worker), running))) return false
    reached('cluster leader: a worker is back before the generation runs')
    return true
  }

  private savepoint(name: string, now: number, actions: ClusterAction[]): void {
    if (this.running?.savepoints.has(name) !== false) return
    this.running.savepoints.add(name)
    this.checkpoint({ kind: 'checkpoint', savepoint: name }, now, actions)
  }

  private pulse(worker: string, now: number): void {
    const member = this.members.get(worker)
    if (member === undefined) return
    member.heardAt = now
    member.doubtedAt = undefined
  }

  private doubt(worker: string, now: number): void {
    const member = this.members.get(worker)
    if (member === undefined || worker === this.settings.worker) return
    reached('cluster leader: a worker is doubted')
    member.doubtedAt ??= now
    this.settleDoubt(member.report.name)
  }

  /** Who is doubted and has a younger process of its name has ended: it is waited for no longer. */
  private settleDoubt(name: string): void {
    const namesakes = [...this.members.values()].filter(({ report }) => report.name === name)
    const youngest = Math.max(...namesakes.map(({ firstAt }) => firstAt))
    for (const member of namesakes) {
      if (member.doubtedAt === undefined || member.firstAt === youngest) continue
      reached('cluster leader: a doubted worker was started again')
      member.doubtedAt = -Infinity
    }
  }

  private checkpoint(command: CheckpointCommand, now: number, actions: ClusterAction[]): void {
    const { running } = this
    if (running === undefined) return
    for (const action of running.checkpoints.step(command, now))
      switch (action.kind) {
        case 'trigger':
          running.trigger = { epoch: action.epoch, last: action.last }
          this.dirty = true
          break
        case 'abandon':
          running.abandoned = action.epoch
          running.timeouts++
          this.dirty = true
          break
        case 'complete':
          actions.push({ kind: 'complete', action })
          break
        case 'ended':
          this.ended(action.how === 'finished' ? 'finished' : 'drained', now)
      }
  }

  private ended(how: 'finished' | 'drained', now: number): void {
    this.dirty = true
    if (how !== 'drained' || this.running?.stopping !== 'reassign') {
      this.phase = how
      return
    }
    reached('cluster leader: a planned change of the assignment')
    this.previous = this.running.assignment
    this.running = this.lastFailure = undefined
    this.notBefore = now
  }

  /** Looks after the generation that runs. */
  private watch(now: number, actions: ClusterAction[]): void {
    const { running } = this
    const { timing } = this.settings
    if (running === undefined || this.isOver) return
    for (const worker of running.workers) {
      const member = this.members.get(worker)
      if (member === undefined || now - member.heardAt > timing.lostAfterMs) {
        if (member === undefined && now - running.since <= timing.lostAfterMs) continue
        reached('cluster leader: a worker lost')
        return this.giveUp(`worker ${worker} was not heard for ${timing.lostAfterMs} ms`, now)
      }
      const runs = isRunning(member, running)
      const silent = runs ? member.report.silent?.find(peer => this.turns(peer, running, now)) : undefined
      if (silent !== undefined) {
        reached('cluster leader: a connection that carries nothing')
        return this.giveUp(`worker ${worker} hears nothing of worker ${silent}, which lives`, now)
      }
      if (!runs && now - running.since > timing.startTimeoutMs) {
        reached('cluster leader: a worker that does not start')
        return this.giveUp(`worker ${worker} did not run within ${timing.startTimeoutMs} ms`, now)
      }
    }
    if (running.timeouts >= stuckAfterTimeouts) {
      reached('cluster leader: a generation that is stuck')
      return this.giveUp(`${running.timeouts} checkpoints were given up one after the other`, now)
    }
    if (running.stopping !== undefined) return
    if (this.draining) running.stopping = 'drain'
    else if (this.nobodyStays(now) || (this.hasPutOut(running, now) && this.wantsOther(now)))
      running.stopping = 'reassign'
    if (running.stopping !== undefined) this.checkpoint({ kind: 'drain' }, now, actions)
  }

  /** It has run the generation, and has not stood still, for as long as it takes to call it silent. */
  private turns(worker: string, running: Running, now: number): boolean {
    const member = this.members.get(worker)
    const { silentAfterMs, heartbeatMs } = this.settings.timing
    if (member === undefined || !isRunning(member, running)) return false
    const fresh = now - member.reportedAt <= steadyHeartbeats * heartbeatMs
    return fresh && now - member.steadySince > silentAfterMs && now - member.runsSince > silentAfterMs
  }

  /** One change of the assignment right after the other would keep back the output of both: the first has a checkpoint before the next. */
  private hasPutOut(running: Running, now: number): boolean {
    if (running.checkpoints.recovered) running.recoveredAt ??= now
    const { recoveredAt = Infinity } = running
    // Where nothing happens there is no checkpoint.
    return running.decided !== null || now - recoveredAt > firstCheckpointMs + this.settings.intervalMs
  }

  /** Whether other workers should run the job than those that do. */
  private wantsOther(now: number): boolean {
    const { running } = this
    const able = this.able(now).filter(each => this.isPrepared(each))
    if (running === undefined || able.length === 0) return false
    const next = this.assignment(able)
    const same = (a: readonly string[], b: readonly string[]): boolean => [...a].sort().join() === [...b].sort().join()
    return !same(workersOf(next), running.workers) || this.perWorker !== this.tasksOf(running.assignment)
  }

  private isPrepared({ worker, generation, state }: Report): boolean {
    const runs = this.running?.workers.includes(worker) === true
    if (runs || (generation >= this.newest && state !== 'starting')) return true
    reached('cluster leader: a worker that comes and is not prepared')
    return false
  }

  /** Workers that may get tasks. */
  private able(now: number): Report[] {
    const { plan, timing } = this.settings
    const alive = [...this.members.values()]
      .filter(({ heardAt }) => now - heardAt <= timing.lostAfterMs)
      .filter(({ doubtedAt }) => doubtedAt === undefined || now - doubtedAt < doubtMs(timing))
      .map(({ report }) => report)
      .filter(report => report.plan === plan)
    const staying = alive.filter(report => !report.leaving)
    return (staying.length > 0 ? staying : alive).sort((a, b) => (a.worker < b.worker ? -1 : 1))
  }

  /** Every worker that may get tasks wants to go: they take a last checkpoint with them. */
  private nobodyStays(now: number): boolean {
    const able = this.able(now)
    return able.length > 0 && able.every(({ leaving }) => leaving)
  }

  private assignment(able: readonly Report[]): Assignment {
    const { slots, tasksPerWorker } = this.settings
    const { perWorker } = this
    const workers = able.map(report => report.worker)
    const previous = this.running?.assignment ?? this.previous
    const made = assign(previous && inherited(previous, able), workers, perWorker, slots)
    return perWorker === tasksPerWorker ? made : { ...made, perWorker }
  }

  private readonly tasksOf = (assignment: Assignment): number => assignment.perWorker ?? this.settings.tasksPerWorker

  private begin(now: number, actions: ClusterAction[]): void {
    if (this.running !== undefined || this.beginning !== undefined || this.isOver) return
    if (now < this.earliestBegin(now)) return
    const able = this.able(now)
    if (able.length === 0) return
    if (this.nobodyStays(now)) return reached('cluster leader: nobody stays')
    const planned = this.newest > 0 && this.lastFailure === undefined
    const prepared = planned ? able.filter(each => this.isPrepared(each)) : able
    this.beginning = this.assignment(prepared.length > 0 ? prepared : able)
    actions.push({ kind: 'begin', assignment: this.beginning })
  }

  private earliestBegin(now: number): number {
    let earliest = this.gathered ? this.notBefore : Math.max(this.gatherUntil ?? 0, this.notBefore)
    for (const { heardAt, doubtedAt } of this.members.values())
      if (doubtedAt !== undefined && now - heardAt <= this.settings.timing.lostAfterMs)
        earliest = Math.max(earliest, doubtedAt + doubtMs(this.settings.timing))
    return earliest
  }

  /** All that ran the last generation before this leader were heard, they or who was started in their place. */
  private get gathered(): boolean {
    const { previous, gone } = this.settings
    if (previous === undefined) return false
    const heard = [...this.members.values()]
    const isHere = (worker: string): boolean =>
      this.members.has(worker) || heard.some(({ report }) => report.name === nameOf(worker))
    return workersOf(previous).every(worker => worker === gone || isHere(worker))
  }

  private begun(generation: number, epoch: number, final: boolean, now: number): void {
    const assignment = this.beginning
    if (assignment === undefined) return
    const { intervalMs, latencyGoal, pendingLimitBytes, timing } = this.settings
    const workers = workersOf(assignment)
    this.beginning = undefined
    this.newest = generation
    this.fruitless++
    const checkpoints = new CheckpointLeader({
      workers,
      epoch,
      final,
      intervalMs,
      latencyGoal,
      firstAfterMs: Math.min(intervalMs, firstCheckpointMs),
      pendingLimitBytes,
      timeoutMs: timing.checkpointTimeoutMs
    })
    this.running = {
      generation,
      assignment,
      workers,
      checkpoints,
      since: now,
      trigger: null,
      abandoned: 0,
      decided: null,
      timeouts: 0,
      savepoints: new Set(),
      recoveredAt: undefined,
      stopping: undefined
    }
    this.phase = 'running'
    this.dirty = true
  }

  /** The generation cannot go on: the next begins from the newest checkpoint. */
  private giveUp(why: string, now: number): void {
    reached('cluster leader: a generation given up')
    this.lastFailure = why
    if (this.running !== undefined) this.previous = this.running.assignment
    this.running = undefined
    const backoff = this.fruitless === 0 ? 0 : firstBackoffMs * 2 ** Math.min(this.fruitless - 1, 10)
    this.notBefore = now + Math.min(backoff, longestBackoffMs)
  }

  private get isOver(): boolean {
    return this.phase === 'finished' || this.phase === 'drained'
  }

  private announce(now: number, actions: ClusterAction[]): void {
    if (!this.dirty && now < this.announceAt) return
    this.dirty = false
    this.announceAt = now + this.settings.timing.heartbeatMs
    const { running } = this
    const addresses: Record<string, string> = {}
    for (const worker of running?.workers ?? []) addresses[worker] = this.members.get(worker)?.report.address ?? ''
    actions.push({
      kind: 'announce',
      directive: {
        lineage: this.settings.lineage,
        leader: this.settings.worker,
        term: this.settings.term,
        sequence: ++this.sequence,
        phase: this.phase,
        generation: running?.generation ?? 0,
        perWorker: running === undefined ? this.perWorker : this.tasksOf(running.assignment),
        addresses,
        trigger: running?.trigger ?? null,
        abandoned: running?.abandoned ?? 0,
        decided: running?.decided ?? null
      }
    })
  }
}
