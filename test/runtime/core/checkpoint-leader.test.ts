/** When checkpoints are triggered and when they end, seen from the leader. */
import t from 'tap'
import { CheckpointLeader, type CheckpointAction, type WorkerReport } from '../../../runtime/core/checkpoint-leader.ts'

const settings = { workers: ['w1', 'w2'], epoch: 5, intervalMs: 100, timeoutMs: 1_000, pendingLimitBytes: 1_000 }
const report = (change: Partial<WorkerReport>): WorkerReport => ({
  changed: true,
  finished: false,
  resting: true,
  standing: false,
  parkedKeys: 0,
  recovered: true,
  settled: true,
  decided: 5,
  unpublished: 0,
  pendingBytes: 0,
  ...change
})

/** What both workers' reports, one after the other, a second later, lead to. */
function hear(leader: CheckpointLeader, first: Partial<WorkerReport>, second = first): CheckpointAction[] {
  return [
    ...leader.step({ kind: 'report', worker: 'w1', report: report(first) }, 1_000),
    ...leader.step({ kind: 'report', worker: 'w2', report: report(second) }, 1_000)
  ]
}

void t.test(
  'a generation begun from the final checkpoint publishes what is left, and has no checkpoint of its own',
  t => {
    const leader = new CheckpointLeader({ ...settings, final: true })
    leader.step({ kind: 'tick' }, 0)
    t.same(hear(leader, { settled: false }), [])
    t.same(hear(leader, {}, { settled: false }), [])
    t.same(leader.step({ kind: 'tick' }, 10_000), [])
    t.same(hear(leader, {}), [{ kind: 'ended', how: 'finished' }])
    t.same(hear(leader, {}), [])
    t.end()
  }
)

void t.test('a generation begun from any other goes on', t => {
  const leader = new CheckpointLeader(settings)
  leader.step({ kind: 'tick' }, 0)
  t.same(hear(leader, {}), [{ kind: 'trigger', epoch: 6, last: false }])
  t.end()
})
