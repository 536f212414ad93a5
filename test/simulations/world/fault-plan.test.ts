/** Plans of faults: a function of the seed, one stream per class, all healed in time; and the atlas says all that it should. */
import t from 'tap'
import { atlas, faultClass, faultKinds, notInjected } from '../../../simulations/world/atlas.ts'
import { describeFault, type Fault, type FaultKind } from '../../../simulations/world/fault.ts'
import { makeFaultPlan, type FaultPlan, type FaultPlanOptions } from '../../../simulations/world/fault-plan.ts'

const options: FaultPlanOptions = {
  hosts: ['w1', 'w2', 'w3'],
  joiners: ['w4', 'w5'],
  topics: [
    { name: 'in', partitions: 4 },
    { name: 'out', partitions: 2 }
  ],
  brokers: 3,
  services: true,
  restores: true,
  startMs: 1_000,
  healAtMs: 60_000
}
const plans = Array.from({ length: 300 }, (_, seed) => makeFaultPlan(seed, options))
const without = ({ faults }: FaultPlan, kind: FaultKind): Fault[] => faults.filter(fault => fault.kind !== kind)

void t.test('a plan is a function of its seed, and plain data', t => {
  for (const [seed, plan] of plans.slice(0, 20).entries()) {
    t.same(makeFaultPlan(seed, options), plan)
    t.same(JSON.parse(JSON.stringify(plan)), plan)
  }
  t.equal(new Set(plans.map(plan => JSON.stringify(plan.faults))).size, plans.length)
  t.end()
})

void t.test('leaving out a class changes nothing about the others', t => {
  for (const kind of faultKinds)
    for (const [seed, plan] of plans.slice(0, 15).entries())
      t.same(makeFaultPlan(seed, { ...options, without: [kind] }).faults, without(plan, kind))
  t.end()
})

void t.test('in a part of the worlds a class exists, in the others it does not, and then it strikes', t => {
  for (const kind of faultKinds) {
    const part = plans.filter(plan => plan.kinds.includes(kind)).length / plans.length
    t.ok(Math.abs(part - faultClass(kind).chance) < 0.1, `${kind}: ${part}`)
    t.ok(
      plans.some(plan => plan.faults.some(fault => fault.kind === kind)),
      kind
    )
    t.ok(plans.every(plan => plan.kinds.includes(kind) || plan.faults.length === without(plan, kind).length))
  }
  t.end()
})

void t.test('all faults lie between the start and the healing, and durations within what the atlas says', t => {
  let count = 0
  for (const { faults } of plans)
    for (const { kind, atMs, forMs } of faults) {
      count++
      if (atMs < 1_000 || atMs + forMs > 60_000) t.fail(`${kind} at ${atMs} for ${forMs}`)
      if (faultClass(kind).perMinute !== 'whole' && forMs > faultClass(kind).forMs[1]) t.fail(`${kind} for ${forMs}`)
    }
  t.ok(count > 3_000 && count < 60_000, `${count} faults`)
  t.end()
})

void t.test('somebody is left', t => {
  const few = Array.from({ length: 200 }, (_, seed) =>
    makeFaultPlan(seed, { hosts: ['w1', 'w2'], healAtMs: 600_000, only: ['lose-machine'] })
  )
  for (const { faults } of few)
    t.same(
      faults.filter(fault => 'host' in fault && fault.host === 'w1'),
      []
    )
  const alone = makeFaultPlan(1, { hosts: ['w1'], healAtMs: 60_000, only: faultKinds })
  t.same(
    alone.kinds.filter(kind => ['cut', 'isolate', 'break', 'join', 'lose-machine', 'leader-change'].includes(kind)),
    []
  )
  t.end()
})

void t.test('faults can be chosen, and made more', t => {
  const plan = makeFaultPlan(7, { ...options, only: ['pause', 'crash'] })
  t.same(plan.kinds, ['crash', 'pause'])
  const more = makeFaultPlan(7, { ...options, only: ['pause', 'crash'], intensity: 4 })
  t.ok(more.faults.length > 2 * plan.faults.length)
  t.end()
})

void t.test('every fault of the catalogue is in the atlas, or it is said why not', t => {
  const injected = new Set<string>(Object.values(atlas).flatMap(({ numbers }) => numbers))
  for (let i = 1; i <= 67; i++) t.not(injected.has(`F${i}`), `F${i}` in notInjected, `F${i} is in exactly one of them`)
  for (const { numbers, survives } of Object.values(atlas))
    t.ok(numbers.length > 0 && survives.every(each => /^[SLR]\d+$/.test(each)))
  t.end()
})

void t.test('a fault is told in one line', t => {
  t.equal(
    describeFault({ kind: 'crash', atMs: 1234, forMs: 500, host: 'w1' }),
    'at 1234 ms: crash (host w1) for 500 ms'
  )
  t.equal(
    describeFault({ kind: 'slow-broker', atMs: 1, forMs: 2, fault: { kind: 'slow', rate: 0.5, delayMs: 3 } }),
    'at 1 ms: slow-broker (fault {"kind":"slow","rate":0.5,"delayMs":3}) for 2 ms'
  )
  for (const { faults } of plans) for (const fault of faults) t.match(describeFault(fault), /^at \d+ ms: [^\n]+$/)
  t.end()
})
