/**
 * Random lives of the jobs with loops: checkpoints back to back, crashes anywhere, tasks counted anew, actors that leave memory,
 * alignments cut short, storage that refuses. Each life answers what is wrong with it.
 */
import { Prng } from '../../runtime/kernel/prng.ts'
import { ring, trees, walk, weightOfMessage, weightOfState, type Burst, type Road } from './loop-jobs.ts'
import { LoopWorld, type LoopSettings } from './loop-world.ts'

export const randomSettings = (random: Prng): LoopSettings => ({
  parallelism: 1 + random.int(3),
  turns: random.fork(`turns ${random.int(1_000_000)}`),
  cacheBytes: random.int(2) === 0 ? 1 : undefined,
  limits: {
    ...(random.int(4) === 0 ? { alignmentLimitMs: 0 } : {}),
    ...(random.int(3) === 0 ? { loopLimit: random.int(4) } : {})
  }
})

/** Weight of state and recorded messages of the newest checkpoint against that of the input read so far. */
async function wrongWeight(world: LoopWorld, bursts: readonly Burst[]): Promise<string | undefined> {
  const stored = await world.stored()
  if (stored === undefined) return undefined
  const expected = stored.manifest.sources.reduce((total, { name, partitions }) => {
    const read = partitions[0]?.position ?? 0
    return (
      total +
      of(bursts, name)
        .slice(0, read)
        .reduce((sum, burst) => sum + burst.weight, 0)
    )
  }, 0)
  const states = [...stored.fields.values()].flatMap(byKey => [...byKey.values()].map(weightOfState))
  const messages = [...stored.messages.values()].flat().map(weightOfMessage)
  const found = [...states, ...messages].reduce((sum, weight) => sum + weight, 0)
  return found === expected
    ? undefined
    : `epoch ${stored.manifest.epoch} holds a weight of ${found}, not ${expected}, ${messages.length} messages among it`
}

/** Every other comes from the other source. */
function of(bursts: readonly Burst[], source: string): readonly Burst[] {
  return bursts.filter((_, i) => (i % 2 === 0) === (source === 'others'))
}

interface Result {
  readonly wrong: string | undefined
  readonly rows: readonly string[]
}

/** Rows and states, sorted: which of them came first depends on the run. */
async function treesOf(seed: string, calm: boolean): Promise<Result> {
  const random = new Prng(seed)
  const bursts = Array.from({ length: 40 }, (_, n): Burst => ({
    key: `k${random.int(7)}`,
    weight: 1000 + random.int(1000),
    depth: 5,
    at: 1000 + n * 3
  }))
  const live = random.fork('life')
  const world = new LoopWorld(trees, !calm && live.int(2) === 0 ? live.fork('storage') : undefined)
  await world.begin(calm ? { parallelism: 1, intervalMs: 1000 } : randomSettings(live))
  let wrong: string | undefined
  for (let pushed = 0; pushed < bursts.length && wrong === undefined;) {
    const more = calm ? bursts.length : 1 + live.int(20)
    for (const source of ['bursts', 'others']) {
      const before = of(bursts.slice(0, pushed), source).length
      world.push(source, ...of(bursts.slice(0, pushed + more), source).slice(before))
    }
    pushed += more
    if (calm) break
    await world.turns(live.int(60))
    wrong = await wrongWeight(world, bursts)
    if (live.int(3) > 0) continue
    await world.crash()
    await world.begin(randomSettings(live))
  }
  world.end()
  for (let crashes = calm ? 0 : live.int(6); crashes > 0 && wrong === undefined; crashes--) {
    await world.turns(live.int(60))
    wrong = await wrongWeight(world, bursts)
    await world.crash()
    await world.begin(randomSettings(live))
  }
  if (wrong !== undefined) return { wrong, rows: [] }
  await world.finish()
  wrong = await wrongWeight(world, bursts)
  const stored = await world.stored()
  const rows = ['plain-rows', 'slow-rows', 'late-rows'].flatMap(sink => world.rows(sink).map(row => `${sink} ${row}`))
  const states = [...(stored?.fields ?? [])].flatMap(([stage, byKey]) =>
    [...byKey].map(([key, fields]) => `${stage} ${key} ${weightOfState(fields)}`)
  )
  return { wrong, rows: [...rows, ...states].sort() }
}

