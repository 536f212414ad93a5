/** What can be counted of a worker: for people, metrics, and checks of limits. */
import { KeyedTask } from './keyed-task.ts'
import { batchBucketsMs, Durations, type TaskTimes } from './task-times.ts'
import type { Task, Topology } from './topology.ts'

export interface WorkerCounts {
  readonly events: number
  readonly recordsRead: number
  readonly late: number
  readonly deadLetters: number
  /** In memory. */
  readonly keys: number
  /** Keys in quarantine. */
  readonly quarantined: number
  readonly lag: number | undefined
  readonly watermark: number | undefined
}

/** How full the fullest of each kind is. */
export interface Fullness {
  /** Bytes that wait for a checkpoint. */
  readonly pendingBytes: number
  /** Records between two tasks, loops apart. */
  readonly queueRecords: number
  /** Bytes under way to one task of another worker, loops apart. */
  readonly windowBytes: number
  /** Records of one loop in memory. */
  readonly loopRecords: number
}

/** Checkpoints as one worker sees them, since its generation began. */
export interface CheckpointGauges {
  readonly completed: number
  readonly abandoned: number
  /** From the barrier to the decision. */
  readonly durations: Durations
  /** The newest decided one: its epoch, when this worker heard of it, and the bytes that its own tasks wrote for it. */
  readonly last:
    { readonly epoch: number; readonly atMs: number; readonly durationMs: number; readonly bytes: number } | undefined
}

/** What was read of checkpoint storage. */
export interface Amount {
  readonly records: number
  /** Of keys and values. */
  readonly bytes: number
}

/** How the state came here when the generation began. A part is what one stage has in one slot. */
export interface Restored {
  /** Parts that the local store had as the checkpoint has them. */
  readonly kept: number
  /** Parts that the local store had as an older checkpoint has them: what changed since was read. */
  readonly caughtUp: number
  /** Parts that were read whole. */
  readonly fetched: number
  /** Parts of the local store, or all of it, that were not used again, each with why. */
  readonly refused: readonly string[]
  /** For the parts that caught up. */
  readonly changes: Amount
  /** For the parts that were fetched. */
  readonly whole: Amount
  readonly durationMs: number
}

/** What is told of one generation in one worker. */
export interface GenerationGauges {
  readonly restored: Restored
  readonly stages: readonly StageGauges[]
  readonly checkpoints: CheckpointGauges
  readonly fullness: Fullness
  /** What the limits are. */
  readonly pendingLimitBytes: number
  readonly queueLimitRecords: number
  /** Something changed since the last barrier. */
  readonly changed: boolean
  /** Decided epochs that some slot has not published yet. */
  readonly unpublishedEpochs: number
  /** Records by sink. */
  readonly published: ReadonlyMap<string, number>
}

/** All tasks that a worker runs of one stage. What is counted begins at 0 with the generation. */
export interface StageGauges {
  readonly stage: string
  readonly kind: 'source' | 'keyed'
  readonly tasks: number
  /** Read by a source, handled by actors. */
  readonly events: number
  readonly emitted: number
  readonly late: number
  readonly deadLetters: number
  /** Actors in memory. */
  readonly keys: number
  /** Keys in quarantine, and the events and timers that wait for them. */
  readonly quarantinedKeys: number
  readonly quarantinedEvents: number
  readonly handlersInFlight: number
  /** Of a source; undefined where it does not know. */
  readonly lag: number | undefined
  /** The least of its tasks that have not ended; undefined before the first. */
  readonly watermark: number | undefined
  readonly queueRecords: number
  /** Of the fullest channel. */
  readonly queueFullest: number
  readonly batches: Durations
  readonly handlerMs: number
  readonly blockedMs: number
  readonly pausedMs: number
  readonly alignments: number
  readonly alignmentMs: number
}

export function stageGaugesOf({ tasks }: Topology, times: readonly TaskTimes[], elapsedMs: number): StageGauges[] {
  const stages = new Map<string, StageGauges>()
  for (const [index, task] of tasks.entries()) {
    const { name } = task.settings.stage
    const own = taskGauges(task, times[index] as TaskTimes, elapsedMs)
    const others = stages.get(name)
    stages.set(name, others === undefined ? own : together(others, own))
  }
  return [...stages.values()]
}

