/** Topics, transactions, fencing, positions of groups, and a model that every sequence of calls is compared with. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { EmbeddedLog } from '../../../runtime/adapters/embedded-log/embedded-log.ts'
import type { TransactionalProducer } from '../../../runtime/adapters/embedded-log/transactional-producer.ts'
import { nodeClock } from '../../../runtime/adapters/node-clock.ts'
import type { OutputRecord } from '../../../runtime/ports/log.ts'

t.setTimeout(600_000)

const record = (text: string, partition = 0): OutputRecord => ({
  partition,
  timestamp: text.length,
  key: undefined,
  value: new TextEncoder().encode(text)
})

function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-embedded-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'log')
}

async function openLog(t: Test, folder = folderOf(t)): Promise<EmbeddedLog> {
  const log = await EmbeddedLog.open(folder, nodeClock)
  t.teardown(() => log.close())
  return log
}

async function seen(log: EmbeddedLog, topic: string, partition = 0, from = 0): Promise<[number, string][]> {
  const reader = log.reader(topic)
  const records: [number, string][] = []
  for (let position = from; ;) {
    const got = await reader.fetch(partition, position, 200, 0)
    if (got.kind !== 'records') return records
    for (let i = 0; i < got.batch.count; i++)
      records.push([got.batch.offset(i), new TextDecoder().decode(got.batch.value(i))])
    position = got.next
  }
}

void t.test('a topic is made once; its name and number of partitions are checked', async t => {
  const log = await openLog(t)
  await log.createTopic('a', 2)
  await log.createTopic('a', 2)
  t.same(log.topics(), [{ name: 'a', partitions: 2 }])
  await t.rejects(log.createTopic('a', 3), { code: 'OPTION_INVALID', message: /has 2 partitions, not 3/ })
  for (const name of ['', '7', 'a/b', 'a.b', '__proto__', 'x'.repeat(300)])
    await t.rejects(log.createTopic(name, 1), { code: 'NAME_INVALID' }, name)
  for (const partitions of [0, -1, 1.5, 5000, NaN])
    await t.rejects(log.createTopic('b', partitions), { code: 'OPTION_INVALID' })
  await t.rejects(log.append('b', 0, []), { code: 'TOPIC_MISSING', message: 'topic "b" does not exist; there are: a' })
  await t.rejects(log.append('a', 2, []), { code: 'OPTION_INVALID', message: /no partition 2, only 2/ })
  await t.rejects(log.reader('b').partitions(), { code: 'TOPIC_MISSING' })
  await t.rejects(log.publisher('a', { partitions: 5 }).describe(), { code: 'OPTION_INVALID' })
})

void t.test(
  'what was written is there when it is opened again, with keys, times, tombstones and empty values',
  async t => {
    const folder = folderOf(t)
    const log = await openLog(t, folder)
    await log.createTopic('a', 1)
    const key = new TextEncoder().encode('k')
    t.equal(await log.append('a', 0, [record('one'), { ...record(''), key, timestamp: -5.5 }]), 0)
    t.equal(await log.append('a', 0, [{ ...record('x'), value: undefined, key: new Uint8Array() }]), 2)
    await log.commitOffset('people', 'a', 0, 2)
    await log.close()
    await log.close()
    await t.rejects(log.append('a', 0, []), { code: 'NOT_RUNNING' })

    const again = await openLog(t, folder)
    t.equal(again.committedOffset('people', 'a', 0), 2)
    t.equal(again.committedOffset('others', 'a', 0), undefined)
    const got = await again.reader('a').fetch(0, 0, 1 << 20, 0)
    if (got.kind !== 'records') throw new Error(got.kind)
    t.equal(got.next, 3)
    t.equal(got.end, 3)
    t.same(
      [0, 1, 2].map(i => got.batch.timestamp(i)),
      [3, -5.5, 1]
    )
    t.same(
      [0, 1, 2].map(i => got.batch.key(i)?.length),
      [undefined, 1, 0]
    )
    t.same(
      [0, 1, 2].map(i => got.batch.value(i)?.length),
      [3, 0, undefined]
    )
    t.equal(await again.append('a', 0, [record('more')]), 3)
  }
)

void t.test(
  'records of an open transaction hold back what stands behind them; of an aborted one they are never seen',
  async t => {
    const log = await openLog(t)
    await log.createTopic('a', 2)
    const [one, two] = [await log.producer('one'), await log.producer('two')]
    one.begin()
    two.begin()
    one.append('a', 0, [record('1')])
    two.append('a', 0, [record('2')])
    one.append('a', 1, [record('elsewhere')])
    await log.append('a', 0, [record('plain')])
    t.same(await seen(log, 'a'), [])
    t.equal(await two.commit(), 'done')
    t.same(await seen(log, 'a'), [], 'the first is open still')
    t.equal(await log.reader('a').start(0, 'latest'), 0)
    t.equal(await one.abort(), 'done')
    t.same(await seen(log, 'a'), [
      [1, '2'],
      [2, 'plain']
    ])
    t.same(await seen(log, 'a', 1), [])
    t.equal(await log.append('a', 0, [record('behind two markers')]), 5)
    t.equal(one.begin(), 'done')
    t.throws(() => one.begin(), /begins a transaction inside another/)
    await one.abort()
    await t.rejects(one.commit(), /ends a transaction that it did not begin/)
  }
)

void t.test('an older producer is fenced for ever, and what it left open is aborted', async t => {
  const folder = folderOf(t)
  const log = await openLog(t, folder)
  await log.createTopic('a', 1)
  const old = await log.producer('p')
  old.begin()
  old.append('a', 0, [record('zombie')])
  const young = await log.producer('p')
  t.equal(old.append('a', 0, [record('zombie')]), 'fenced')
  t.equal(await old.flush(), 'fenced')
  t.equal(await old.commit(), 'fenced')
  t.equal(old.begin(), 'fenced')
  young.begin()
  young.append('a', 0, [record('good')])
  t.equal(await young.commit(), 'done')
  t.same(await seen(log, 'a'), [[2, 'good']])
  await log.close()
  const again = await openLog(t, folder)
  t.same(await seen(again, 'a'), [[2, 'good']])
})

void t.test('a topic that is set aside keeps its records, and its name is free', async t => {
  const folder = folderOf(t)
  const log = await openLog(t, folder)
  await log.createTopic('a', 1)
  await log.append('a', 0, [record('old')])
  await log.renameTopic('a', 'a.before-1')
  await log.createTopic('a', 3)
  await log.append('a', 0, [record('new')])
  await t.rejects(log.renameTopic('a', 'a.before-1'), { code: 'OPTION_INVALID' })
  await log.close()
  const again = await openLog(t, folder)
  t.same(await seen(again, 'a.before-1'), [[0, 'old']])
  t.same(await seen(again, 'a'), [[0, 'new']])
})

void t.test('large batches and large records are cut into entries and come back whole', async t => {
  const log = await openLog(t)
  await log.createTopic('a', 1)
  const texts = Array.from({ length: 10_000 }, (_, i) => String(i))
  texts.push('x'.repeat(3 << 20), 'y')
  await log.append(
    'a',
    0,
    texts.map(text => record(text))
  )
  t.same(
    (await seen(log, 'a')).map(([, text]) => text.length),
    texts.map(text => text.length)
  )
  t.same((await seen(log, 'a', 0, 7777))[0], [7777, '7777'])
})

void t.test('the records of old writes are given up, and the log still opens', async t => {
  const folder = folderOf(t)
  const log = await openLog(t, folder)
  await log.createTopic('a', 1)
  const large = { ...record(''), value: new Uint8Array(4 << 20) }
  for (let i = 0; i < 20; i++) await log.append('a', 0, [large])
  await log.close()
  const again = await openLog(t, folder)
  t.equal(again.partition('a', 0).end, 20)
  t.equal(await again.append('a', 0, [record('more')]), 20)
  t.equal((await seen(again, 'a', 0, 18)).length, 3)
})

type Step =
  | { readonly kind: 'append'; readonly partition: number; readonly count: number }
  | { readonly kind: 'transact'; readonly producer: number; readonly partition: number; readonly count: number }
  | { readonly kind: 'commit' | 'abort' | 'initialise'; readonly producer: number }
  | { readonly kind: 'reopen' }

interface ModelRecord {
  readonly text: string
  outcome: 'open' | 'seen' | 'aborted' | 'marker'
  readonly producer?: number
}

/** The log as a list per partition, quadratic and obvious. */
class Model {
  readonly partitions: ModelRecord[][] = [[], []]
  append(partition: number, texts: string[], producer?: number): void {
    for (const text of texts)
      this.partitions[partition]?.push(
        producer === undefined ? { text, outcome: 'seen' } : { text, outcome: 'open', producer }
      )
  }
  end(producer: number, outcome: 'seen' | 'aborted'): void {
    for (const list of this.partitions) {
      const open = list.filter(each => each.producer === producer && each.outcome === 'open')
      for (const each of open) each.outcome = outcome
      if (open.length > 0) list.push({ text: '', outcome: 'marker' })
    }
  }
  seen(partition: number): [number, string][] {
    const list = this.partitions[partition] ?? []
    const stop = list.findIndex(each => each.outcome === 'open')
    return list
      .slice(0, stop < 0 ? list.length : stop)
      .flatMap((each, i): [number, string][] => (each.outcome === 'seen' ? [[i, each.text]] : []))
  }
}

