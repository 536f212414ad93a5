/**
 * A real process is killed with SIGKILL again and again, each time only after it has decided a checkpoint of its own; output and
 * state equal those of an undisturbed run.
 */
import t, { type Test } from 'tap'
import { Prng } from '../../runtime/kernel/prng.ts'
import { differences, inputsOf, KillLab, type Remains, type RunOptions } from '../support/kill-lab.ts'

// A life is mostly processes that start and disks that sync.
t.setTimeout(900_000)
t.jobs = 3

/** Each is reached at most a few checkpoints after the first one. */
const points = ['sealed', 'delta', 'before-decision', 'publish', 'published', 'base']
const killsAtEachPoint = 3
const killsInHandlers = 3
const killsAtRandomTimes = 10

const seed = process.env['CAIRN_SEED'] ?? String(process.hrtime.bigint())
const inputs = inputsOf(new Prng(seed).fork('inputs'), 8000, 10_000)

async function undisturbed(): Promise<Remains> {
  const lab = await KillLab.create(inputs)
  try {
    const { code, stderr } = await lab.start({ parallelism: 1, store: 'memory' }).ended
    if (code !== 0) throw new Error(stderr)
    return await lab.remains()
  } finally {
    lab.remove()
  }
}
const expected = undisturbed()

/** What is to happen to the runs of one life, in a random order. */
function plannedKills(random: Prng): string[] {
  const kills = [
    ...points.flatMap(point => new Array<string>(killsAtEachPoint).fill(point)),
    ...new Array<string>(killsInHandlers).fill('handling'),
    ...new Array<string>(killsAtRandomTimes).fill('any time')
  ]
  for (let i = kills.length - 1; i > 0; i--) {
    const j = random.int(i + 1)
    ;[kills[i], kills[j]] = [kills[j] as string, kills[i] as string]
  }
  return kills
}

/** Starts the job, waits for a checkpoint of its own, kills it. */
async function kill(t: Test, lab: KillLab, how: string, random: Prng, options: RunOptions): Promise<void> {
  const before = lab.newestCheckpoint()
  const atPoint = points.includes(how)
  const killAt = `after-decision:1,${how}:${how === 'base' ? 1 : 1 + random.int(4)}`
  const run = lab.start({ ...options, ...(atPoint ? { killAt } : {}) })
  if (!atPoint) {
    await lab.decidedAfter(before, run)
    if (how === 'handling') run.child.kill('SIGUSR2')
    else {
      const timer = setTimeout(() => run.child.kill('SIGKILL'), random.int(300))
      void run.ended.then(() => clearTimeout(timer))
    }
  }
  const { signal, stderr } = await run.ended
  t.equal(signal, 'SIGKILL', `killed: ${how} ${signal === null ? stderr : ''}`)
  t.ok(lab.newestCheckpoint() > before, 'after a checkpoint of its own')
}

const lives: {
  readonly name: string
  readonly store: RunOptions['store']
  readonly parallelism: (n: number) => number
}[] = [
  { name: 'parallelism 1, state in memory', store: 'memory', parallelism: () => 1 },
  { name: 'parallelism 3, state larger than memory', store: 'level', parallelism: () => 3 },
  { name: 'parallelism 1, 3 and 2 in turn', store: 'memory', parallelism: n => [1, 3, 2][n % 3] as number }
]
for (const { name, store, parallelism } of lives)
  void t.test(
    `killed again and again, nothing is lost, doubled or out of order: ${name}`,
    { timeout: 600_000, buffered: true },
    async t => {
      t.comment(`CAIRN_SEED=${seed}`)
      const calm = await expected
      const random = new Prng(seed).fork(name)
      const lab = await KillLab.create(inputs)
      t.teardown(() => lab.remove())
      const kills = plannedKills(random)
      t.ok(kills.length >= 30, `${kills.length} kills`)
      for (const [n, how] of kills.entries())
        await kill(t, lab, how, random, {
          store,
          pace: await lab.paceFor(kills.length - n),
          parallelism: parallelism(n)
        })
      const { code, stderr } = await lab.start({ store, parallelism: parallelism(kills.length) }).ended
      t.equal(code, 0, stderr)
      t.same(differences(calm, await lab.remains()), [])
    }
  )

void t.test('a record lost, doubled, out of order or foreign, and state that differs, are each noticed', async t => {
  const calm = await expected
  const planted = (what: string, plant: (lines: readonly string[]) => string[]): string[] => {
    const [key, lines] = Object.entries(calm[what] ?? {}).find(([, lines]) => lines.length > 1) ?? ['', ['', 'x']]
    return differences(calm, { ...calm, [what]: { ...calm[what], [key]: plant(lines) } })
  }
  const sinks = ['opened', 'totals', 'audits', 'rush', 'settled', 'shares', 'spells']
  for (const sink of sinks) {
    t.equal(planted(sink, lines => lines.slice(1)).length, 1, `${sink}: lost at the beginning`)
    t.equal(planted(sink, lines => lines.slice(0, -1)).length, 1, `${sink}: lost at the end`)
    t.equal(planted(sink, lines => [...lines, ...lines.slice(-1)]).length, 1, `${sink}: doubled`)
    t.equal(planted(sink, ([a = '', b = '', ...rest]) => [b, a, ...rest]).length, 1, `${sink}: out of order`)
  }
  for (const what of Object.keys(calm)) {
    const key = Object.keys(calm[what] ?? {})[0]
    t.equal(differences(calm, { ...calm, [what]: { ...calm[what], foreign: ['00'] } }).length, 1, `${what}: foreign`)
    if (key === undefined) continue
    t.equal(differences(calm, { ...calm, [what]: { ...calm[what], [key]: [] } }).length, 1, `${what}: gone`)
    t.equal(differences(calm, { ...calm, [what]: { ...calm[what], [key]: ['00'] } }).length, 1, `${what}: changed`)
  }
  for (const what of [...sinks, 'payments-dead-letters', 'state of Account', 'state of Region', 'state of Audit'])
    t.ok(Object.keys(calm[what] ?? {}).length > 30, `${what} holds something`)
})
