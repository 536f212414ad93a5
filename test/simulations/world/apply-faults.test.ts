/** Every class of faults really strikes, is over when it should be, and a run with faults is a function of its seed. */
import t from 'tap'
import { brokerKinds, type Fault } from '../../../simulations/world/fault.ts'
import { faultKinds } from '../../../simulations/world/atlas.ts'
import { makeFaultPlan, type FaultPlanOptions } from '../../../simulations/world/fault-plan.ts'
import { Chatter } from './chatter.ts'

const hosts = ['w1', 'w2', 'w3']
const options: FaultPlanOptions = {
  hosts,
  joiners: ['w4'],
  topics: [{ name: 'in', partitions: 2 }],
  brokers: 3,
  services: true,
  restores: true,
  startMs: 500,
  healAtMs: 20_000
}

/** Half-open connections, late operations and long retries have ended by then. */
const calmAtMs = 40_000

/** What does not work any more. */
async function broken(world: Chatter): Promise<string[]> {
  await world.time.run({ untilMs: calmAtMs - 5_000 })
  await world.time.run({ untilMs: calmAtMs })
  const there = [...world.hosts.keys()].filter(name => !world.applied.lost.has(name))
  const expected = there.flatMap(name => [
    ...['time', 'bus', 'lease', 'storage', 'files'].map(what => `${name} ${what}`),
    ...there.filter(other => other !== name).map(other => `${name} echo ${other}`)
  ])
  return expected.filter(each => (world.successes.get(each) ?? 0) < calmAtMs - 5_000)
}

void t.test('each class strikes when it exists, and no other does; afterwards everything works', async t => {
  for (const kind of faultKinds) {
    let hits = 0
    const others = new Set<string>()
    for (let seed = 0; seed < 2; seed++) {
      const world = new Chatter(seed, hosts, makeFaultPlan(seed, { ...options, only: [kind], intensity: 20 }))
      t.same(await broken(world), [], `${kind}, seed ${seed}`)
      for (const [name, count] of world.applied.hits())
        if (name === kind) hits += count
        else if (count > 0) others.add(name)
    }
    t.ok(hits > 0, kind)
    // A lost machine and an isolated one are cut off, in the eyes of the network.
    const same: Readonly<Record<string, string[]>> = { isolate: ['cut', 'bus-cut', 'storage-unreachable'] }
    t.same(
      [...others].filter(each => same[kind]?.includes(each) !== true),
      [],
      kind
    )
  }
})

void t.test('all of them together, and still everything works afterwards', async t => {
  for (let seed = 0; seed < 8; seed++) {
    const world = new Chatter(seed, hosts, makeFaultPlan(seed, { ...options, intensity: 2 }))
    t.same(await broken(world), [], `seed ${seed}`)
  }
})

async function hashOf(seed: number, faults: readonly Fault[]): Promise<string> {
  const world = new Chatter(seed, hosts, { faults })
  await world.time.run({ untilMs: 20_000 })
  return world.time.traceHash
}

void t.test('two runs of one seed are one run; of another seed, or without one of the faults, another', async t => {
  const hashes = new Set<string>()
  for (let seed = 0; seed < 5; seed++) {
    const { faults } = makeFaultPlan(seed, options)
    const hash = await hashOf(seed, faults)
    t.equal(await hashOf(seed, faults), hash)
    hashes.add(hash).add(await hashOf(seed, faults.slice(1)))
  }
  t.equal(hashes.size, 10)
})

void t.test('faults of the log reach the log', async t => {
  const plan = makeFaultPlan(3, { ...options, only: brokerKinds, intensity: 3 })
  const world = new Chatter(3, hosts, plan)
  await world.time.run({ untilMs: options.healAtMs })
  t.same(
    world.injected,
    plan.faults.map(fault => ('fault' in fault ? fault.fault : undefined))
  )
})

void t.test('what is over twice is over once: windows of one kind that overlap leave nothing behind', async t => {
  const faults: Fault[] = [0, 500, 1_000].flatMap((atMs): Fault[] => [
    { kind: 'slow-process', host: 'w1', yieldMs: 5 + atMs, atMs, forMs: 1_000 },
    { kind: 'slow-disk', host: 'w1', diskMs: 7 + atMs, atMs, forMs: 1_000 },
    { kind: 'clock-drift', host: 'w1', rate: 1.1 + atMs / 10_000, atMs, forMs: 1_000 },
    { kind: 'slow-link', from: 'w1', to: 'w2', factor: 3.3 + atMs, atMs, forMs: 1_000 },
    { kind: 'corrupt-bytes', from: 'w1', to: 'w2', rate: 0.1, atMs, forMs: 1_000 },
    { kind: 'cut', from: 'w1', to: 'w2', both: true, atMs, forMs: 1_000 }
  ])
  const world = new Chatter(1, hosts, { faults })
  const host = world.hosts.get('w1')
  const [yieldMs, diskMs] = [host?.clock.yieldMs, host?.diskMs]
  const link = world.network.link('w1', 'w2')
  await world.time.run({ untilMs: 1_200 })
  t.ok((host?.clock.yieldMs ?? 0) > 500 && (host?.diskMs ?? 0) > 500)
  t.ok(link.slowness > 1_000 && link.corruption > 0.15 && !link.open)
  await world.time.run({ untilMs: 3_000 })
  t.same([host?.clock.yieldMs, host?.diskMs], [yieldMs, diskMs])
  t.same([link.slowness, link.corruption, link.open], [1, 0, true])
  const before = host?.clock.now() ?? 0
  await world.time.run({ untilMs: 4_000 })
  t.ok(Math.abs((host?.clock.now() ?? 0) - before - 1_000) <= 1)
})