const producerArbitrary = fc.constantFrom(0, 1, 2)
const partitionArbitrary = fc.constantFrom(0, 1)
const countArbitrary = fc.integer({ min: 1, max: 4 })
const stepArbitrary: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('append' as const), partition: partitionArbitrary, count: countArbitrary }),
  fc.record({
    kind: fc.constant('transact' as const),
    producer: producerArbitrary,
    partition: partitionArbitrary,
    count: countArbitrary
  }),
  fc.record({ kind: fc.constantFrom('commit' as const, 'abort' as const), producer: producerArbitrary }),
  fc.record({ kind: fc.constant('initialise' as const), producer: producerArbitrary }),
  fc.constant({ kind: 'reopen' as const })
)

class Run {
  log: EmbeddedLog
  readonly folder: string
  readonly model = new Model()
  private readonly producers = new Map<number, { producer: TransactionalProducer; open: boolean }>()
  private texts = 0

  constructor(log: EmbeddedLog, folder: string) {
    this.log = log
    this.folder = folder
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'append': {
        const texts = this.take(step.count)
        this.model.append(step.partition, texts)
        await this.log.append(
          'a',
          step.partition,
          texts.map(text => record(text, step.partition))
        )
        return
      }
      case 'transact': {
        const known = this.producers.get(step.producer) ?? (await this.initialise(step.producer))
        if (!known.open) known.producer.begin()
        known.open = true
        const texts = this.take(step.count)
        this.model.append(step.partition, texts, step.producer)
        known.producer.append(
          'a',
          step.partition,
          texts.map(text => record(text, step.partition))
        )
        return
      }
      case 'commit':
      case 'abort': {
        const known = this.producers.get(step.producer)
        if (known?.open !== true) return
        known.open = false
        this.model.end(step.producer, step.kind === 'commit' ? 'seen' : 'aborted')
        await known.producer[step.kind]()
        return
      }
      case 'initialise':
        await this.initialise(step.producer)
        return
      case 'reopen':
        await this.log.append('a', 0, [])
        await this.log.close()
        this.log = await EmbeddedLog.open(this.folder, nodeClock)
        for (const producer of openOrder(this.model)) this.model.end(producer, 'aborted')
        this.producers.clear()
    }
  }

  private async initialise(number: number): Promise<{ producer: TransactionalProducer; open: boolean }> {
    this.model.end(number, 'aborted')
    const known = { producer: await this.log.producer(`p${number}`), open: false }
    this.producers.set(number, known)
    return known
  }

  private take(count: number): string[] {
    return Array.from({ length: count }, () => `t${this.texts++}`)
  }
}

