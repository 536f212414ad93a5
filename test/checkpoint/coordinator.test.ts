/** The coordinator: its table of failures, row by row, and random histories against its invariants. */
import fc from 'fast-check'
import t from 'tap'
import { Coordinator, unpublishedLimit, type TriggerView } from '../../checkpoint/coordinator.ts'
import { testMistakes, type Mistakes } from '../support/planted.ts'

const options = { intervalMs: 1000, timeoutMs: 60_000, pendingLimitBytes: 1000, epoch: 7 }
const view = (now: number, more: Partial<TriggerView> = {}): TriggerView => ({
  now,
  changed: true,
  ending: false,
  recovered: true,
  unpublished: 0,
  pendingBytes: 0,
  ...more
})
function fresh(Made = Coordinator): Coordinator<string> {
  const coordinator = new Made<string>(options)
  coordinator.started(0)
  return coordinator
}
/** Up to the step at which every task has acknowledged. */
function complete(coordinator: Coordinator<string>, now: number): number {
  const { epoch } = coordinator.trigger(now, ['a', 'b'], false)
  coordinator.acknowledge(epoch, 'a')
  coordinator.acknowledge(epoch, 'b')
  return epoch
}

void t.test('when a checkpoint is triggered', t => {
  t.notOk(fresh().shouldTrigger(view(999)), 'not before the interval')
  t.ok(fresh().shouldTrigger(view(1000)), 'at the interval')
  t.notOk(fresh().shouldTrigger(view(5000, { changed: false })), 'not when nothing changed')
  t.notOk(fresh().shouldTrigger(view(5000, { recovered: false })), 'not before every slot was recovered')
  t.ok(fresh().shouldTrigger(view(1, { pendingBytes: 500 })), 'at half of the pending limit')
  t.notOk(fresh().shouldTrigger(view(5000, { unpublished: unpublishedLimit })), 'not while publishing lags')
  t.ok(fresh().shouldTrigger(view(1, { ending: true, changed: false })), 'at the end, changed or not')
  const early = new Coordinator<string>({ ...options, firstAfterMs: 100 })
  early.started(0)
  t.equal(early.nextDeadlineMs(true), 100)
  t.ok(early.shouldTrigger(view(100)), 'the first one sooner, where that is wanted')
  early.attempted(complete(early, 100))
  early.decided(8)
  t.equal(early.nextDeadlineMs(true), 1100)
  t.notOk(early.shouldTrigger(view(1099)), 'and only the first')
  const asked = fresh()
  asked.request()
  t.ok(asked.shouldTrigger(view(1)), 'when asked')
  const named = fresh()
  named.request('before-upgrade')
  t.ok(named.shouldTrigger(view(1, { changed: false })), 'for a savepoint, changed or not')
  t.same(named.trigger(1, ['a'], false).savepoints, ['before-upgrade'])
  const idle = fresh()
  idle.request()
  t.notOk(idle.shouldTrigger(view(1, { changed: false })))
  t.notOk(idle.shouldTrigger(view(2)), 'a request that found nothing changed is over')
  const busy = fresh()
  busy.trigger(0, ['a'], false)
  t.notOk(busy.shouldTrigger(view(9000, { ending: true })), 'one epoch in flight')
  t.end()
})

void t.test('the table of failures', t => {
  const timeout = fresh()
  t.equal(timeout.trigger(0, ['a'], false).epoch, 8)
  t.equal(timeout.timedOut(59_999), undefined)
  t.equal(timeout.timedOut(60_000), 8, 'timeout abandons')
  t.match(timeout.lastFailure, { reason: 'timeout', message: '1 of 1 tasks did not finish within 60000 ms' })

  const write = fresh()
  write.trigger(0, ['a'], false)
  t.equal(write.failed(8, 'write', 'disk full'), 8, 'a file that cannot be stored abandons')
  t.equal(write.acknowledge(8, 'a'), 'discarded', 'what belongs to it is discarded')
  t.equal(write.failed(8, 'write', 'again'), undefined, 'once')

  const manifest = fresh()
  t.equal(
    manifest.failed(complete(manifest, 0), 'manifest', 'disk full'),
    8,
    'a manifest that cannot be stored abandons'
  )

  const decision = fresh()
  const epoch = complete(decision, 0)
  decision.attempted(epoch)
  for (const reason of ['timeout', 'write', 'manifest', 'decision'] as const)
    t.equal(decision.failed(epoch, reason, ''), undefined, `${reason} after the attempt: only \`decided\` ends it`)
  t.equal(decision.timedOut(1e12), undefined)
  t.equal(decision.decided(epoch).epoch, 8)
  t.equal(decision.pending, undefined)
  t.end()
})

