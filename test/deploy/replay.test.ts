/** A job run beside itself: what `--as` and `--from` make of it. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { Actor, files, generator, job, json, kafka, lines, type Context } from '../../actors/index.ts'
import type { Job } from '../../actors/stream.ts'
import { beginAt, beginningOf, replayed, replayProblems } from '../../deploy/replay.ts'
import { startJob } from '../../deploy/start-job.ts'

interface Word {
  readonly word: string
}

class Count extends Actor {
  count = 0
  receive({ word }: Word, ctx: Context<string>): void {
    ctx.emit(`${word} ${++this.count}`)
  }
}

const counting = (folder: string): Job<unknown> =>
  job('counting', j => ({
    out: j
      .source('words', lines(join(folder, 'words.jsonl'), json<Word>()))
      .keyBy(({ word }) => word)
      .actor(Count)
      .to('out', files(join(folder, 'out'), json<string>()))
  }))

const orders = job('orders', j => ({
  orders: j
    .source('orders', kafka({ topic: 'orders', value: json<Word>() }))
    .to('copies', kafka({ topic: 'copies', value: json<Word>(), key: ({ word }) => word })),
  payments: j
    .source('payments', kafka({ topic: 'payments', value: json<Word>(), from: 'latest' }))
    .to('paid', kafka({ topic: 'paid', value: json<Word>(), key: ({ word }) => word }))
}))

const begins = (made: Job<unknown>) =>
  made.plan.nodes.flatMap(node =>
    node.kind === 'source' && node.source.connector === 'kafka'
      ? [[node.source.topic, node.source.from, node.source.begin]]
      : []
  )

void t.test('a beginning is read, and what is none is refused with what it must be', t => {
  t.same(beginningOf('earliest'), { kind: 'earliest' })
  t.same(beginningOf('2026-11-20T08:00:00Z'), { kind: 'time', ms: Date.UTC(2026, 10, 20, 8) })
  t.same(beginningOf('2026-11-20T08:00+01:00'), { kind: 'time', ms: Date.UTC(2026, 10, 20, 7) })
  t.same(beginningOf('2026-11-20'), { kind: 'time', ms: Date.UTC(2026, 10, 20) })
  t.same(beginningOf('savepoint:before upgrade'), { kind: 'savepoint', name: 'before upgrade' })
  t.same(beginningOf('orders=120, 98; payments=5'), {
    kind: 'offsets',
    topics: new Map([
      ['orders', [120, 98]],
      ['payments', [5]]
    ])
  })
  for (const wrong of ['yesterday', 'savepoint:', '2026-11-20T08:00:00', '2026-13-40', '1763600000'])
    t.throws(() => beginningOf(wrong), /it must be earliest, latest, a time like/, wrong)
  for (const wrong of ['orders=', 'orders=-1', 'orders=1.5', '=3', 'orders=1=2', 'orders=1e99'])
    t.throws(() => beginningOf(wrong), /must be a topic and the offset of each of its partitions/, wrong)
  t.throws(() => beginningOf('orders=1;orders=2'), /names topic "orders" twice/)
  t.end()
})

void t.test('another name gives another job, with output of its own', t => {
  const made = replayed(orders, { as: 'backfill', from: { kind: 'earliest' } })
  t.equal(made.name, 'backfill')
  t.equal(made.plan.job, 'backfill')
  const topics = made.plan.nodes.flatMap(node =>
    node.kind === 'sink' && node.sink.connector === 'kafka' ? [node.sink.topic] : []
  )
  t.same(topics, ['copies-backfill', 'paid-backfill'])
  t.not(JSON.stringify(made.plan.deadLetters), JSON.stringify(orders.plan.deadLetters))
  t.equal(replayed(orders, {}), orders)
  t.end()
})

void t.test('topics are read from where it says', t => {
  const from = (text: string) => begins(replayed(orders, { as: 'backfill', from: beginningOf(text) }))
  t.same(from('earliest'), [
    ['orders', 'earliest', undefined],
    ['payments', 'earliest', undefined]
  ])
  t.same(from('1970-01-01T00:00:05Z'), [
    ['orders', 'latest', 5000],
    ['payments', 'latest', 5000]
  ])
  t.same(from('orders=7,8'), [
    ['orders', 'latest', [7, 8]],
    ['payments', 'latest', undefined]
  ])
  t.end()
})

void t.test('what makes no sense is refused', t => {
  const refused = (of: Job<unknown>, as: string, text?: string) => () =>
    replayed(of, { as, ...(text === undefined ? {} : { from: beginningOf(text) }) })
  t.throws(refused(orders, 'orders'), { code: 'OPTION_INVALID', message: /the name of the job itself/ })
  t.throws(refused(orders, 'no spaces'), { code: 'OPTION_INVALID', message: /a name matches/ })
  t.throws(refused(orders, 'b', 'refunds=1'), {
    code: 'OPTION_INVALID',
    message: /reads orders, payments, not refunds/
  })
  t.throws(refused(counting('x'), 'b', 'latest'), { code: 'OPTION_INVALID', message: /the job reads no topic/ })
  t.same(replayProblems(new Set(['from'])).length, 1)
  t.same(replayProblems(new Set(['as', 'restore'])).length, 1)
  t.same(replayProblems(new Set(['as', 'from'])), [])
  t.end()
})

/** Lines of all files in a folder, sorted. */
const written = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && !entry.name.startsWith('.'))
    .flatMap(entry => readFileSync(join(entry.parentPath, entry.name), 'utf8').split('\n'))
    .filter(line => line !== '')
    .sort()

