/** How often a job with a latency goal takes checkpoints: single steps, and long random lives of its leader. */
import fc from 'fast-check'
import t from 'tap'
import { intervalFor, type ResolvedLatencyGoal } from '../../../actors/interval.ts'
import { CheckpointLeader, type CheckpointAction, type WorkerReport } from '../../../runtime/core/checkpoint-leader.ts'
import { CheckpointPace } from '../../../runtime/core/checkpoint-pace.ts'

/** What one checkpoint takes: until its files are durable, then until it is decided, then until it is published. */
interface Cost {
  readonly workMs: number
  readonly decideMs: number
  readonly publishMs: number
  /** Its files cannot be written: that is known after `workMs`. */
  readonly fails?: boolean
}
const cost = (workMs: number, decideMs = 0, publishMs = 0): Cost => ({ workMs, decideMs, publishMs })

const report: WorkerReport = {
  changed: true,
  finished: false,
  resting: false,
  standing: false,
  parkedKeys: 0,
  recovered: true,
  settled: true,
  decided: 0,
  unpublished: 0,
  pendingBytes: 0
}

/** One after the other, each published before the next begins. Answers the interval behind each. */
function take(pace: CheckpointPace, costs: readonly Cost[]): number[] {
  let now = 0
  return costs.map(({ workMs, decideMs, publishMs, fails }) => {
    pace.triggered(now)
    if (fails === true) pace.abandoned(now + workMs)
    else {
      pace.written(now + workMs)
      pace.decided(now + workMs + decideMs)
      pace.published(now + workMs + decideMs + publishMs)
    }
    now += 1_000_000
    return pace.intervalMs
  })
}
const times = (n: number, each: Cost): Cost[] => Array.from({ length: n }, () => each)
const goal = { latencyMs: 200, share: 0.1 }

void t.test('what a checkpoint and its publishing take is left free of the goal', t => {
  const pace = new CheckpointPace(goal)
  t.equal(pace.intervalMs, 100, 'half of the goal until anything is known')
  const intervals = take(pace, times(20, cost(4, 6, 10)))
  t.equal(intervals.at(-1), 180)
  t.equal(pace.expectedMs, 200)
  t.ok(pace.kept)
  t.end()
})

void t.test('where goal and share cannot both be kept, the share is', t => {
  const pace = new CheckpointPace(goal)
  t.equal(take(pace, times(20, cost(50))).at(-1), 500)
  t.notOk(pace.kept)
  const generous = new CheckpointPace({ latencyMs: 200, share: 0.5 })
  t.equal(take(generous, times(20, cost(50))).at(-1), 150)
  t.ok(generous.kept)
  t.end()
})

void t.test('one costly checkpoint counts at once, and cheap ones soon make up for it', t => {
  const pace = new CheckpointPace(goal)
  take(pace, times(20, cost(5)))
  const [costly, ...after] = take(pace, [cost(100), ...times(6, cost(5))])
  t.equal(costly, 1000)
  t.ok((after[3] ?? 0) < 195)
  t.ok((after[5] ?? 0) > 190, 'back at goal - delay')
  t.ok(pace.kept, 'a single one is not told of')
  t.end()
})

void t.test('that the goal is not kept is told behind five checkpoints, and that it is again, too', t => {
  const pace = new CheckpointPace(goal)
  const told = (costs: readonly Cost[]): boolean[] =>
    costs.map(each => {
      take(pace, [each])
      return pace.kept
    })
  t.same(told(times(6, cost(50))), [true, true, true, true, false, false])
  const after = told(times(12, cost(5)))
  t.equal(after.indexOf(true), 5, 'one for the estimate to come down, and five')
  t.ok(after.at(-1))
  t.end()
})

void t.test('one costly checkpoint in two does not send the interval up and down', t => {
  const pace = new CheckpointPace(goal)
  const costs = times(40, cost(10)).map((each, i) => (i % 2 === 0 ? each : cost(100)))
  const last = take(pace, costs).slice(-10)
  t.ok(Math.max(...last) <= 2 * Math.min(...last), last.join())
  t.end()
})

