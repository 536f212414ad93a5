/**
 * Random lives through `drive`: events, settling, time, crashes, restarts with other parallelism and less memory, in any order. Each
 * key's output, its state and its dead letters are those of one calm run at parallelism 1.
 */
import t from 'tap'
import type { Job } from '../../actors/index.ts'
import { Actor, files, generator, job, json, type Context } from '../../actors/index.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { drive, type DriveOptions } from '../../simulations/driver/index.ts'
import { lifeJobs, sourcesOf, type Happening, type Row } from '../support/life-jobs.ts'

t.setTimeout(3_000_000)
const base = process.env['CAIRN_SEED'] ?? String(process.hrtime.bigint())

type Step =
  | { readonly kind: 'push'; readonly source: string; readonly events: readonly Happening[] }
  | { readonly kind: 'settle' }
  /** Of the event loop: some of what was pushed gets somewhere. */
  | { readonly kind: 'turns'; readonly count: number }
  | { readonly kind: 'advance'; readonly ms: number }
  | { readonly kind: 'crash'; readonly options: DriveOptions }

const randomOptions = (random: Prng): DriveOptions => ({
  parallelism: 1 + random.int(3),
  cacheBytes: random.int(2) === 0 ? 1 : 2 ** 28
})

/** One time for all sources, so that one that was idle brings nothing late when it wakes up. */
function randomSteps(sources: readonly string[], random: Prng): Step[] {
  let at = 1000
  const counts = new Map<string, number>()
  const push = (): Step => {
    const source = sources[random.int(sources.length)] as string
    const events = Array.from({ length: 1 + random.int(12) }, (): Happening => {
      at += random.int(8) === 0 ? 60 : random.int(8)
      const n = counts.get(source) ?? 0
      counts.set(source, n + 1)
      return { key: 'abcdefgh'.charAt(random.int(8)), at: at - random.int(40), n }
    })
    return { kind: 'push', source, events }
  }
  return Array.from({ length: 5 + random.int(40) }, (): Step => {
    switch (random.int(10)) {
      case 0:
        return { kind: 'settle' }
      case 1:
        return { kind: 'advance', ms: random.int(200) }
      case 2:
        return { kind: 'crash', options: randomOptions(random) }
      case 3:
      case 4:
        return { kind: 'turns', count: 1 + random.int(6) }
      default:
        return push()
    }
  })
}

interface AnyDriven {
  readonly push: (...events: Happening[]) => void
  readonly end: () => void
  readonly take: () => readonly (Row & Record<string, unknown>)[]
}

/** By output and key: what came out; by stage and key: fields. */
async function run(made: Job<unknown>, steps: readonly Step[], options: DriveOptions): Promise<Map<string, string[]>> {
  const d = await drive(made, options)
  const handle = (name: string): AnyDriven => (d as unknown as Record<string, AnyDriven>)[name] as AnyDriven
  for (const step of steps)
    if (step.kind === 'push') handle(step.source).push(...step.events)
    else if (step.kind === 'settle') await d.settle()
    else if (step.kind === 'advance') await d.advance(step.ms)
    else if (step.kind === 'turns')
      for (let left = step.count; left > 0; left--) await new Promise(resolve => setImmediate(resolve))
    else await d.crash(step.options)
  for (const source of sourcesOf(made)) handle(source).end()
  await d.settle()
  const found = new Map<string, string[]>()
  const add = (key: string, value: unknown): void => {
    const list = found.get(key)
    if (list === undefined) found.set(key, [JSON.stringify(value)])
    else list.push(JSON.stringify(value))
  }
  for (const [name, { kind }] of Object.entries(made.plan.handles))
    if (kind === 'sink') for (const row of handle(name).take()) add(`${name} of ${row.key}`, row)
  for (const letter of d.deadLetters() as readonly { id: string }[]) add(`dead letter ${letter.id}`, letter)
  for (const node of made.plan.nodes)
    if (node.kind === 'actor')
      for (const key of keysOf(steps)) {
        const state = d.state({ actorName: node.name } as never, key as never) as object | undefined
        if (state !== undefined) add(`state of ${node.name} ${key}`, Object.entries(state).map(plain))
      }
  return found
}

const plain = ([name, value]: [string, unknown]): unknown[] => [name, value instanceof Map ? [...value] : value]

function keysOf(steps: readonly Step[]): string[] {
  const keys = steps.flatMap(step => (step.kind === 'push' ? step.events.map(({ key }) => key) : []))
  return [...new Set(keys)].flatMap(key => [key, `${key}*`])
}

function differences(expected: ReadonlyMap<string, string[]>, got: ReadonlyMap<string, string[]>): string[] {
  return [...new Set([...expected.keys(), ...got.keys()])].flatMap(key => {
    const [left, right] = [expected, got].map(all => (all.get(key) ?? []).join('\n'))
    return left === right ? [] : [`${key}:\n${right}\nexpected:\n${left}`]
  })
}

async function lifeOf(made: Job<unknown>, seed: string): Promise<string[]> {
  const random = new Prng(seed)
  const steps = randomSteps(sourcesOf(made), random)
  const calm = await run(
    made,
    steps.filter(step => step.kind === 'push'),
    { parallelism: 1 }
  )
  return differences(calm, await run(made, steps, randomOptions(random)))
}

/** More find more, and take a tenth of a second each. */
const lives = Number(process.env['CAIRN_LIVES'] ?? 120)
for (const made of lifeJobs)
  void t.test(`${made.name}: a random life ends as a calm one`, { timeout: 3_000_000 }, async t => {
    t.comment(`CAIRN_SEED=${base}`)
    for (let n = 0; n < lives; n++) {
      const wrong = await lifeOf(made, `${base}/${made.name}/${n}`)
      if (wrong.length > 0) return t.fail(`life ${n}`, { wrong })
    }
    t.pass(`${lives} lives`)
  })

/** What no checkpoint holds. */
const outside = new Map<string, number>()
class Leaky extends Actor {
  n = 0
  receive(event: Happening, ctx: Context<Row & { n: number; outside: number }>) {
    const count = (this.n === 0 ? 0 : (outside.get(ctx.key) ?? 0)) + 1
    outside.set(ctx.key, count)
    ctx.emit({ key: ctx.key, n: ++this.n, outside: count + event.n * 0 })
  }
}
const leaky = job('leaky', j => {
  const events = j.source(
    'events',
    generator<Happening>({ count: 0 }, () => ({ key: '', at: 0, n: 0 })),
    { time: event => event.at, outOfOrder: 40 }
  )
  return {
    events,
    rows: events
      .keyBy(event => event.key)
      .actor(Leaky)
      .to('rows', files('rows', json<Row>()))
  }
})

void t.test('state kept outside of an actor is noticed', { timeout: 3_000_000 }, async t => {
  let noticed = 0
  for (let n = 0; n < 60; n++) if ((await lifeOf(leaky, `${base}/leaky/${n}`)).length > 0) noticed++
  t.ok(noticed > 0, `in ${noticed} of 60 lives`)
})
