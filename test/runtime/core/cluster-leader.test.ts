/** Who gets a generation, and when: the leader alone, told what it hears and when. */
import t from 'tap'
import { workersOf } from '../../../runtime/core/assignment.ts'
import {
  ClusterLeader,
  type ClusterAction,
  type ClusterCommand,
  type ClusterLeaderSettings
} from '../../../runtime/core/cluster-leader.ts'
import type { Report } from '../../../runtime/core/cluster-messages.ts'

const timing = {
  heartbeatMs: 500,
  lostAfterMs: 5_000,
  silentAfterMs: 3_000,
  gatherMs: 1_000,
  startTimeoutMs: 60_000,
  checkpointTimeoutMs: 60_000
}

class Heard {
  now = 0
  private readonly leader: ClusterLeader
  private readonly sequences = new Map<string, number>()
  private generation = 0
  /** When the first generation was told to stop behind a last checkpoint. */
  stoppedAt: number | undefined
  /** Workers of each generation, and when it began. */
  readonly begun: { readonly workers: string; readonly at: number }[] = []

  constructor(settings: Partial<ClusterLeaderSettings> = {}) {
    this.leader = new ClusterLeader({
      lineage: 1,
      worker: 'a#1',
      plan: 'p',
      term: 1,
      slots: 4,
      tasksPerWorker: 1,
      intervalMs: 1_000,
      pendingLimitBytes: 1e6,
      timing,
      previous: undefined,
      finished: false,
      ...settings
    })
  }

  step(command: ClusterCommand): void {
    this.take(this.leader.step(command, this.now))
  }

  private take(actions: readonly ClusterAction[]): void {
    for (const action of actions) {
      if (action.kind === 'announce' && action.directive.trigger?.last === true) this.stoppedAt ??= this.now
      if (action.kind !== 'begin') continue
      this.begun.push({ workers: workersOf(action.assignment).sort().join(' '), at: this.now })
      this.step({ kind: 'begun', generation: ++this.generation, epoch: 0, final: false })
    }
  }

  report(worker: string, change: Partial<Report> = {}): void {
    const sequence = (this.sequences.get(worker) ?? 0) + 1
    this.sequences.set(worker, sequence)
    const usual = { address: worker, plan: 'p', leaving: false, generation: this.generation, state: 'running' } as const
    this.step({
      kind: 'heard',
      report: { lineage: 1, worker, name: worker.slice(0, 1), sequence, ...usual, ...change }
    })
  }

  /** Time goes on; those who live report at each heartbeat. */
  pass(ms: number, ...alive: readonly string[]): void {
    for (const end = this.now + ms; this.now < end; this.now += 100) {
      if (this.now % timing.heartbeatMs === 0) for (const worker of alive) this.report(worker)
      this.step({ kind: 'tick' })
    }
  }
}

function three(): Heard {
  const heard = new Heard()
  heard.pass(2_000, 'a#1', 'b#1', 'c#1')
  return heard
}

void t.test('a worker whose connections broke and that is silent gets nothing, long before it counts as lost', t => {
  const heard = three()
  t.same(heard.begun, [{ workers: 'a#1 b#1 c#1', at: 1_000 }])
  heard.report('b#1', { state: 'failed', error: 'the connection is gone', lost: 'c#1' })
  heard.pass(3_000, 'a#1', 'b#1')
  t.same(heard.begun[1], { workers: 'a#1 b#1', at: 3_500 })
  heard.report('c#1')
  heard.pass(500, 'a#1', 'b#1', 'c#1')
  t.equal(heard.begun.length, 2, 'one that comes back is taken in as planned, not at once')
  t.end()
})

void t.test('a doubted worker that was started again is not waited for', t => {
  // The second: a generation that ended without a checkpoint is followed by the next after 200 ms.
  for (const [first, at] of [
    ['the broken connection', 2_500],
    ['the new process', 2_700]
  ] as const) {
    const heard = three()
    const lost = { state: 'failed', error: 'the connection is gone', lost: 'c#1' } as const
    if (first === 'the broken connection') heard.report('b#1', lost)
    heard.pass(500, 'a#1', 'b#1')
    heard.report('c#2', { generation: 0, state: 'idle' })
    if (first === 'the new process') heard.report('b#1', lost)
    heard.pass(400, 'a#1', 'b#1', 'c#2')
    t.same(heard.begun[1], { workers: 'a#1 b#1 c#2', at }, first)
  }
  t.end()
})

