/**
 * One worker process of a cluster: makes itself known, seeks the lease, follows whoever leads, and leads when it is elected. Every worker
 * runs this same loop. It carries out what the machines ask (`Elector`, `Follower`, `ClusterLeader`, `Worker`) and decides nothing.
 */
import type { Fullness } from '../core/worker-gauges.ts'
import type { Plan } from '../../actors/plan.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { readCheckpoint } from '../../checkpoint/recovery.ts'
import { slotsAwayFrom, workersOf } from '../core/assignment.ts'
import {
  decodeDirective,
  decodePulse,
  decodeReport,
  encodeMessage,
  subjects,
  type Report
} from '../core/cluster-messages.ts'
import { doubtMs, type ClusterTiming } from '../core/cluster-timing.ts'
import type { ElectorTiming } from '../core/elector.ts'
import { Follower, type FollowerAction } from '../core/follower.ts'
import { buildStageGraph, type StageGraph } from '../core/stage-graph.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { ControlBus } from '../ports/control-bus.ts'
import type { Transport } from '../ports/transport.ts'
import { Candidacy } from './candidacy.ts'
import { obey } from './cluster-commands.ts'
import { Connections, PeerLost } from './connections.ts'
import { lineageOf, openGeneration, prepare, type Generation, type Ports } from './generation.ts'
import { Leadership } from './leadership.ts'
import { warmUp } from './warm-up.ts'

export interface ClusterSettings {
  readonly plan: Plan
  /** Equal for equal job code: only workers with the leader's own run. */
  readonly planHash: string
  /** Stays the same when the process is started again. */
  readonly name: string
  readonly ports: Ports
  readonly bus: ControlBus
  readonly transport: Transport
  readonly timing: ClusterTiming & ElectorTiming
  /** Told why a data connection that somebody made was closed, for a log. */
  readonly refused?: (reason: string) => void
}

export class ClusterWorker {
  /** This incarnation. */
  readonly id: string
  /** How the job ended. Rejects with LINEAGE_ENDED when it goes on in another lineage: the worker can join it once it is started again. */
  readonly ended: Promise<'finished' | 'drained' | 'stopped'>
  leadership: Leadership | undefined
  /** What runs here now. */
  generation: Generation | undefined
  /** Why the last generation ended here. */
  failure: string | undefined
  /** Why it last gave up the lead, though it held the lease. */
  resignation: string | undefined
  /** Generations that failed here. */
  failures = 0
  /** Generations that this worker has run. */
  generations = 0
  /** Called with why a generation failed here: the next one may follow at once. */
  onFailure: (failure: string) => void = () => undefined
  /** Called with each generation that is over here, before it is let go. */
  onDrop: (generation: Generation) => void = () => undefined
  private readonly settings: ClusterSettings
  private readonly graph: StageGraph
  private readonly candidacy: Candidacy
  private readonly follower = new Follower()
  private readonly connections: Connections
  private state: Report['state'] = 'idle'
  private address = ''
  private sequence = 0
  private leaving = false
  private reported = ''
  /** Who said last that it leads, and when. */
  private leader: { readonly id: string; readonly heardAt: number } | undefined
  /** Who led last and said that it ends. */
  private gone: string | undefined
  /** The peer with whose connection the generation ended here. */
  private lost: string | undefined
  private readonly lineage: number
  private over = false
  private finishing = false
  private pastEvents = 0
  private cancelTick: (() => void) | undefined
  private reportAt = 0
  private readonly unsubscribe: (() => void)[] = []
  private settle!: { resolve(how: 'finished' | 'drained' | 'stopped'): void; reject(error: unknown): void }

  constructor(settings: ClusterSettings) {
    this.settings = settings
    this.id = `${settings.name}#${settings.ports.nonce()}`
    this.graph = buildStageGraph(settings.plan)
    this.lineage = lineageOf(settings.ports, undefined)
    const { bus, ports, timing } = settings
    this.candidacy = new Candidacy({
      worker: this.id,
      leases: bus.leases,
      timing,
      elapsed: () => ports.clock.elapsed(),
      elected: () => this.lead(),
      deposed: () => {
        void this.leadership?.resign()
        this.leadership = undefined
      }
    })
    this.connections = new Connections({
      job: settings.plan.job,
      lineage: this.lineage,
      worker: this.id,
      transport: settings.transport,
      clock: settings.ports.clock,
      pingMs: settings.timing.heartbeatMs,
      ...(settings.refused === undefined ? {} : { refused: settings.refused })
    })
    this.ended = new Promise((resolve, reject) => (this.settle = { resolve, reject }))
    this.ended.catch(() => undefined)
  }

