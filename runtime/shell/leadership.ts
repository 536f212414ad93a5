/**
 * What a worker does while it leads: takes the lead in the decision log, begins generations there, stores manifests and decisions.
 * Whoever finds in the log that somebody else went on, resigns.
 */
import type { Plan } from '../../actors/plan.ts'
import { appendUntilKnown, type Decision, type DecisionLog } from '../../checkpoint/decision-log.ts'
import { hasSavepoint } from '../../checkpoint/manifest.ts'
import { collect, readHead, readRetained } from '../../checkpoint/recovery.ts'
import { retainedCheckpoints } from '../../checkpoint/retention.ts'
import type { Assignment } from '../core/assignment.ts'
import type { CheckpointAction } from '../core/checkpoint-leader.ts'
import type { PaceGauges } from '../core/checkpoint-pace.ts'
import { ClusterLeader, type ClusterAction, type ClusterCommand } from '../core/cluster-leader.ts'
import type { Directive, Report } from '../core/cluster-messages.ts'
import type { ClusterTiming } from '../core/cluster-timing.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import { CheckpointSpans } from './checkpoint-spans.ts'
import { CheckpointWriter, type Head } from './checkpoint-writer.ts'
import { fileSettings, lineageOf, pendingLimit, prepare, startPositions, type Ports } from './generation.ts'

export interface LeadershipSettings {
  readonly plan: Plan
  readonly planHash: string
  readonly graph: StageGraph
  readonly ports: Ports
  /** This incarnation. */
  readonly worker: string
  /** Who led before, if it said that it ends. */
  readonly gone?: string
  readonly timing: ClusterTiming
  readonly announce: (directive: Directive) => void
  /** It is over, unless it was ended by `resign`. */
  readonly resigned: () => void
}

const unfitCodes: readonly string[] = ['STATE_INCOMPATIBLE', 'FOREIGN_CHECKPOINT']

/** Whether positions of sources were told up to the end is written nowhere: who leads anew has them told once more. */
const tells = ({ publishers }: Ports): boolean =>
  [...publishers.values()].some(({ sources = [] }) => sources.length > 0)

export class Leadership {
  private readonly settings: LeadershipSettings
  private readonly spans: CheckpointSpans
  private readonly heardBefore = new Map<string, Report>()
  private leader: ClusterLeader | undefined
  private log: DecisionLog | undefined
  private head: Head | undefined
  private writer: CheckpointWriter | undefined
  /** The decision under way: what comes after it must know what became of it. */
  private completing: Promise<void> = Promise.resolve()
  private over = false
  private cancelTick: (() => void) | undefined
  /** Why it last resigned or could not begin. */
  trouble: string | undefined
  /** This build, set up as it is, cannot go on from what is stored. */
  unfit = false
  /** The job went on in another lineage: this worker can do nothing more for it. */
  lineageEnded: CodedError | undefined

  constructor(settings: LeadershipSettings) {
    this.settings = settings
    this.spans = new CheckpointSpans(settings.graph.plan.job, settings.ports.tracing)
  }

  start(): void {
    this.takeOver().catch((error: unknown) => this.end(error))
  }

  heard(report: Report): void {
    if (this.leader === undefined) this.heardBefore.set(report.worker, report)
    else this.command({ kind: 'heard', report })
  }

  drain(): void {
    this.command({ kind: 'drain' })
  }

  pulse(worker: string): void {
    this.command({ kind: 'pulse', worker })
  }

  rescale(tasks: number): void {
    this.command({ kind: 'rescale', tasks })
  }

  savepoint(name: string): void {
    if (!hasSavepoint(this.head?.manifest, name)) this.command({ kind: 'savepoint', name })
  }

  /** Number of the decision by which it leads; undefined until that stands. */
  get term(): number | undefined {
    return this.leader?.term
  }

  /** Somebody leads by that decision. A leader that has nothing to decide any more would not find out by itself. */
  outdated(term: number): void {
    if (this.leader === undefined || term <= this.leader.term) return
    reached('leadership: a newer leader was heard')
    this.end(new CodedError('FENCED', `decision ${term} made another worker the leader`))
  }

  /** How often the generation that runs takes checkpoints. */
  get pace(): PaceGauges | undefined {
    return this.leader?.pace
  }

  /** Why the last generation was given up. */
  get lastFailure(): string | undefined {
    return this.leader?.lastFailure
  }

  async resign(): Promise<void> {
    this.over = true
    this.cancelTick?.()
    this.writer?.close()
    await this.writer?.settled()
  }

  get waitingFor(): string[] {
    const waiting = this.leader?.waitingFor ?? ['its decision to lead to stand in the log']
    const trouble = this.trouble ?? this.writer?.trouble
    return trouble === undefined ? waiting : [...waiting, trouble]
  }

  /** Writes `leads`: from then on whoever led before finds out at its next append. */
  private async takeOver(): Promise<void> {
    const { plan, planHash, ports, worker, gone, timing, graph } = this.settings
    const { log, head } = await readHead(ports.storage, plan.job, ports.nonce)
    if (this.over) return
    // Before what it left is looked at: the job may have gone back to where this code can go on.
    log.refuseEnded()
    // What the code cannot take is refused before anything is decided.
    const lineage = lineageOf(ports, head?.manifest)
    prepare(graph, head?.manifest, ports.dropState ?? [])
    const term = log.generation + 1
    await this.append(log, { kind: 'leads', worker, generation: term })
    if (this.over) return
    this.log = log
    this.head = head
    this.leader = new ClusterLeader({
      lineage,
      worker,
      plan: planHash,
      term,
      slots: plan.slots,
      tasksPerWorker: plan.parallelism,
      intervalMs: plan.intervalMs,
      latencyGoal: plan.latencyGoal,
      pendingLimitBytes: pendingLimit(plan, ports),
      timing,
      previous: log.begun?.assignment,
      ...(gone === undefined ? {} : { gone }),
      finished: head?.manifest.final === true && head.manifest.outboxes.length === 0 && !tells(ports)
    })
    for (const report of this.heardBefore.values()) this.command({ kind: 'heard', report })
    this.command({ kind: 'tick' })
  }