void t.test('a checkpoint that takes longer than the interval is what the latency is made of', t => {
  const pace = new CheckpointPace(goal)
  take(pace, times(20, cost(5, 145)))
  t.equal(pace.expectedMs, 300, 'the next cannot begin before it is decided')
  t.notOk(pace.kept)
  const publishing = new CheckpointPace(goal)
  take(publishing, times(20, cost(5, 5, 140)))
  t.equal(publishing.expectedMs, 200, 'publishing goes on meanwhile')
  t.ok(publishing.kept)
  t.end()
})

void t.test('output that is not published yet counts from the oldest', t => {
  const pace = new CheckpointPace(goal)
  pace.triggered(0)
  pace.decided(10)
  t.ok(pace.publishing)
  pace.triggered(100)
  pace.decided(110)
  t.equal(pace.intervalMs, 90)
  pace.published(150)
  t.notOk(pace.publishing)
  t.equal(pace.intervalMs, 50)
  pace.published(151)
  t.equal(pace.intervalMs, 50, 'once')
  t.end()
})

void t.test('failures count as costly, and never for longer than a minute', t => {
  const pace = new CheckpointPace(goal)
  const failed = { ...cost(20), fails: true }
  t.same(take(pace, times(4, failed)), [200, 400, 800, 1600])
  t.equal(take(pace, times(20, failed)).at(-1), 60_000)
  const after = take(pace, times(10, cost(5)))
  t.ok(after.reduce((sum, each) => sum + each, 0) < 70_000, 'nor is it made up for in more than about a minute')
  t.equal(new CheckpointPace({ latencyMs: 300_000, share: 0.1 }).intervalMs, 150_000, 'a longer goal is a longer bound')
  t.end()
})

void t.test(
  'what the busiest worker did counts, where all tell it; else all the time until the files are durable',
  t => {
    const intervalBehind = (...works: readonly (readonly (number | undefined)[])[]): number => {
      const leader = new CheckpointLeader({
        workers: ['a', 'b'],
        epoch: 0,
        ...intervalFor(goal),
        timeoutMs: 600_000,
        pendingLimitBytes: 1000
      })
      leader.step({ kind: 'tick' }, 0)
      for (const [index, work] of works.entries()) {
        const [at, epoch] = [10_000 * (index + 1), index + 1]
        const hear = (now: number, acknowledges: boolean): void =>
          ['a', 'b'].forEach((worker, i) => {
            const [decided, workMs] = [index, work[i]]
            const acknowledged = { epoch, tasks: [], ledgers: [], ...(workMs === undefined ? {} : { workMs }) }
            const told = acknowledges ? { ...report, decided, acknowledged } : { ...report, decided }
            leader.step({ kind: 'report', worker, report: told }, now)
          })
        hear(at, false)
        hear(at + 40, true)
        leader.step({ kind: 'decided', epoch }, at + 40)
      }
      return leader.pace.intervalMs
    }
    t.equal(intervalBehind([3, 30]), 300)
    t.equal(intervalBehind([3, 30], [33, 35]), 300, 'since the one before')
    t.equal(intervalBehind([3, 30], [63, 35]), 600)
    t.equal(intervalBehind([3, undefined]), 400)
    t.end()
  }
)

/** A worker that changes all the time, and its leader: moved from one thing that happens to the next. */
class Life {
  now = 0
  readonly triggers: { readonly at: number; readonly cost: Cost }[] = []
  private readonly leader: CheckpointLeader
  private readonly costs: (now: number) => Cost
  private readonly due: { readonly at: number; readonly happens: () => void }[] = []
  private report = report

  constructor(latencyGoal: ResolvedLatencyGoal, costs: (now: number) => Cost) {
    this.costs = costs
    this.leader = new CheckpointLeader({
      workers: ['w'],
      epoch: 0,
      ...intervalFor(latencyGoal),
      timeoutMs: 600_000,
      pendingLimitBytes: 1000
    })
    this.tell({})
  }

  get pace(): CheckpointLeader['pace'] {
    return this.leader.pace
  }

  until(endMs: number): void {
    for (;;) {
      this.due.sort((a, b) => a.at - b.at)
      const next = this.due[0]
      const deadline = this.leader.nextDeadlineMs() ?? Infinity
      const at = Math.max(this.now, Math.min(next?.at ?? Infinity, deadline))
      if (at > endMs) return
      this.now = at
      if (next !== undefined && next.at <= at) (this.due.shift() as typeof next).happens()
      else this.take(this.leader.step({ kind: 'tick' }, at))
    }
  }

