/**
 * What a process has counted of a job, over all its generations: a machine counts from 0 when its generation begins, and counters of a page
 * must not go back.
 */
import { checkpointBucketsMs, Durations } from '../../runtime/core/task-times.ts'
import type { Amount, GenerationGauges, Restored, StageGauges } from '../../runtime/core/worker-gauges.ts'

const counted = [
  'events',
  'emitted',
  'late',
  'deadLetters',
  'handlerMs',
  'blockedMs',
  'pausedMs',
  'alignments',
  'alignmentMs'
] as const

export type StageCounts = Pick<StageGauges, 'stage' | 'kind' | 'batches' | (typeof counted)[number]>

/** Sums of all generations. */
export type RestoredTotals = Omit<Restored, 'refused'>

export interface JobTotals {
  readonly restored: RestoredTotals
  readonly stages: ReadonlyMap<string, StageCounts>
  readonly published: ReadonlyMap<string, number>
  readonly completed: number
  readonly abandoned: number
  readonly durations: Durations
  readonly last: GenerationGauges['checkpoints']['last']
}

const none: Amount = { records: 0, bytes: 0 }

export class JobMeters {
  private past: JobTotals = {
    restored: { kept: 0, caughtUp: 0, fetched: 0, changes: none, whole: none, durationMs: 0 },
    stages: new Map(),
    published: new Map(),
    completed: 0,
    abandoned: 0,
    durations: new Durations(checkpointBucketsMs),
    last: undefined
  }

  /** A generation is over. */
  ended(gauges: GenerationGauges): void {
    this.past = together(this.past, gauges)
  }

  /** @param running the generation that runs now */
  totals(running: GenerationGauges | undefined): JobTotals {
    return running === undefined ? this.past : together(this.past, running)
  }
}

function together(past: JobTotals, { restored, stages, published, checkpoints }: GenerationGauges): JobTotals {
  const all = new Map(past.stages)
  for (const stage of stages) {
    const before = all.get(stage.stage)
    all.set(stage.stage, before === undefined ? stage : sum(before, stage))
  }
  const records = new Map(past.published)
  for (const [sink, count] of published) records.set(sink, (records.get(sink) ?? 0) + count)
  const durations = new Durations(checkpointBucketsMs)
  durations.absorb(past.durations)
  durations.absorb(checkpoints.durations)
  return {
    restored: bothRestored(past.restored, restored),
    stages: all,
    published: records,
    completed: past.completed + checkpoints.completed,
    abandoned: past.abandoned + checkpoints.abandoned,
    durations,
    last: checkpoints.last ?? past.last
  }
}

function bothRestored(a: RestoredTotals, b: RestoredTotals): RestoredTotals {
  return {
    kept: a.kept + b.kept,
    caughtUp: a.caughtUp + b.caughtUp,
    fetched: a.fetched + b.fetched,
    changes: added(a.changes, b.changes),
    whole: added(a.whole, b.whole),
    durationMs: a.durationMs + b.durationMs
  }
}

const added = (a: Amount, b: Amount): Amount => ({ records: a.records + b.records, bytes: a.bytes + b.bytes })

function sum(a: StageCounts, b: StageCounts): StageCounts {
  const counts = { ...b }
  for (const name of counted) counts[name] = a[name] + b[name]
  const batches = new Durations(a.batches.boundsMs)
  batches.absorb(a.batches)
  batches.absorb(b.batches)
  return { ...counts, batches }
}