  private async append(log: DecisionLog, decision: Decision): Promise<void> {
    const { clock } = this.settings.ports
    const outcome = await appendUntilKnown(log, decision, {
      wait: ms => new Promise(resolve => clock.after(ms, resolve)),
      given: () => this.over,
      troubled: message => (this.trouble = message)
    })
    if (outcome.kind === 'lost')
      throw new CodedError('FENCED', `decision "${decision.kind}": another leader wrote the decision log`)
  }

  private command(command: ClusterCommand): void {
    if (this.over || this.leader === undefined) return
    const { clock } = this.settings.ports
    let actions: ClusterAction[]
    try {
      actions = this.leader.step(command, clock.elapsed())
    } catch (error) {
      return this.end(error)
    }
    for (const action of actions) this.carryOut(action)
    this.arm()
  }

  private arm(): void {
    this.cancelTick?.()
    if (this.over || this.leader === undefined) return
    const { clock } = this.settings.ports
    const now = clock.elapsed()
    this.cancelTick = clock.after(Math.max(1, this.leader.nextDeadlineMs(now) - now), () =>
      this.command({ kind: 'tick' })
    )
  }

  private carryOut(action: ClusterAction): void {
    switch (action.kind) {
      case 'announce': {
        const { generation, trigger, abandoned } = action.directive
        if (trigger !== null) this.spans.triggered(generation, trigger.epoch)
        this.spans.abandoned(abandoned)
        return this.settings.announce(action.directive)
      }
      case 'begin':
        this.begin(action.assignment).then(
          generation => {
            const { epoch, final } = this.head?.manifest ?? { epoch: 0, final: false }
            this.command({ kind: 'begun', generation, epoch, final })
          },
          (error: unknown) => this.failed(error)
        )
        return
      case 'complete':
        this.completing = this.complete(action.action).catch((error: unknown) => this.failed(error))
        return
    }
  }

  private async begin(assignment: Assignment): Promise<number> {
    const { graph, ports } = this.settings
    const log = this.log as DecisionLog
    const lineage = lineageOf(ports, this.head?.manifest)
    // An epoch whose decision was attempted may have been decided: the next generation begins from it then.
    await this.completing
    this.writer?.close()
    await this.writer?.settled()
    const prepared = prepare(graph, this.head?.manifest, ports.dropState ?? [])
    const retained =
      this.head === undefined ? [] : await readRetained(ports.storage, log, this.head.manifest, retainedCheckpoints)
    const generation = log.generation + 1
    const writer = new CheckpointWriter({
      ...fileSettings({ graph, ports, lineage, generation }),
      graph,
      tasks: assignment.tasks.length,
      log,
      head: this.head,
      retained,
      schemas: new Map([...prepared.schemas].map(([name, { list }]) => [name, list])),
      clock: ports.clock
    })
    if (this.head === undefined) {
      await writer.start(await startPositions(graph, ports.reader))
      this.head = writer.head
    }
    const parent = this.head === undefined ? null : { epoch: this.head.manifest.epoch, hash: this.head.hash }
    await this.append(log, { kind: 'begins', generation, lineage, parent, assignment })
    // Only now is it sure that nobody else has gone on since: what no checkpoint names may go.
    await collect(ports.storage, writer.checkpoints)
    this.writer = writer
    return generation
  }

  private async complete({
    epoch,
    final,
    savepoints,
    acknowledgements
  }: Extract<CheckpointAction, { kind: 'complete' }>): Promise<void> {
    const writer = this.writer as CheckpointWriter
    const prepared = await writer.prepare(epoch, final, savepoints, acknowledgements)
    if (this.over || this.writer !== writer) return
    if (prepared.kind === 'refused') {
      const { message } = prepared
      return this.command({ kind: 'checkpoint', command: { kind: 'manifest-failed', epoch, message } })
    }
    this.command({ kind: 'checkpoint', command: { kind: 'attempted', epoch } })
    const { head } = prepared
    await writer.decide(head)
    this.head = head
    this.spans.completed(head.manifest)
    if (this.writer === writer)
      this.command({ kind: 'decided', epoch, hash: head.hash, loops: head.manifest.loops ?? [] })
  }

  private failed(error: unknown): void {
    if (error instanceof CodedError && error.code === 'STORAGE_FAILED') {
      reached('leadership: storage refused')
      return this.command({ kind: 'begin-failed', message: error.message })
    }
    this.end(error)
  }

  private end(error: unknown): void {
    if (this.over) return
    reached('leadership: resigned')
    this.trouble = error instanceof Error ? error.message : String(error)
    this.unfit = error instanceof CodedError && unfitCodes.includes(error.code)
    if (error instanceof CodedError && error.code === 'LINEAGE_ENDED') this.lineageEnded = error
    void this.resign()
    this.settings.resigned()
  }
}