function taskGauges(task: Task, times: TaskTimes, elapsedMs: number): StageGauges {
  const { outputs, stage } = task.settings
  const keyed = task instanceof KeyedTask ? task : undefined
  const source = task instanceof KeyedTask ? undefined : task
  const waiting = keyed?.inputs.waiting
  const batches = new Durations(batchBucketsMs)
  batches.absorb(times.batches)
  return {
    stage: stage.name,
    kind: stage.kind,
    tasks: 1,
    events: keyed?.events ?? source?.records ?? 0,
    emitted: outputs.emitted,
    late: keyed?.late ?? 0,
    deadLetters: task.deadLetters,
    keys: keyed?.state.entries.size ?? 0,
    quarantinedKeys: keyed?.state.quarantine.keys.size ?? 0,
    quarantinedEvents: keyed?.state.quarantine.events ?? 0,
    handlersInFlight: keyed?.inFlight ?? 0,
    lag: source?.lag,
    watermark: !task.finished && Number.isFinite(task.watermark) ? task.watermark : undefined,
    queueRecords: waiting?.records ?? 0,
    queueFullest: waiting?.fullest ?? 0,
    batches,
    handlerMs: keyed?.handlerMs ?? 0,
    blockedMs: times.blockedMs(elapsedMs),
    pausedMs: times.pausedMs(elapsedMs),
    alignments: keyed?.inputs.alignments ?? 0,
    alignmentMs: keyed?.inputs.alignmentMs ?? 0
  }
}

function together(a: StageGauges, b: StageGauges): StageGauges {
  a.batches.absorb(b.batches)
  return {
    ...a,
    tasks: a.tasks + b.tasks,
    events: a.events + b.events,
    emitted: a.emitted + b.emitted,
    late: a.late + b.late,
    deadLetters: a.deadLetters + b.deadLetters,
    keys: a.keys + b.keys,
    quarantinedKeys: a.quarantinedKeys + b.quarantinedKeys,
    quarantinedEvents: a.quarantinedEvents + b.quarantinedEvents,
    handlersInFlight: a.handlersInFlight + b.handlersInFlight,
    lag: a.lag === undefined || b.lag === undefined ? undefined : a.lag + b.lag,
    watermark:
      a.watermark === undefined || b.watermark === undefined
        ? (a.watermark ?? b.watermark)
        : Math.min(a.watermark, b.watermark),
    queueRecords: a.queueRecords + b.queueRecords,
    queueFullest: Math.max(a.queueFullest, b.queueFullest),
    handlerMs: a.handlerMs + b.handlerMs,
    blockedMs: a.blockedMs + b.blockedMs,
    pausedMs: a.pausedMs + b.pausedMs,
    alignments: a.alignments + b.alignments,
    alignmentMs: a.alignmentMs + b.alignmentMs
  }
}

export function countsOf({ keyed, sources }: Topology): WorkerCounts {
  const counts = { events: 0, recordsRead: 0, late: 0, deadLetters: 0, keys: 0, quarantined: 0 }
  let lag: number | undefined = 0
  let watermark = Infinity
  for (const task of keyed) {
    counts.events += task.events
    counts.late += task.late
    counts.deadLetters += task.deadLetters
    counts.keys += task.state.entries.size
    counts.quarantined += task.state.quarantine.keys.size
  }
  for (const task of sources) {
    counts.recordsRead += task.records
    counts.deadLetters += task.deadLetters
    lag = lag === undefined || task.lag === undefined ? undefined : lag + task.lag
    if (!task.finished && task.partitions.length > 0) watermark = Math.min(watermark, task.watermark)
  }
  return { ...counts, lag, watermark: Number.isFinite(watermark) ? watermark : undefined }
}

export function fullnessOf({ inlets, outgoing, loops }: Topology): Omit<Fullness, 'pendingBytes'> {
  let [queueRecords, windowBytes, loopRecords] = [0, 0, 0]
  for (const channel of inlets) if (channel.place === undefined) queueRecords = Math.max(queueRecords, channel.waiting)
  for (const channel of outgoing.values()) windowBytes = Math.max(windowBytes, channel.underWay)
  for (const { backlog } of loops) loopRecords = Math.max(loopRecords, backlog.queued - backlog.spilled)
  return { queueRecords, windowBytes, loopRecords }
}