  private tell(change: Partial<WorkerReport>): void {
    this.report = { ...this.report, ...change }
    this.take(this.leader.step({ kind: 'report', worker: 'w', report: this.report }, this.now))
  }

  private in(ms: number, happens: () => void): void {
    this.due.push({ at: this.now + ms, happens })
  }

  private take(actions: readonly CheckpointAction[]): void {
    for (const action of actions) {
      if (action.kind === 'trigger') this.trigger(action.epoch)
      if (action.kind === 'complete') this.complete(action.epoch)
    }
  }

  private trigger(epoch: number): void {
    const cost = this.costs(this.now)
    this.triggers.push({ at: this.now, cost })
    this.in(cost.workMs, () =>
      this.tell(
        cost.fails === true
          ? { declined: { epoch, message: 'no space left' } }
          : { acknowledged: { epoch, tasks: [], ledgers: [] } }
      )
    )
  }

  private complete(epoch: number): void {
    const { cost } = this.triggers.at(-1) as { cost: Cost }
    this.in(cost.decideMs, () => {
      this.take(this.leader.step({ kind: 'decided', epoch }, this.now))
      this.tell({ decided: epoch, settled: false })
      this.in(cost.publishMs, () => {
        if (this.report.decided === epoch) this.tell({ settled: true })
      })
    })
  }
}

void t.test('storage that is slow for a while makes the interval longer, and then as short as before', t => {
  const life = new Life(goal, now => (now > 60_000 && now < 120_000 ? cost(80, 40, 10) : cost(4, 4, 10)))
  life.until(60_000)
  t.same(life.pace, { intervalMs: 182, goal: { ...goal, expectedMs: 200, kept: true } })
  life.until(119_000)
  t.equal(life.pace.intervalMs, 800)
  t.equal(life.pace.goal?.kept, false)
  life.until(125_000)
  t.equal(life.pace.intervalMs, 182)
  t.equal(life.pace.goal?.kept, true)
  t.end()
})

void t.test('over any life no more than the share goes into checkpoints, and there is always another', t => {
  const costs = fc.record({
    workMs: fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 3000 })),
    decideMs: fc.integer({ min: 0, max: 50 }),
    publishMs: fc.integer({ min: 0, max: 400 }),
    fails: fc.integer({ min: 0, max: 9 }).map(n => n === 0)
  })
  const goals = fc.record({
    latencyMs: fc.integer({ min: 20, max: 5000 }),
    share: fc.double({ min: 0.1, max: 0.9, noNaN: true })
  })
  fc.assert(
    fc.property(goals, fc.array(costs, { minLength: 1, maxLength: 40 }), (drawn, each) => {
      let n = 0
      const life = new Life(drawn, () => each[n++ % each.length] as Cost)
      life.until(600_000)
      // The newest has not had its time yet.
      const before = life.triggers.slice(0, -1)
      const work = before.reduce((sum, { cost }) => sum + cost.workMs, 0)
      const last = life.triggers.at(-1) as { at: number }
      const gaps = life.triggers.map(({ at }, i) => at - (life.triggers[i - 1]?.at ?? 0))
      return work <= drawn.share * last.at && life.triggers.length > 5 && Math.max(...gaps) <= 60_000
    }),
    { numRuns: 200, seed: 6 }
  )
  t.end()
})

void t.test('the goal is kept wherever goal and share allow it', t => {
  const costs = fc.tuple(
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 0, max: 20 }),
    fc.integer({ min: 0, max: 20 })
  )
  const goals = fc.record({
    latencyMs: fc.integer({ min: 20, max: 5000 }),
    share: fc.double({ min: 0.05, max: 0.9, noNaN: true })
  })
  fc.assert(
    fc.property(goals, costs, (drawn, [workMs, decideMs, publishMs]) => {
      const life = new Life(drawn, () => cost(workMs, decideMs, publishMs))
      life.until(60_000)
      const delay = workMs + decideMs + publishMs
      const possible = Math.max(10, Math.ceil(workMs / drawn.share), workMs + decideMs) + delay <= drawn.latencyMs
      const gaps = life.triggers.slice(-5).map(({ at }, i, all) => at - (all[i - 1]?.at ?? at))
      const kept = Math.max(...gaps) + delay <= drawn.latencyMs + 1
      return life.pace.goal?.kept === possible && (!possible || kept)
    }),
    { numRuns: 200, seed: 6 }
  )
  t.end()
})
