/** A replay lets through so much event time a second, whether the records bear timestamps or the events say their time. */
import t from 'tap'
import { files, job, json, lines } from '../../../actors/index.ts'
import { buildStageGraph, type SourceStage } from '../../../runtime/core/stage-graph.ts'
import { SourceTask } from '../../../runtime/core/source-task.ts'
import { TaskOutputs } from '../../../runtime/core/task-outputs.ts'
import type { RecordBatch } from '../../../runtime/ports/log.ts'

interface Tick {
  readonly at: number
}

const text = new TextEncoder()

/** Lines without timestamps, or records with them. */
function batch(values: readonly (Tick | string)[], timestamps: boolean): RecordBatch {
  return {
    count: values.length,
    sizeBytes: values.length,
    offset: i => i,
    timestamp: i => (timestamps ? (values[i] as Tick).at : NaN),
    key: () => undefined,
    value: i => text.encode(typeof values[i] === 'string' ? values[i] : JSON.stringify(values[i]))
  }
}

function paced(
  values: readonly (Tick | string)[],
  options: { timestamps?: boolean; time?: boolean; letters?: boolean }
) {
  let decoded = 0
  const counting = { ...json<Tick>(), decode: (bytes: Uint8Array): Tick => (decoded++, json<Tick>().decode(bytes)) }
  const made = job('paced', j => {
    const ticks = j.source('ticks', lines<Tick>('ticks.ndjson', counting), {
      pace: '1s',
      ...(options.time === false ? {} : { time: (tick: Tick) => tick.at }),
      ...(options.letters === true ? { onError: 'dead-letter' as const } : {})
    })
    return { out: ticks.to('out', files('out', json())) }
  })
  const graph = buildStageGraph(made.plan)
  const stage = graph.stages.find(({ kind }) => kind === 'source') as SourceStage
  let now = 50_000
  const passed: number[] = []
  const outputs = Object.create(TaskOutputs.prototype) as TaskOutputs
  Object.defineProperties(outputs, {
    blocked: { value: false },
    push: { value: () => (value: Tick) => passed.push(value.at) },
    broadcast: { value: () => undefined },
    slot: { value: 0, writable: true },
    staged: { value: undefined, writable: true },
    release: { value: () => undefined }
  })
  const task = new SourceTask({
    stage,
    task: 0,
    partitions: [{ partition: 0, name: '0', position: 0, greatestTime: null, watermark: null, finished: false }],
    grows: false,
    slots: 1,
    outputs,
    now: () => now,
    elapsed: () => now,
    onStepError: 'fail',
    job: 'paced',
    tracing: undefined,
    deadLetter: () => passed.push(NaN)
  })
  task.wanted()
  task.fetched(0, {
    kind: 'records',
    batch: batch(values, options.timestamps === true),
    next: values.length,
    end: values.length
  })
  return {
    passed,
    task,
    decoded: () => decoded,
    at(ms: number): readonly number[] {
      now = 50_000 + ms
      while (task.work(100));
      return passed
    }
  }
}

const ticks = [0, 400, 1_000, 1_001].map(at => ({ at }))

void t.test('by the timestamps of records', t => {
  const run = paced(ticks, { timestamps: true, time: false })
  t.same(run.at(0), [0])
  t.equal(run.task.nextDelayMs(), 400)
  t.same(run.at(999), [0, 400])
  t.same(run.at(1_001), [0, 400, 1_000, 1_001])
  t.end()
})

void t.test('by the time of the events where records have no timestamps, and each is decoded once', t => {
  const run = paced(ticks, {})
  t.same(run.at(0), [0])
  t.equal(run.task.nextDelayMs(), 400)
  t.same(run.at(400), [0, 400])
  t.same(run.at(450), [0, 400])
  t.same(run.at(1_001), [0, 400, 1_000, 1_001])
  t.equal(run.decoded(), 4)
  t.end()
})

void t.test('what cannot be decoded waits for nothing and is refused once', t => {
  const run = paced([{ at: 0 }, 'no JSON', { at: 500 }], { letters: true })
  t.same(run.at(0), [0, NaN])
  t.same(run.at(500), [0, NaN, 500])
  t.end()
})

void t.test('events without any time pass at once', t => {
  const run = paced(ticks, { time: false })
  t.equal(run.at(0).length, 4)
  t.end()
})