void t.test('a worker of the name of another one that lives takes nothing from it', t => {
  const heard = three()
  heard.report('c#2', { generation: 0, state: 'idle' })
  heard.report('b#1', { state: 'failed', error: 'the connection is gone', lost: 'c#1' })
  heard.report('c#1', { state: 'failed', error: 'the connection is gone' })
  heard.pass(500, 'a#1', 'b#1', 'c#1', 'c#2')
  t.equal(heard.begun[1]?.workers, 'a#1 b#1 c#1 c#2')
  t.end()
})

void t.test('a new leader that hears all who ran the last generation waits for nobody else', t => {
  const previous = { tasks: ['a#1', 'b#1', 'c#1'], slots: [0, 1, 2, 0] }
  const begunAt = (settings: Partial<ClusterLeaderSettings>, ...alive: readonly string[]): number | undefined => {
    const heard = new Heard(settings)
    heard.pass(2_000, ...alive)
    return heard.begun[0]?.at
  }
  t.equal(begunAt({ previous }, 'a#1', 'b#1', 'c#1'), 0)
  t.equal(begunAt({ previous }, 'a#1', 'b#2', 'c#1'), 0, 'one was started again')
  t.equal(begunAt({ previous, gone: 'c#1' }, 'a#1', 'b#1'), 0, 'who led before has said that it goes')
  t.equal(begunAt({ previous }, 'a#1', 'b#1'), timing.gatherMs, 'one is not heard')
  t.equal(begunAt({ previous: undefined }, 'a#1', 'b#1'), timing.gatherMs, 'nobody knows who may come')
  t.end()
})

void t.test('a worker that is heard is not lost, whoever cannot reach it', t => {
  for (const sign of ['report', 'pulse'] as const) {
    const heard = three()
    heard.report('b#1', { state: 'failed', error: 'the connection is gone', lost: 'c#1' })
    heard.now += 100
    if (sign === 'report') heard.report('c#1', { state: 'failed', error: 'the connection is gone', lost: 'b#1' })
    else heard.step({ kind: 'pulse', worker: 'c#1' })
    heard.pass(2_000, 'a#1', 'b#1', 'c#1')
    t.equal(heard.begun[1]?.workers, 'a#1 b#1 c#1', sign)
  }
  t.end()
})

void t.test('without a word of broken connections a silent worker has its time', t => {
  const heard = three()
  heard.pass(10_000, 'a#1', 'b#1')
  t.ok((heard.begun[1]?.at ?? 0) > 2_000 + timing.lostAfterMs - 500, String(heard.begun[1]?.at))
  t.equal(heard.begun[1]?.workers, 'a#1 b#1')
  t.end()
})

void t.test('a connection that carries nothing ends the generation, if both ends live', t => {
  const heard = three()
  heard.pass(3_000, 'a#1', 'b#1', 'c#1')
  heard.report('b#1', { silent: ['c#1'] })
  heard.pass(500, 'a#1', 'b#1', 'c#1')
  t.equal(heard.begun.length, 2)
  t.equal(heard.begun[1]?.workers, 'a#1 b#1 c#1')
  t.end()
})

const idle = {
  finished: false,
  resting: false,
  settled: true,
  decided: 0,
  unpublished: 0,
  pendingBytes: 0,
  standing: false,
  parkedKeys: 0
}

void t.test('a generation has put something out before it makes room for the next, unless nothing happens', t => {
  const stoppedAt = (changed: boolean): number | undefined => {
    const heard = new Heard()
    heard.pass(1_500, 'a#1', 'b#1')
    for (const worker of ['a#1', 'b#1']) heard.report(worker, { report: { ...idle, changed, recovered: true } })
    heard.report('c#1', { state: 'idle' })
    heard.pass(3_000)
    return heard.stoppedAt
  }
  t.equal(stoppedAt(true), undefined, 'its first checkpoint is under way')
  t.equal(stoppedAt(false), 2_700)
  t.end()
})

