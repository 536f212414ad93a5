/**
 * Loops with checkpoints back to back, crashes anywhere, tasks counted anew and actors that leave memory. Weight is conserved in every
 * checkpoint, and each message has its effects once.
 */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { LoopWorld, type LoopSettings } from '../../support/loop-world.ts'
import { ring, trees, walk, weightOfMessage, weightOfState, type Burst, type Road } from '../../support/loop-jobs.ts'

t.setTimeout(300_000)
const base = process.env['CAIRN_SEED'] ?? String(process.hrtime.bigint())
const lives = Number(process.env['CAIRN_LIVES'] ?? 25)

const randomSettings = (random: Prng): LoopSettings => ({
  parallelism: 1 + random.int(3),
  budget: 1 + random.int(4),
  cacheBytes: random.int(2) === 0 ? 1 : undefined,
  limits: {
    ...(random.int(2) === 0 ? { alignmentLimitMs: 0 } : {}),
    ...(random.int(3) === 0 ? { loopLimit: random.int(4) } : {})
  }
})

interface Seen {
  recorded: number
  checkpoints: number
}

/** Weight of state and recorded messages of the newest checkpoint against that of the input read so far. */
async function checkWeight(world: LoopWorld, bursts: readonly Burst[], seen: Seen): Promise<void> {
  const stored = await world.stored()
  if (stored === undefined) return
  const read = stored.manifest.sources[0]?.partitions[0]?.position ?? 0
  const expected = bursts.slice(0, read).reduce((sum, burst) => sum + burst.weight, 0)
  const states = [...stored.fields.values()].flatMap(byKey => [...byKey.values()].map(weightOfState))
  const messages = [...stored.messages.values()].flat().map(weightOfMessage)
  const found = [...states, ...messages].reduce((sum, weight) => sum + weight, 0)
  seen.checkpoints++
  seen.recorded += messages.length
  if (found !== expected) throw new Error(`epoch ${stored.manifest.epoch} holds a weight of ${found}, not ${expected}`)
}

/** Rows of each stage, sorted: which of them came first depends on the run. */
async function treesOf(seed: string, calm: boolean, seen: Seen): Promise<string[]> {
  const random = new Prng(seed)
  const bursts = Array.from({ length: 40 }, (_, n): Burst => ({
    key: `k${random.int(7)}`,
    weight: 1000 + random.int(1000),
    depth: 5,
    at: 1000 + n * 3
  }))
  const world = new LoopWorld(trees)
  const live = random.fork('life')
  await world.begin(calm ? { parallelism: 1, intervalMs: 1000 } : randomSettings(live))
  let pushed = 0
  while (!calm && pushed < bursts.length) {
    const more = 1 + live.int(20)
    world.push('bursts', ...bursts.slice(pushed, pushed + more))
    pushed += more
    await world.turns(live.int(25))
    await checkWeight(world, bursts, seen)
    if (live.int(3) > 0) continue
    await world.crash()
    await checkWeight(world, bursts, seen)
    await world.begin(randomSettings(live))
  }
  if (calm) world.push('bursts', ...bursts)
  world.end()
  for (let crashes = calm ? 0 : live.int(6); crashes > 0; crashes--) {
    await world.turns(live.int(60))
    await checkWeight(world, bursts, seen)
    await world.crash()
    await world.begin(randomSettings(live))
  }
  await world.finish()
  await checkWeight(world, bursts, seen)
  const stored = await world.stored()
  const rows = ['plain-rows', 'slow-rows', 'late-rows'].flatMap(sink => world.rows(sink).map(row => `${sink} ${row}`))
  const states = [...(stored?.fields ?? [])].flatMap(([stage, byKey]) =>
    [...byKey].map(([key, fields]) => `${stage} ${key} ${weightOfState(fields)}`)
  )
  return [...rows, ...states].sort()
}

void t.test('random trees of messages: every weight is somewhere once, every message is handled once', async t => {
  t.comment(`CAIRN_SEED=${base}`)
  const seen = { recorded: 0, checkpoints: 0 }
  for (let n = 0; n < lives; n++) {
    const seed = `${base}/trees/${n}`
    const expected = await treesOf(seed, true, { recorded: 0, checkpoints: 0 })
    t.ok(expected.length > 40)
    let got: string[] = []
    try {
      got = await treesOf(seed, false, seen)
    } catch (error) {
      return t.fail(`life ${n}: ${String(error)}`, { trace: (error as Error).stack })
    }
    if (JSON.stringify(got) !== JSON.stringify(expected))
      return t.fail(`life ${n}`, {
        missing: expected.filter(row => !got.includes(row)),
        besides: got.filter(row => !expected.includes(row)),
        counts: [got.length, expected.length]
      })
  }
  t.comment(`${seen.checkpoints} checkpoints with ${seen.recorded} recorded messages`)
  t.ok(seen.recorded > 20, 'messages were recorded')
})

async function live(world: LoopWorld, source: string, events: readonly unknown[], random: Prng): Promise<void> {
  await world.begin(randomSettings(random))
  for (let pushed = 0; pushed < events.length;) {
    const more = 1 + random.int(8)
    world.push(source, ...events.slice(pushed, pushed + more))
    pushed += more
    await world.turns(random.int(10))
    if (random.int(3) > 0) continue
    await world.crash()
    await world.begin(randomSettings(random))
  }
  world.end()
  await world.turns(random.int(20))
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
      if (distance < (found.get(to) ?? Infinity)) {
        found.set(to, distance)
        changed = true
      }
    }
  }
  return found
}

void t.test('a walk over a graph finds the shortest ways', async t => {
  for (let n = 0; n < lives; n++) {
    const random = new Prng(`${base}/walk/${n}`)
    const name = () => `v${random.int(12)}`
    const roads = Array.from({ length: 30 }, (): Road => ({ from: name(), to: name(), length: 1 + random.int(20) }))
    const world = new LoopWorld(walk)
    await live(world, 'roads', roads, random)
    const places = (await world.stored())?.fields.get('Place')
    const expected = distances(roads)
    for (const [place, fields] of places ?? [])
      if (fields['distance'] !== (expected.get(place) ?? Infinity))
        return t.fail(`life ${n}, ${place}: ${String(fields['distance'])}, not ${String(expected.get(place))}`)
  }
  t.pass(`${lives} lives`)
})

void t.test('round a ring of three stages the letters of every sender come in order, each once', async t => {
  for (let n = 0; n < lives; n++) {
    const random = new Prng(`${base}/ring/${n}`)
    const sent = new Map<string, number>()
    const letters = Array.from({ length: 40 }, () => {
      const key = `k${random.int(5)}`
      sent.set(key, (sent.get(key) ?? 0) + 1)
      return { key, from: 'outside', n: sent.get(key) as number, hops: random.int(9) }
    })
    const world = new LoopWorld(ring)
    await live(world, 'letters', letters, random)
    for (const sink of ['first-rows', 'second-rows', 'third-rows'])
      if (world.rows(sink).length > 0) return t.fail(`life ${n}: ${world.rows(sink)[0]}`)
    const stages = [...((await world.stored())?.fields.values() ?? [])].flatMap(byKey => [...byKey.values()])
    const delivered = stages.reduce((sum, fields) => sum + (fields['delivered'] as number), 0)
    if (delivered !== letters.length) return t.fail(`life ${n}: ${delivered} of ${letters.length} letters`)
  }
  t.pass(`${lives} lives`)
})