void t.test('an abandoned epoch is tried again later and later, and takes its savepoints along', t => {
  const coordinator = fresh()
  coordinator.request('s')
  const waits: number[] = []
  let now = 0
  for (let i = 0; i < 8; i++) {
    const { epoch } = coordinator.trigger(now, ['a'], false)
    t.equal(epoch, 8 + i, 'numbers are never used twice')
    coordinator.failed(epoch, 'write', 'no space')
    let wait = 0
    while (!coordinator.shouldTrigger(view(now + wait, { changed: false }))) wait += 100
    t.equal(coordinator.nextDeadlineMs(false), now + wait)
    waits.push(wait)
    now += wait
  }
  t.same(waits, [1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000])
  const epoch = complete(coordinator, now)
  t.same(coordinator.pending?.savepoints, ['s'])
  coordinator.attempted(epoch)
  coordinator.decided(epoch)
  t.equal(coordinator.failures, 0)
  t.equal(coordinator.lastFailure, undefined)
  t.end()
})

/** Throws when an epoch completes otherwise than when all tasks have acknowledged it, in order, once. */
function checkHistories(Made: typeof Coordinator): void {
  const tasks = ['a', 'b', 'c']
  // Often enough the epoch in flight goes on, or none would ever be decided.
  const step = fc.oneof(
    {
      weight: 12,
      arbitrary: fc.record({
        do: fc.constant('ack' as const),
        task: fc.constantFrom(...tasks, 'stranger'),
        back: fc.constantFrom(0, 0, 0, 1, 2)
      })
    },
    { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('trigger' as const, 'decide' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('write' as const, 'manifest' as const) }) }
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), steps => {
      const coordinator = fresh(Made)
      const acked = new Set<string>()
      let phase: 'idle' | 'collecting' | 'complete' = 'idle'
      let last = 7
      for (const each of steps) {
        const epoch = coordinator.epoch
        if (each.do === 'trigger' && phase === 'idle') {
          const pending = coordinator.trigger(0, tasks, false)
          if (pending.epoch !== last + 1) throw new Error('epochs must grow by one')
          last = pending.epoch
          acked.clear()
          phase = 'collecting'
        } else if (each.do === 'ack') {
          const got = coordinator.acknowledge(epoch - each.back, each.task)
          const current = each.back === 0 && phase !== 'idle'
          let expected = 'discarded'
          if (current && each.task === 'stranger') expected = 'unknown'
          else if (current && acked.has(each.task)) expected = 'duplicate'
          else if (current) {
            acked.add(each.task)
            expected = acked.size === tasks.length ? 'complete' : 'accepted'
            if (expected === 'complete') phase = 'complete'
          }
          if (got !== expected) throw new Error(`${got}, not ${expected}`)
        } else if (each.do === 'write' || each.do === 'manifest') {
          const abandoned = coordinator.failed(epoch, each.do, '')
          if ((abandoned !== undefined) !== (phase !== 'idle')) throw new Error('abandoned what was not in flight')
          phase = 'idle'
        } else if (each.do === 'decide' && phase === 'complete') {
          coordinator.attempted(epoch)
          if (coordinator.failed(epoch, 'manifest', '') !== undefined) throw new Error('abandoned after the attempt')
          coordinator.decided(epoch)
          phase = 'idle'
        }
        if ((coordinator.pending === undefined) !== (phase === 'idle')) throw new Error('pending')
      }
    }),
    { numRuns: 1000 }
  )
}

void t.test('over random histories an epoch completes only when all tasks have acknowledged it, in order, once', t => {
  checkHistories(Coordinator)
  t.throws(() => fresh().decided(8), /not in flight/)
  t.throws(() => fresh().attempted(8), /not complete/)
  t.end()
})

const file = 'checkpoint/coordinator.js'
const mistakes: Mistakes = {
  'an acknowledgement of another epoch counts': [
    "state === undefined || state.epoch !== epoch) return 'discarded'",
    "state === undefined) return 'discarded'"
  ],
  'the last task is not waited for': ['if (state.missing.size > 0)', 'if (state.missing.size > 1)'],
  'an epoch is abandoned though its decision was attempted': [" || state.step === 'deciding'", '']
}

testMistakes('random histories notice that', file, mistakes, async (t, load) => {
  const module = await load<{ Coordinator: typeof Coordinator }>(file)
  t.throws(() => checkHistories(module.Coordinator), /Property failed/)
})
