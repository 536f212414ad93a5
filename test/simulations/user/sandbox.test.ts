/** The code of a job in the made-up world: evaluated afresh, with the world's time and chance, and no outside. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { MapNode } from '../../../actors/plan.ts'
import { compileForSimulation } from '../../../deploy/load-job.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import { processHost } from '../../../simulations/user/code-host.ts'
import { RunWatch } from '../../../simulations/user/run-watch.ts'
import { Sandbox } from '../../../simulations/user/sandbox.ts'
import { worldEpochMs } from '../../../simulations/world/clock.ts'
import { SimHost, type SimProcess } from '../../../simulations/world/process.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

/** A job whose only map is what a test looks at. */
const jobOf = (before: string, map: string): string => `
  import { generator, job, stdout } from 'cairn'
  ${before}
  export default job('probe', j => {
    const source = j.source('events', generator({ count: 1 }, n => n))
    return { out: source.map(${map}).to('out', stdout()) }
  })
`

class Lab {
  readonly time = new WorldTime()
  readonly watch: RunWatch
  private readonly sandbox: Sandbox
  private readonly host = new SimHost(this.time, 'w1', new Prng(1))

  private constructor(sandbox: Sandbox) {
    this.sandbox = sandbox
    this.watch = new RunWatch(stack => sandbox.place(stack))
  }

  static async open(t: Test, before: string, map: string, files: Record<string, string> = {}): Promise<Lab> {
    const folder = t.testdir({ 'package.json': '{ "type": "module" }', 'job.ts': jobOf(before, map), ...files })
    return new Lab(new Sandbox(await compileForSimulation(join(folder, 'job.ts'))))
  }

  /** The map of a new incarnation. */
  begin(): (value?: unknown) => unknown {
    if (this.host.process !== undefined) this.host.kill()
    const process: SimProcess = this.host.start()
    const host = processHost(process, this.watch, { random: new Prng(7) })
    const { job } = this.sandbox.evaluate(host, (_, implementation) => implementation)
    host.evaluated = true
    const map = job.plan.nodes.find((node): node is MapNode => node.kind === 'map') as MapNode
    return map.f as (value: unknown) => unknown
  }

  crash(): void {
    this.host.crash()
  }
}

void t.test('a value kept in a module variable does not survive its process, in whatever module it is', async t => {
  const lab = await Lab.open(
    t,
    "import { next } from './counter.ts'; let own = 0",
    '() => [++own, next(), (globalThis as any).kept = ((globalThis as any).kept ?? 0) + 1]',
    { 'counter.ts': 'let n = 0\nexport const next = () => ++n\n' }
  )
  const first = lab.begin()
  t.same(first(), [1, 1, 1])
  t.same(first(), [2, 2, 2])
  const second = lab.begin()
  t.same(second(), [1, 1, 1])
  t.notOk('kept' in globalThis)
})

void t.test('plain values stay plain, and dates are dates', async t => {
  const lab = await Lab.open(t, '', '() => ({ list: [1], map: new Map(), date: new Date(), of: new Date(5) })')
  const made = lab.begin()() as { list: unknown; map: unknown; date: Date; of: Date }
  t.equal(Object.getPrototypeOf(made), Object.prototype)
  t.equal(Object.getPrototypeOf(made.list), Array.prototype)
  t.equal(Object.getPrototypeOf(made.date), Date.prototype)
  t.equal(made.date.getTime(), worldEpochMs)
  t.equal(made.of.getTime(), 5)
})

void t.test('time is that of the process, across awaits, and it moves by its timers only', async t => {
  const lab = await Lab.open(
    t,
    "import { setTimeout as sleep } from 'node:timers/promises'",
    `async () => {
      const seen = [Date.now(), performance.now()]
      await Promise.resolve()
      seen.push(new Date().getTime())
      await sleep(500)
      seen.push(+new Date(), Number(process.hrtime.bigint() / 1000000n))
      await new Promise(resolve => setTimeout(resolve, 100))
      return [...seen, Date.now()]
    }`
  )
  const promise = lab.begin()() as Promise<number[]>
  const seen = await lab.time.complete(promise)
  const at = worldEpochMs
  t.same(seen, [at, 0, at, at + 500, 500, at + 600])
  t.match(lab.watch.asked.get('clock')?.[0], /^job\.ts:\d+:\d+$/)
})

void t.test('chance is drawn from the seed', async t => {
  const lab = await Lab.open(
    t,
    "import { randomUUID, randomInt, createHash } from 'node:crypto'",
    `() => [Math.random(), crypto.randomUUID(), randomUUID(), randomInt(5, 9), [...crypto.getRandomValues(new Uint8Array(4))],
      createHash('sha256').update('a').digest('hex').slice(0, 8), Math.max(1, 2)]`
  )
  const map = lab.begin()
  const drawn = map() as unknown[]
  t.match(drawn[1], /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  t.same(drawn.slice(5), ['ca978112', 2])
  t.not(drawn[0], (map() as unknown[])[0])
  const again = await Lab.open(
    t,
    "import { randomUUID, randomInt, createHash } from 'node:crypto'",
    '() => Math.random()'
  )
  t.equal(again.begin()(), drawn[0])
})

void t.test('timers of a dead process never fire, and cancelled ones neither', async t => {
  const lab = await Lab.open(
    t,
    '',
    `(rang: any) => {
      setTimeout(() => rang.push('dead'), 1000)
      const cancelled = setTimeout(() => rang.push('cancelled'), 10)
      const each = setInterval(() => rang.push('each'), 20)
      setTimeout(() => clearInterval(each), 50)
      clearTimeout(cancelled)
    }`
  )
  const rang: string[] = []
  lab.begin()(rang)
  await lab.time.run({ untilMs: 200 })
  lab.crash()
  await lab.time.run({ untilMs: 5000 })
  t.same(rang, ['each', 'each'])
})

void t.test('the outside may be imported and named, but not used', async t => {
  const lab = await Lab.open(
    t,
    "import { readFileSync } from 'node:fs'; import net, { Socket } from 'node:net'; class Own extends Socket {}; void [net, Own]",
    "(what: any) => what === 'fetch' ? fetch('http://localhost') : what === 'exit' ? process.exit(1) : readFileSync('a')"
  )
  const map = lab.begin()
  t.throws(() => map(), {
    code: 'SIMULATION_OUTSIDE',
    message: /node:fs\.readFileSync \(job\.ts:\d+:\d+\); name it with/
  })
  t.throws(() => map('fetch'), { code: 'SIMULATION_OUTSIDE', message: /world: fetch/ })
  t.throws(() => map('exit'), { code: 'SIMULATION_OUTSIDE', message: /world: process\.exit/ })
  t.equal(lab.watch.fatal.length, 3)
})

void t.test('a file that reaches outside while it is loaded, or throws, is named with its place', async t => {
  const outside = await Lab.open(t, "import { readFileSync } from 'node:fs'; readFileSync('a')", 'n => n')
  t.throws(() => outside.begin(), { code: 'SIMULATION_OUTSIDE' })
  const folder = t.testdir({ 'package.json': '{}', 'job.ts': 'const a = 1\n\nthrow new Error(`no ${a}`)\n' })
  const sandbox = new Sandbox(await compileForSimulation(join(folder, 'job.ts')))
  const time = new WorldTime()
  const host = processHost(new SimHost(time, 'w1', new Prng(1)).start(), outside.watch, { random: new Prng(1) })
  t.throws(() => sandbox.evaluate(host, (_, it) => it), { code: 'JOB_FILE_INVALID', message: /no 1 \(job\.ts:3:7\)$/ })
})