/** What the job says when nothing disturbs it. */
const calmRows = new Map<string, readonly string[]>()

export async function treesLife(seed: string): Promise<string | undefined> {
  let expected = calmRows.get(seed)
  if (expected === undefined) {
    const calm = await treesOf(seed, true)
    if (calm.wrong !== undefined || calm.rows.length < 40) return `the calm life: ${calm.wrong ?? 'says too little'}`
    calmRows.set(seed, (expected = calm.rows))
  }
  const { wrong, rows } = await treesOf(seed, false)
  if (wrong !== undefined) return wrong
  if (JSON.stringify(rows) === JSON.stringify(expected)) return undefined
  const missing = expected.filter(row => !rows.includes(row)).slice(0, 3)
  const besides = rows.filter((row, i) => !expected.includes(row) || rows.indexOf(row) !== i).slice(0, 3)
  return `missing: ${missing.join(', ')}; besides: ${besides.join(', ')}`
}

async function live(world: LoopWorld, source: string, events: readonly unknown[], random: Prng): Promise<void> {
  await world.begin(randomSettings(random))
  for (let pushed = 0; pushed < events.length;) {
    const more = 1 + random.int(12)
    world.push(source, ...events.slice(pushed, pushed + more))
    pushed += more
    await world.turns(random.int(80))
    if (random.int(3) > 0) continue
    await world.crash()
    await world.begin(randomSettings(random))
  }
  world.end()
  await world.turns(random.int(80))
  await world.crash()
  await world.begin(randomSettings(random))
  await world.finish()
}

function distances(roads: readonly Road[]): Map<string, number> {
  const found = new Map([['v0', 0]])
  for (let changed = true; changed;) {
    changed = false
    for (const { from, to, length } of roads) {
      const distance = (found.get(from) ?? Infinity) + length
      if (distance >= (found.get(to) ?? Infinity)) continue
      found.set(to, distance)
      changed = true
    }
  }
  return found
}

/** A walk over a graph finds the shortest ways. */
export async function walkLife(seed: string): Promise<string | undefined> {
  const random = new Prng(seed)
  const name = (): string => `v${random.int(12)}`
  const roads = Array.from({ length: 40 }, (): Road => ({ from: name(), to: name(), length: 1 + random.int(20) }))
  const world = new LoopWorld(walk, random.int(2) === 0 ? random.fork('storage') : undefined)
  await live(world, 'roads', roads, random)
  const expected = distances(roads)
  for (const [place, fields] of (await world.stored())?.fields.get('Place') ?? [])
    if (fields['distance'] !== (expected.get(place) ?? Infinity))
      return `${place}: ${String(fields['distance'])}, not ${String(expected.get(place))}`
  return undefined
}

/** Round a ring of three stages the letters of every sender come in order, each once. */
export async function ringLife(seed: string): Promise<string | undefined> {
  const random = new Prng(seed)
  const sent = new Map<string, number>()
  const letters = Array.from({ length: 60 }, () => {
    const key = `k${random.int(5)}`
    sent.set(key, (sent.get(key) ?? 0) + 1)
    return { key, from: 'outside', n: sent.get(key) as number, hops: random.int(9) }
  })
  const world = new LoopWorld(ring, random.int(2) === 0 ? random.fork('storage') : undefined)
  await live(world, 'letters', letters, random)
  for (const sink of ['first-rows', 'second-rows', 'third-rows']) {
    const [wrong] = world.rows(sink)
    if (wrong !== undefined) return wrong
  }
  const stages = [...((await world.stored())?.fields.values() ?? [])].flatMap(byKey => [...byKey.values()])
  const delivered = stages.reduce((sum, fields) => sum + (fields['delivered'] as number), 0)
  return delivered === letters.length ? undefined : `${delivered} of ${letters.length} letters`
}