  async start(): Promise<void> {
    const { bus, plan } = this.settings
    this.address = await this.connections.listen()
    if (this.over) return
    this.unsubscribe.push(
      bus.subscribe(`${plan.job}.${subjects.directives}`, bytes => this.directive(bytes)),
      bus.subscribe(`${plan.job}.${subjects.reports}`, bytes => {
        if (this.leadership === undefined) return
        const report = decodeReport(bytes)
        if (report === undefined) reached('cluster worker: a message that is no report')
        else if (report.lineage === this.lineage) this.leadership.heard(report)
      }),
      bus.subscribe(`${plan.job}.${subjects.pulses}`, bytes => {
        const pulse = decodePulse(bytes)
        if (pulse !== undefined) this.leadership?.pulse(pulse.worker)
      }),
      bus.subscribe(`${plan.job}.${subjects.commands}`, bytes => obey(this, bytes))
    )
    this.tick()
  }

  /** Gives away what it runs, then ends. Where nobody stays, who comes later goes on from the last checkpoint. */
  leave(): void {
    this.leaving = true
    if (this.state === 'idle') void this.stop()
    else this.report()
  }

  get leads(): boolean {
    return this.leadership !== undefined
  }

  get isLeaving(): boolean {
    return this.leaving
  }

  get phase(): Report['state'] {
    return this.state
  }

  /** Ends the job behind a last checkpoint, if this worker leads. */
  drain(): void {
    this.leadership?.drain()
  }

  /** So many tasks of each stage in a worker from now on, if this worker leads. */
  rescale(tasks: number): void {
    this.leadership?.rescale(tasks)
  }

  /** A checkpoint that is kept under that name, if this worker leads. */
  savepoint(name: string): void {
    this.leadership?.savepoint(name)
  }

  /** The newest generation it was told to enter. */
  get generationNumber(): number {
    return this.follower.generation
  }

  /** Handled by actors here, in all generations. */
  get events(): number {
    return this.pastEvents + (this.generation?.worker.counts.events ?? 0)
  }

  /** Of the generation that runs here. */
  get fullness(): Fullness | undefined {
    return this.generation?.worker.fullness
  }

  get isOver(): boolean {
    return this.over
  }

  async stop(how: 'finished' | 'drained' | 'stopped' = 'stopped'): Promise<void> {
    if (this.over) return
    await this.close()
    this.settle.resolve(how)
  }

  /** The job went on in another lineage. */
  private async outlived(error: CodedError): Promise<void> {
    if (this.over) return
    reached('cluster worker: its lineage has ended')
    await this.close()
    this.settle.reject(error)
  }

  private async close(): Promise<void> {
    this.over = true
    this.cancelTick?.()
    for (const each of this.unsubscribe) each()
    const generation = this.drop()
    const handedOver = this.handOver()
    await this.leadership?.resign()
    await this.connections.close()
    await generation?.shell.stop()
    await handedOver
  }

  /** So that the next leader need not wait until the lease expires. The bus may be away: that is not waited for. */
  private async handOver(): Promise<void> {
    const { bus, plan, ports, timing } = this.settings
    const given = this.candidacy.giveBack()
    if (given === undefined) return
    const message = encodeMessage({ kind: 'elect', worker: this.id })
    const tell = (): void => bus.publish(`${plan.job}.${subjects.commands}`, message)
    const told = given.then(tell, () => undefined)
    await Promise.race([told, new Promise<void>(resolve => ports.clock.after(timing.heartbeatMs, resolve))])
  }

  /** The leader gave the lead away. */
  bereft(leader: string): void {
    if (this.over || this.leader?.id !== leader) return
    reached('cluster worker: the leader gave the lead away')
    this.leader = undefined
    this.gone = leader
    this.candidacy.step({ kind: 'suspect', holder: leader })
  }

  /** What this worker waits for, for people. */
  get waitingFor(): string[] {
    const own = `worker ${this.id} is ${this.state} in generation ${this.follower.generation}`
    const why = this.failure === undefined ? own : `${own} (${this.failure})`
    return this.leadership === undefined ? [why] : [`${why} and leads`, ...this.leadership.waitingFor]
  }

  /** A leader goes on telling the others for a while. */
  private finish(how: 'finished' | 'drained'): void {
    if (this.finishing) return
    this.finishing = true
    const { timing, ports } = this.settings
    if (this.leadership === undefined) void this.stop(how)
    else ports.clock.after(timing.lostAfterMs, () => void this.stop(how))
  }

  // ---- beating