const openOrder = (model: Model): Set<number> =>
  new Set(model.partitions.flat().flatMap(each => (each.outcome === 'open' ? [each.producer as number] : [])))

/** Runs the steps and closes; says where the log first differs from the model. `plant` breaks the log before the steps. */
async function firstDifference(
  steps: readonly Step[],
  plant: (log: EmbeddedLog) => void = () => undefined
): Promise<{ seen: unknown; expected: unknown } | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-embedded-model-'))
  const run = new Run(await EmbeddedLog.open(join(folder, 'log'), nodeClock), join(folder, 'log'))
  try {
    await run.log.createTopic('a', 2)
    plant(run.log)
    for (const step of steps) {
      await run.step(step)
      for (const partition of [0, 1]) {
        const [found, expected] = [await seen(run.log, 'a', partition), run.model.seen(partition)]
        if (JSON.stringify(found) !== JSON.stringify(expected)) return { seen: found, expected }
      }
    }
    return undefined
  } finally {
    await run.log.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

void t.test('any sequence of appends, transactions, fencings and restarts shows what a naive model shows', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 25 }), async steps => {
      const difference = await firstDifference([...steps, { kind: 'reopen' }])
      if (difference !== undefined) throw new Error(JSON.stringify(difference))
    }),
    { numRuns: 40 }
  )
  t.pass()
})

void t.test('the model sees aborted records that come out, and open ones that hold nothing back', async t => {
  const steps: Step[] = [
    { kind: 'transact', producer: 0, partition: 0, count: 2 },
    { kind: 'append', partition: 0, count: 1 },
    { kind: 'abort', producer: 0 }
  ]
  t.equal(await firstDifference(steps), undefined)
  const seesAborted = (log: EmbeddedLog): void => void Object.assign(log.partition('a', 0), { isAborted: () => false })
  t.ok(await firstDifference(steps, seesAborted))
  const seesOpen = (log: EmbeddedLog): void => {
    const partition = log.partition('a', 0)
    const advance = partition.advance.bind(partition)
    Object.assign(partition, { advance: (end: number) => advance(end, end) })
  }
  t.ok(await firstDifference(steps, seesOpen))
})
