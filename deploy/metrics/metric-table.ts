/** Every metric that is Cairn's own. `docs/metrics.md` says what each is good for; a test keeps the two equal. */
import { type Durations } from '../../runtime/core/task-times.ts'
import type { Amount, StageGauges } from '../../runtime/core/worker-gauges.ts'
import type { JobTotals, StageCounts } from './job-meters.ts'
import type { Observed } from './observed.ts'

/** What is read for one answer. */
export interface Reading {
  readonly observed: Observed
  readonly totals: JobTotals
  /** The wall's clock, ms. */
  readonly nowMs: number
  /** When this process began to be looked at, by the same clock. */
  readonly beganMs: number
  readonly version: string
  /** Since the last answer, in seconds by quantile. */
  readonly eventLoopDelay: ReadonlyMap<string, number>
}

export interface Sample {
  /** Where it is not the metric's own name. */
  readonly metricName?: string
  readonly labels: Readonly<Record<string, string | number>>
  readonly value: number
}

export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram' | 'summary'
  readonly help: string
  readonly read: (reading: Reading) => readonly Sample[]
}

const one = (value: number | undefined): Sample[] => (value === undefined ? [] : [{ labels: {}, value }])
const flag = (is: boolean | undefined): Sample[] => one(is === undefined ? undefined : Number(is))

/** Over all generations of this process. */
const counts =
  (kind: StageCounts['kind'] | 'both', value: (stage: StageCounts) => number) =>
  ({ totals }: Reading): Sample[] =>
    [...totals.stages.values()]
      .filter(stage => kind === 'both' || stage.kind === kind)
      .map(stage => ({ labels: { stage: stage.stage }, value: value(stage) }))

/** Of the generation that runs. */
const now =
  (kind: StageGauges['kind'] | 'both', value: (stage: StageGauges, reading: Reading) => number | undefined) =>
  (reading: Reading): Sample[] =>
    (reading.observed.gauges?.stages ?? []).flatMap(stage => {
      const found = kind === 'both' || stage.kind === kind ? value(stage, reading) : undefined
      return found === undefined ? [] : [{ labels: { stage: stage.stage }, value: found }]
    })

function histogram(name: string, durations: Durations, labels: Readonly<Record<string, string>>): Sample[] {
  let count = 0
  const buckets = durations.counts.map((own, at): Sample => {
    const bound = durations.boundsMs[at]
    count += own
    return {
      metricName: `${name}_bucket`,
      labels: { ...labels, le: bound === undefined ? '+Inf' : bound / 1000 },
      value: count
    }
  })
  return [
    ...buckets,
    { metricName: `${name}_sum`, labels, value: durations.totalMs / 1000 },
    { metricName: `${name}_count`, labels, value: count }
  ]
}

/** What was read to restore, for parts that the local store had and for those that it had not. */
const restoreRead =
  (value: (amount: Amount) => number) =>
  ({ totals: { restored } }: Reading): Sample[] => [
    { labels: { how: 'caught-up' }, value: value(restored.changes) },
    { labels: { how: 'fetched' }, value: value(restored.whole) }
  ]

const gauge = (help: string, read: MetricSpec['read']): MetricSpec => ({ type: 'gauge', help, read })
const counter = (help: string, read: MetricSpec['read']): MetricSpec => ({ type: 'counter', help, read })

