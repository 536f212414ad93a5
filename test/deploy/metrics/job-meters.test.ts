import t from 'tap'
import { JobMeters } from '../../../deploy/metrics/job-meters.ts'
import { batchBucketsMs, checkpointBucketsMs, Durations, TaskTimes } from '../../../runtime/core/task-times.ts'
import type { GenerationGauges, StageGauges } from '../../../runtime/core/worker-gauges.ts'

const took = (bounds: readonly number[], ...ms: number[]): Durations => {
  const durations = new Durations(bounds)
  for (const each of ms) durations.add(each)
  return durations
}

const stage = (name: string, events: number): StageGauges => ({
  stage: name,
  kind: 'keyed',
  tasks: 1,
  events,
  emitted: 2 * events,
  late: 1,
  deadLetters: 0,
  keys: 5,
  quarantinedKeys: 0,
  quarantinedEvents: 0,
  handlersInFlight: 0,
  lag: undefined,
  watermark: undefined,
  queueRecords: 0,
  queueFullest: 0,
  batches: took(batchBucketsMs, events),
  handlerMs: events,
  blockedMs: 0,
  pausedMs: 0,
  alignments: 1,
  alignmentMs: 3
})

const gauges = (events: number, epoch?: number): GenerationGauges => ({
  restored: {
    kept: 1,
    caughtUp: 2,
    fetched: 3,
    refused: [],
    changes: { records: 4, bytes: 5 },
    whole: { records: 6, bytes: 7 },
    durationMs: 8
  },
  stages: [stage('a', events)],
  checkpoints: {
    completed: 1,
    abandoned: 1,
    durations: took(checkpointBucketsMs, 20),
    last: epoch === undefined ? undefined : { epoch, atMs: 7, durationMs: 20, bytes: 9 }
  },
  fullness: { pendingBytes: 0, queueRecords: 0, windowBytes: 0, loopRecords: 0 },
  pendingLimitBytes: 1,
  queueLimitRecords: 1,
  changed: false,
  unpublishedEpochs: 0,
  published: new Map([['out', events]])
})

void t.test('counters go on over generations, and asking changes nothing', async t => {
  const meters = new JobMeters()
  t.same(meters.totals(undefined).stages.size, 0)
  t.equal(meters.totals(gauges(10)).stages.get('a')?.events, 10)
  meters.ended(gauges(10, 4))
  for (let again = 0; again < 2; again++) {
    const { stages, published, completed, abandoned, durations, last } = meters.totals(gauges(5))
    const { events, emitted, handlerMs, batches } = stages.get('a') as StageGauges
    t.same([events, emitted, handlerMs, batches.totalMs], [15, 30, 15, 15])
    t.same([published.get('out'), completed, abandoned, durations.totalMs], [15, 2, 2, 40])
    t.same(meters.totals(gauges(5)).restored, {
      kept: 2,
      caughtUp: 4,
      fetched: 6,
      changes: { records: 8, bytes: 10 },
      whole: { records: 12, bytes: 14 },
      durationMs: 16
    })
    t.equal(last?.epoch, 4, 'of the generation before')
  }
  t.equal(meters.totals(undefined).stages.get('a')?.events, 10, 'while none runs they stay')
  t.equal(meters.totals(gauges(1, 6)).last?.epoch, 6)
})

void t.test('durations are counted by bucket, a bound in the bucket below it', async t => {
  const durations = took([1, 10], 0, 1, 1.5, 10, 11, 1000)
  t.same(durations.counts, [2, 2, 2])
  durations.absorb(took([1, 10], 5))
  t.same([durations.counts, durations.totalMs], [[2, 3, 2], 1028.5])
})

void t.test('waiting is counted from when it was seen until it was seen to be over', async t => {
  const times = new TaskTimes()
  times.look(10, false, false)
  times.look(20, true, false)
  times.look(25, true, true)
  t.same([times.blockedMs(30), times.pausedMs(30)], [10, 5], 'what still lasts counts')
  times.look(40, false, true)
  times.look(50, true, false)
  t.same([times.blockedMs(50), times.pausedMs(60)], [20, 25])
})