  private tick(): void {
    if (this.over) return
    const { clock } = this.settings.ports
    const now = clock.elapsed()
    this.candidacy.step({ kind: 'tick' })
    this.doubtLeader(now)
    if (now >= this.reportAt) this.report()
    this.cancelTick?.()
    const next = Math.min(this.candidacy.nextDeadlineMs(), this.reportAt)
    this.cancelTick = clock.after(Math.max(1, next - now), () => this.tick())
  }

  /** A leader whose connection broke and that says nothing is not waited for until its lease is over. */
  private doubtLeader(now: number): void {
    const { leader, lost } = this
    if (leader === undefined || lost !== leader.id) return
    if (now - leader.heardAt < doubtMs(this.settings.timing)) return
    this.leader = undefined
    this.candidacy.step({ kind: 'suspect', holder: leader.id })
  }

  private report(): void {
    if (this.over) return
    const { bus, plan, planHash, name, timing, ports } = this.settings
    const report = this.generation?.shell.report
    const silent = this.connections.silent(timing.silentAfterMs)
    const message: Report = {
      lineage: this.lineage,
      worker: this.id,
      name,
      sequence: ++this.sequence,
      address: this.address,
      plan: planHash,
      leaving: this.leaving,
      generation: this.follower.generation,
      state: this.state,
      ...(this.failure === undefined ? {} : { error: this.failure }),
      ...(this.lost === undefined ? {} : { lost: this.lost }),
      ...(silent.length === 0 ? {} : { silent }),
      ...(report === undefined ? {} : { report })
    }
    this.reportAt = ports.clock.elapsed() + timing.heartbeatMs
    bus.publish(`${plan.job}.${subjects.reports}`, encodeMessage(message))
    // The bus may be away: whoever leads here hears its own worker in any case.
    this.leadership?.heard(message)
  }

  /** Reports at once when the leader should know now rather than at the next beat. */
  private stepped(): void {
    const report = this.generation?.shell.status
    if (report === undefined) return
    const { limits } = this.settings.ports
    const half = (limits?.pendingLimitBytes ?? Infinity) / 2
    const urgent = [
      report.changed,
      report.finished,
      report.recovered,
      report.settled,
      report.decided,
      report.written,
      report.declined?.epoch,
      report.pendingBytes >= half
    ].join()
    if (urgent === this.reported) return
    this.reported = urgent
    this.report()
  }

  // ---- the lease

  private lead(): void {
    // Who knows that the job is over does not begin it anew, though it lost the lease and has it again.
    if (this.over || this.finishing || this.leadership !== undefined) return
    const { plan, planHash, ports, bus, timing } = this.settings
    const leadership = new Leadership({
      plan,
      planHash,
      graph: this.graph,
      ports,
      worker: this.id,
      ...(this.gone === undefined ? {} : { gone: this.gone }),
      timing,
      announce: directive => {
        const bytes = encodeMessage(directive)
        bus.publish(`${plan.job}.${subjects.directives}`, bytes)
        this.directive(bytes)
      },
      resigned: () => {
        if (this.leadership !== leadership) return
        this.leadership = undefined
        this.resignation = leadership.trouble
        if (leadership.lineageEnded !== undefined) return void this.outlived(leadership.lineageEnded)
        // Another build may be able to: during an upgrade the state may be newer than this one.
        if (leadership.unfit) return this.candidacy.step({ kind: 'yield' })
        // As long as the lease is held it will be tried again, from what the log says then.
        ports.clock.after(timing.heartbeatMs, () => {
          if (this.candidacy.leads) this.lead()
        })
      }
    })
    this.leadership = leadership
    leadership.start()
    this.report()
  }

  // ---- following

  private directive(bytes: Uint8Array): void {
    if (this.over) return
    const directive = decodeDirective(bytes)
    if (directive === undefined) return reached('cluster worker: a message that is no directive')
    const { lineage } = this
    if (directive.lineage < lineage) return reached('cluster worker: a directive of a lineage that has ended')
    if (directive.lineage > lineage)
      return void this.outlived(new CodedError('LINEAGE_ENDED', `the job goes on in lineage ${directive.lineage}`))
    const { term } = this.follower
    if (directive.term >= term) this.leader = { id: directive.leader, heardAt: this.settings.ports.clock.elapsed() }
    this.follow(this.follower.heard(directive))
    this.leadership?.outdated(directive.term)
    if (this.leaving && !this.finishing && directive.generation === 0) {
      reached('cluster worker: it leaves while no generation runs')
      return void this.stop()
    }
    // A new leader knows nobody yet.
    if (this.follower.term > term) this.report()
  }