void t.test('both run beside each other, and neither sees the other', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-replay-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const words = ['a', 'b', 'a'].map(word => `${JSON.stringify({ word })}\n`).join('')
  writeFileSync(join(folder, 'words.jsonl'), words)
  const made = counting(folder)
  const run = async (of: Job<unknown>): Promise<void> => {
    const started = await startJob(of, { storage: join(folder, 'storage'), fresh: false })
    t.equal(started.kind, 'running', 'it begins for the first time')
    if (started.kind === 'running') await started.job.ended
  }
  await run(made)
  await run(replayed(made, { as: 'again' }))
  t.same(written(join(folder, 'out')), ['"a 1"', '"a 2"', '"b 1"'])
  t.same(written(join(folder, 'out-again')), written(join(folder, 'out')))
  t.same(readdirSync(join(folder, 'storage')).sort(), ['again', 'counting'])
})

void t.test('from a savepoint, with the state and at the positions of then, while the job goes on', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-replay-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const storage = join(folder, 'storage')
  const count = 300
  const numbers = job('numbers', j => ({
    out: j
      .source(
        'numbers',
        generator({ count }, n => ({ word: `w${n % 7}`, at: n * 10 })),
        { time: ({ at }) => at, pace: '3s' }
      )
      .keyBy(({ word }) => word)
      .actor(Count)
      .to('out', files(join(folder, 'out'), json<string>()))
  }))
  const live = await startJob(numbers, { storage, fresh: false, intervalMs: 20 })
  if (live.kind !== 'running') return t.fail('it has begun')
  await live.job.savepoint('early')
  const options = { as: 'what-if', from: beginningOf('savepoint:early') }
  const begin = async (as: string, savepoint: string): Promise<string | undefined> => {
    const started = await startJob(replayed(numbers, { ...options, as }), {
      storage,
      fresh: false,
      beginAt: { job: 'numbers', savepoint }
    })
    if (started.kind === 'running') await started.job.ended
    return started.restored
  }
  t.same(beginAt(numbers, options), { beginAt: { job: 'numbers', savepoint: 'early' } })
  t.match(await begin('what-if', 'early'), /^job "what-if" begins at savepoint "early" .* of job "numbers"$/)
  t.equal(await live.job.ended, 'finished')

  const all = written(join(folder, 'out'))
  t.equal(all.length, count)
  const replayedLines = written(join(folder, 'out-what-if'))
  t.ok(replayedLines.length < count, `${replayedLines.length} came behind the savepoint`)
  const before = new Map<string, number>()
  for (const line of all.filter(each => !replayedLines.includes(each)))
    before.set(line.split(' ')[0] as string, Math.max(before.get(line.split(' ')[0] as string) ?? 0, numberOf(line)))
  t.same(
    replayedLines,
    all.filter(line => numberOf(line) > (before.get(line.split(' ')[0] as string) ?? 0)),
    'each count goes on from where it was'
  )
  t.equal(await begin('what-if', 'early'), undefined, 'it goes on from its own checkpoint')
  await t.rejects(begin('other', 'late'), { code: 'NOT_FOUND', message: /job "numbers" has no savepoint .*"late"/ })
  t.same(written(join(folder, 'out')), all, 'the job itself was not touched')
})

const numberOf = (line: string): number => Number(/ (\d+)"$/.exec(line)?.[1])