export const metricTable: Readonly<Record<string, MetricSpec>> = {
  // the process
  cairn_worker_info: gauge('Always 1; says who this is.', ({ observed, version }) => [
    { labels: { worker: observed.worker, version }, value: 1 }
  ]),
  cairn_worker_running: gauge('1 while tasks of a generation run here.', ({ observed }) =>
    flag(observed.state === 'running')
  ),
  cairn_worker_draining: gauge('1 from when this worker was told to go.', ({ observed }) => flag(observed.leaving)),
  cairn_leader: gauge('1 while this worker leads.', ({ observed }) => flag(observed.leads)),
  cairn_control_connected: gauge('1 while NATS is reached; absent in one process alone.', ({ observed }) =>
    flag(observed.connected)
  ),
  cairn_generation: gauge('The newest generation that this worker knows.', ({ observed }) => one(observed.generation)),
  cairn_generations_started_total: counter('Generations that began to run here.', ({ observed }) =>
    one(observed.generations)
  ),
  cairn_generation_failures_total: counter('Generations that ended here by a failure.', ({ observed }) =>
    one(observed.failures)
  ),
  cairn_restored_parts_total: counter(
    'Parts of the state that generations began with: kept by the local store, caught up, or fetched whole.',
    ({ totals: { restored } }) => [
      { labels: { how: 'kept' }, value: restored.kept },
      { labels: { how: 'caught-up' }, value: restored.caughtUp },
      { labels: { how: 'fetched' }, value: restored.fetched }
    ]
  ),
  cairn_restore_read_records_total: counter(
    'Records read of checkpoint storage to begin generations.',
    restoreRead(({ records }) => records)
  ),
  cairn_restore_read_bytes_total: counter(
    'Bytes of their keys and values.',
    restoreRead(({ bytes }) => bytes)
  ),
  cairn_restore_seconds_total: counter('Time in which generations were restored here.', ({ totals }) =>
    one(totals.restored.durationMs / 1000)
  ),
  cairn_event_loop_delay_seconds: {
    type: 'summary',
    help: 'By how much the event loop was late since the last scrape.',
    read: ({ eventLoopDelay }) => [...eventLoopDelay].map(([quantile, value]) => ({ labels: { quantile }, value }))
  },
  // input
  cairn_source_records_read_total: counter(
    'Records read by a source.',
    counts('source', stage => stage.events)
  ),
  cairn_source_lag: gauge(
    'What is there and was not read yet, where the source knows: records, bytes of files.',
    now('source', stage => stage.lag)
  ),
  cairn_watermark_timestamp_seconds: gauge(
    'The least watermark of the stage, in event time.',
    now('both', ({ watermark }) => (watermark === undefined ? undefined : watermark / 1000))
  ),
  cairn_watermark_delay_seconds: gauge(
    "How far that is behind this machine's clock.",
    now('both', ({ watermark }, { nowMs }) => (watermark === undefined ? undefined : (nowMs - watermark) / 1000))
  ),
  // work
  cairn_tasks: gauge(
    'Tasks of the stage that run here.',
    now('both', stage => stage.tasks)
  ),
  cairn_events_processed_total: counter(
    'Events that actors of the stage were given.',
    counts('keyed', stage => stage.events)
  ),
  cairn_events_emitted_total: counter(
    'Records given to sinks and messages given to other stages.',
    counts('both', stage => stage.emitted)
  ),
  cairn_events_late_total: counter(
    'Events that came behind the watermark.',
    counts('keyed', stage => stage.late)
  ),
  cairn_dead_letters_total: counter(
    'Records put aside because they could not be read or handled.',
    counts('both', stage => stage.deadLetters)
  ),
  cairn_batch_duration_seconds: {
    type: 'histogram',
    help: 'One turn of a task in which it did something.',
    read: ({ totals }) =>
      [...totals.stages.values()].flatMap(({ stage, batches }) =>
        histogram('cairn_batch_duration_seconds', batches, { stage })
      )
  },
  cairn_handler_seconds_total: counter(
    'Time in handlers, what they make the worker do included; divide by cairn_events_processed_total.',
    counts('keyed', stage => stage.handlerMs / 1000)
  ),
  cairn_handlers_in_flight: gauge(
    'Asynchronous handlers that have not ended.',
    now('keyed', stage => stage.handlersInFlight)
  ),
  cairn_actors_in_memory: gauge(
    'Actors whose fields are in memory.',
    now('keyed', stage => stage.keys)
  ),
  cairn_quarantined_keys: gauge(
    'Keys in quarantine: their handler failed, and they wait for an operator.',
    now('keyed', stage => stage.quarantinedKeys)
  ),
  cairn_quarantined_events: gauge(
    'Events and timers that wait for keys in quarantine.',
    now('keyed', stage => stage.quarantinedEvents)
  ),
  // pressure
  cairn_queue_records: gauge(
    'Records that wait in front of the stage.',
    now('keyed', stage => stage.queueRecords)
  ),
  cairn_queue_fill_ratio: gauge(
    'The fullest channel of the stage against its limit; 1 and more holds back who writes to it.',
    now('keyed', ({ queueFullest }, { observed }) => queueFullest / (observed.gauges?.queueLimitRecords ?? 1))
  ),
  cairn_exchange_window_bytes: gauge('Bytes under way to one task of another worker, of the fullest.', ({ observed }) =>
    one(observed.gauges?.fullness.windowBytes)
  ),
  cairn_backpressure_seconds_total: counter(
    'Task-seconds in which a task had to wait: for room downstream, or for a checkpoint.',
    ({ totals }) =>
      [...totals.stages.values()].flatMap(({ stage, kind, blockedMs, pausedMs }) => [
        { labels: { stage, reason: 'downstream' }, value: blockedMs / 1000 },
        ...(kind === 'source' ? [{ labels: { stage, reason: 'checkpoint' }, value: pausedMs / 1000 }] : [])
      ])
  ),
  cairn_pending_bytes: gauge(
    'Changes and outputs that wait for a checkpoint, records for at-least-once sinks.',
    ({ observed }) => one(observed.gauges?.fullness.pendingBytes)
  ),
  cairn_pending_limit_bytes: gauge('Beyond that sources wait.', ({ observed }) =>
    one(observed.gauges?.pendingLimitBytes)
  ),
  // checkpoints
  cairn_checkpoints_completed_total: counter('Checkpoints that this worker took part in.', ({ totals }) =>
    one(totals.completed)
  ),
  cairn_checkpoints_failed_total: counter('Checkpoints that were begun and given up.', ({ totals }) =>
    one(totals.abandoned)
  ),
  cairn_checkpoint_duration_seconds: {
    type: 'histogram',
    help: 'From the barrier to the decision, as seen here.',
    read: ({ totals }) => histogram('cairn_checkpoint_duration_seconds', totals.durations, {})
  },
  cairn_checkpoint_last_duration_seconds: gauge('The same, of the newest one.', ({ totals }) =>
    one(totals.last === undefined ? undefined : totals.last.durationMs / 1000)
  ),
  cairn_checkpoint_last_size_bytes: gauge('What the tasks of this worker wrote for it.', ({ totals }) =>
    one(totals.last?.bytes)
  ),
  cairn_checkpoint_last_epoch: gauge('Number of the newest checkpoint.', ({ totals }) => one(totals.last?.epoch)),
  cairn_checkpoint_age_seconds: gauge(
    'Since the newest checkpoint was completed, or since this process began when there was none yet.',
    ({ totals, nowMs, beganMs }) => one(Math.max(0, nowMs - (totals.last?.atMs ?? beganMs)) / 1000)
  ),
  cairn_checkpoint_changes_waiting: gauge(
    '1 when something changed since the last barrier: a job at rest takes no checkpoints.',
    ({ observed }) => flag(observed.gauges?.changed)
  ),
  cairn_checkpoint_interval_seconds: gauge('Between two barriers at the moment.', ({ observed }) =>
    one(observed.pace && observed.pace.intervalMs / 1000)
  ),
  cairn_latency_goal_seconds: gauge('How late output may be, where the job says so.', ({ observed }) =>
    one(observed.pace?.goal && observed.pace.goal.latencyMs / 1000)
  ),
  cairn_latency_expected_seconds: gauge('How late it is at most, from what checkpoints take.', ({ observed }) =>
    one(observed.pace?.goal && observed.pace.goal.expectedMs / 1000)
  ),
  cairn_alignments_total: counter(
    'Barriers that a task waited for on all its inputs.',
    counts('keyed', stage => stage.alignments)
  ),
  cairn_alignment_seconds_total: counter(
    'Task-seconds from the first of these barriers to the last.',
    counts('keyed', stage => stage.alignmentMs / 1000)
  ),
  // output
  cairn_published_records_total: counter('Records handed to a sink for good.', ({ totals }) =>
    [...totals.published].map(([sink, value]) => ({ labels: { sink }, value }))
  ),
  cairn_unpublished_epochs: gauge('Decided checkpoints whose output is not published everywhere.', ({ observed }) =>
    one(observed.gauges?.unpublishedEpochs)
  )
}