  private follow(actions: readonly FollowerAction[]): void {
    for (const action of actions) {
      const shell = this.generation?.shell
      switch (action.kind) {
        case 'enter':
          void this.enter(action.generation, action.addresses)
          break
        case 'decided':
          shell?.decided(action.epoch, action.hash, action.loops)
          break
        case 'abandon':
          shell?.command({ kind: 'abandon', epoch: action.epoch })
          break
        case 'trigger':
          shell?.command({ kind: 'trigger', epoch: action.epoch, last: action.last })
          break
        case 'over':
          this.finish(action.how)
      }
    }
  }

  /** Leaves the old generation, then runs the new one, if the decision log says so. */
  private async enter(number: number, addresses: Readonly<Record<string, string>>): Promise<void> {
    const old = this.drop()
    this.connections.leave()
    this.failure = undefined
    this.lost = undefined
    this.state = 'starting'
    this.report()
    try {
      await old?.shell.stop()
      const opened = await this.open(number)
      if (this.over || this.follower.generation !== number) {
        reached('cluster worker: a generation that was over before it began here')
        return void opened?.shell.stop()
      }
      if (opened === undefined) {
        this.state = 'idle'
        if (this.leaving) void this.stop()
        else this.report()
        return
      }
      this.run(number, opened, addresses)
    } catch (error) {
      this.failed(number, error)
    }
  }

  private async open(number: number): Promise<Generation | undefined> {
    const { plan, ports } = this.settings
    const log = await DecisionLog.open(ports.storage, ports.nonce)
    log.refuseEnded()
    const begins = log.begun
    if (begins?.generation !== number)
      throw new CodedError('FENCED', `generation ${number} is not the newest in the decision log`)
    const { assignment } = begins
    const isOver = (): boolean => this.over || this.follower.generation !== number
    if (!workersOf(assignment).includes(this.id)) {
      const slots = slotsAwayFrom(assignment, this.settings.name)
      await warmUp({ graph: this.graph, ports, lineage: this.lineage, slots }, () => isOver() || this.leaving)
      return undefined
    }
    // The others run it, maybe for long: only who takes part finds what it began from for sure.
    const parent = log.entries.findLast(entry => entry.kind === 'completed' && entry.epoch === begins.parent?.epoch)
    const head = parent?.kind === 'completed' ? await readCheckpoint(ports.storage, plan.job, parent) : undefined
    if (head?.hash !== begins.parent?.hash)
      throw new CodedError('RECOVERY_HALTED', `the checkpoint that generation ${number} begins from is not in the log`)
    return openGeneration({
      graph: this.graph,
      ports,
      prepared: prepare(this.graph, head?.manifest, ports.dropState ?? []),
      head,
      decided: epoch => log.decided(epoch),
      lineage: lineageOf(ports, head?.manifest),
      generation: number,
      worker: this.id,
      assignment,
      isOver,
      send: (peer, frame) => this.connections.send(peer, frame)
    })
  }

  private run(number: number, opened: Generation, addresses: Readonly<Record<string, string>>): void {
    const { shell, worker } = opened
    const peers = new Map(
      workersOf(worker.assignment)
        .filter(peer => peer !== this.id)
        .map(peer => [peer, addresses[peer] ?? ''])
    )
    this.generation = opened
    this.generations++
    this.state = 'running'
    shell.onStep = () => {
      if (this.generation === opened) this.stepped()
    }
    shell.ended.catch((error: unknown) => {
      if (this.generation === opened) this.failed(number, error)
    })
    this.connections.enter(
      number,
      peers,
      (peer, frames) => shell.command({ kind: 'frames', peer, frames }),
      error => shell.fail(error)
    )
    shell.start()
    this.report()
    this.follow(this.follower.entered(number))
  }

  /** Lets go of what runs; the caller stops it. */
  private drop(): Generation | undefined {
    const { generation } = this
    if (generation !== undefined) this.onDrop(generation)
    this.pastEvents = this.events
    this.generation = undefined
    return generation
  }

  private failed(number: number, error: unknown): void {
    if (this.over || this.follower.generation !== number) return
    if (error instanceof CodedError && error.code === 'LINEAGE_ENDED') return void this.outlived(error)
    const generation = this.drop()
    this.connections.leave()
    this.state = 'failed'
    this.failures++
    this.failure = error instanceof Error ? error.message : String(error)
    this.lost = error instanceof PeerLost ? error.peer : undefined
    this.onFailure(this.failure)
    void generation?.shell.stop()
    this.report()
  }
}
