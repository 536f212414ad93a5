/** Sources whose input grows while they run: what they hold back, and when a task without any partition ends. */
import t from 'tap'
import { files, job, json, lines } from '../../../actors/index.ts'
import { SourceTask, type PartitionProgress } from '../../../runtime/core/source-task.ts'
import { buildStageGraph, type SourceStage } from '../../../runtime/core/stage-graph.ts'
import { TaskOutputs } from '../../../runtime/core/task-outputs.ts'
import type { RecordBatch } from '../../../runtime/ports/log.ts'

const made = job('growing', j => ({
  out: j.source('ticks', lines('ticks', json()), { idleAfter: '1s' }).to('out', files('out', json()))
}))
const stage = buildStageGraph(made.plan).stages.find(({ kind }) => kind === 'source') as SourceStage
const value = new TextEncoder().encode('1')

function batch(...times: readonly number[]): RecordBatch {
  return {
    count: times.length,
    sizeBytes: times.length,
    offset: i => i,
    timestamp: i => times[i] ?? NaN,
    key: () => undefined,
    value: () => value
  }
}

const begins = (partition: number): PartitionProgress => ({
  partition,
  name: String(partition),
  position: 0,
  greatestTime: null,
  watermark: null,
  finished: false
})

/** A task, and what it has broadcast. */
function source(grows: boolean, partitions: readonly number[]) {
  const told: unknown[] = []
  const outputs = Object.create(TaskOutputs.prototype) as TaskOutputs
  Object.defineProperties(outputs, {
    blocked: { value: false },
    push: { value: () => () => undefined },
    broadcast: { value: (item: { kind: string }) => told.push(item) },
    slot: { value: 0, writable: true },
    staged: { value: undefined, writable: true },
    sealOutbox: { value: () => undefined }
  })
  const clock = { ms: 0 }
  const task = new SourceTask({
    stage,
    task: 0,
    partitions: partitions.map(begins),
    grows,
    slots: 1,
    outputs,
    now: () => clock.ms,
    elapsed: () => clock.ms,
    onStepError: 'fail',
    job: 'growing',
    tracing: undefined,
    deadLetter: () => undefined
  })
  const work = (): unknown[] => {
    while (task.work(100));
    return told.splice(0)
  }
  const read = (partition: number, ...times: readonly number[]): unknown[] => {
    task.wanted()
    const next = times.length
    task.fetched(partition, { kind: 'records', batch: batch(...times), next, end: next })
    return work()
  }
  return { task, clock, work, read }
}

void t.test('a task without partitions ends, unless there may be some later: then it is idle', t => {
  const ends = source(false, [])
  t.same(ends.work(), [{ kind: 'end' }])
  t.ok(ends.task.finished)

  const waits = source(true, [])
  t.same(waits.work(), [{ kind: 'idle', idle: true }])
  t.notOk(waits.task.finished)
  t.same(waits.work(), [], 'and says so once')
  waits.task.barrier(1)
  t.match(waits.task.takeSnapshot(), { positions: [], finished: false })
  t.end()
})

void t.test('the first partition of such a task is read, and is in the next checkpoint', t => {
  const { task, work } = source(true, [])
  work()
  task.decided()
  task.join(begins(4))
  t.ok(task.changed, 'a checkpoint is due')
  t.same(
    work(),
    [{ kind: 'idle', idle: false }],
    'before it is read: its events must not be late because others went on'
  )
  t.same(task.wanted(), [{ partition: 4, position: 0 }])
  task.fetched(4, { kind: 'records', batch: batch(10), next: 1, end: 1 })
  t.same(work(), [{ kind: 'watermark', time: 10 }])
  t.match(task.progress(), [{ partition: 4, position: 1 }])
  t.end()
})

void t.test(
  'a partition that joins takes no watermark back, and holds it until it has caught up with it or is idle',
  t => {
    const { task, clock, read, work } = source(true, [0])
    t.same(read(0, 100), [{ kind: 'watermark', time: 100 }])
    task.join(begins(1))
    t.same(read(0, 200), [], 'what the new one holds may be from before')
    t.same(read(1, 50), [], 'nor does it go back')
    t.same(read(1, 150), [{ kind: 'watermark', time: 150 }])
    task.wanted()
    task.fetched(1, { kind: 'caught-up', next: 2 })
    clock.ms = 1000
    t.same(work(), [{ kind: 'watermark', time: 200 }], 'idle: it holds nothing back')
    t.end()
  }
)

void t.test('a source that may end takes no partition', t => {
  t.throws(() => source(false, [0]).task.join(begins(1)), /a source that may end/)
  t.end()
})