void t.test(
  'who comes is taken in when it has prepared for its share, and at once when the generation ended unplanned',
  t => {
    const running = (): Heard => {
      const heard = new Heard()
      heard.pass(1_500, 'a#1', 'b#1')
      for (const worker of ['a#1', 'b#1'])
        heard.report(worker, { report: { ...idle, changed: false, recovered: true } })
      return heard
    }
    const coming = (change: Partial<Report>): number | undefined => {
      const heard = running()
      heard.report('c#1', change)
      heard.pass(3_000)
      return heard.stoppedAt
    }
    t.equal(coming({ generation: 0, state: 'idle' }), undefined, 'it has not heard of the generation')
    t.equal(coming({ state: 'starting' }), undefined, 'it prepares')
    t.equal(coming({ state: 'idle' }), 2_700)
    t.equal(coming({ state: 'failed' }), 2_700, 'it could not prepare: what is missing is fetched')
    const heard = running()
    heard.report('c#1', { state: 'starting' })
    heard.report('b#1', { state: 'failed', error: 'disk' })
    heard.pass(500, 'a#1', 'b#1')
    t.equal(heard.begun[1]?.workers, 'a#1 b#1 c#1')
    t.end()
  }
)

void t.test('who is back while others still fetch what it had is taken in at once, but not again and again', t => {
  const heard = new Heard({ previous: { tasks: ['a#1', 'b#1', 'c#1'], slots: [0, 1, 2, 0] } })
  heard.pass(1_100, 'a#1', 'b#1')
  t.same(heard.begun, [{ workers: 'a#1 b#1', at: timing.gatherMs }])
  for (const worker of ['a#1', 'b#1']) heard.report(worker, { state: 'starting' })
  heard.report('d#1', { generation: 0, state: 'idle' })
  heard.pass(300)
  t.equal(heard.begun.length, 1, 'one that had nothing')
  heard.report('c#2', { generation: 0, state: 'idle' })
  heard.pass(300)
  t.equal(heard.begun[1]?.workers, 'a#1 b#1 c#2 d#1')
  for (const worker of ['a#1', 'b#1', 'd#1']) heard.report(worker, { state: 'starting' })
  heard.report('b#1', { state: 'failed', error: 'the connection is gone', lost: 'c#2' })
  heard.pass(3_000, 'a#1', 'b#1', 'd#1')
  t.equal(heard.begun[2]?.workers, 'a#1 b#1 d#1')
  heard.report('a#1', { state: 'starting' })
  heard.report('c#3', { generation: 0, state: 'idle' })
  heard.pass(2_000)
  t.equal(heard.begun.length, 3, 'it comes and goes')
  t.end()
})

void t.test('a worker that was restored for long is not called silent as soon as it runs', t => {
  const heard = three()
  for (let i = 0; i < 10; i++) {
    heard.report('c#1', { state: 'starting' })
    heard.report('b#1', { silent: i < 7 ? [] : ['c#1'] })
    heard.pass(500, 'a#1')
  }
  heard.report('c#1')
  heard.pass(400, 'a#1')
  heard.report('b#1')
  heard.pass(10_000, 'a#1', 'b#1', 'c#1')
  t.equal(heard.begun.length, 1)
  t.end()
})

void t.test('a worker that stood still is not called silent', t => {
  const heard = three()
  heard.pass(1_000, 'a#1', 'b#1', 'c#1')
  // Its event loop is busy; a thread of its own says that it lives.
  for (let i = 0; i < 20; i++) {
    heard.step({ kind: 'pulse', worker: 'c#1' })
    heard.pass(500, 'a#1')
    heard.report('b#1', { silent: ['c#1'] })
  }
  heard.report('c#1')
  heard.report('b#1', { silent: ['c#1'] })
  t.equal(heard.begun.length, 1)
  t.end()
})
