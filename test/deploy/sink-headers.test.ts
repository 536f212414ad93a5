/** Headers that a sink chooses for each record. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { bytes, generator, job, json, topic, type SinkHeaders } from '../../actors/index.ts'
import { startJob } from '../../deploy/start-job.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'

interface Item {
  readonly n: number
}

const parent = (n: number): string => `00-${'c'.repeat(32)}-000000000000000${n}-00`

/** One job for each way in which a record is written. */
async function run(t: Test, name: string, headers: (item: Item) => SinkHeaders | undefined): Promise<EmbeddedLog> {
  const storage = mkdtempSync(join(tmpdir(), 'cairn-headers-'))
  t.teardown(() => rmSync(storage, { recursive: true, force: true }))
  const items = job(
    name,
    j => {
      const made = j.source(
        'made',
        generator({ count: 3 }, n => ({ n }))
      )
      const raw = made.map(({ n }) => Uint8Array.of(n))
      return {
        text: made.to('text', topic('text', { value: json<Item>(), headers })),
        loose: made.to('loose', topic('loose', { value: json<Item>(), headers }), { delivery: 'at-least-once' }),
        raw: raw.to('raw', topic('raw', { value: bytes(), headers: ([n = 0]) => headers({ n }) }))
      }
    },
    { interval: '10ms' }
  )
  const started = await startJob(items, { storage, fresh: false })
  if (started.kind === 'running') await started.job.ended
  const log = await EmbeddedLog.open(join(storage, name, 'log'), nodeClock)
  t.teardown(() => log.close())
  return log
}

async function headersIn(log: EmbeddedLog, name: string): Promise<string[]> {
  const got = await log.reader(name, { bounded: true }).fetch(0, 0, 1 << 20, 0)
  if (got.kind !== 'records') return []
  return Array.from({ length: got.batch.count }, (_, i) =>
    (got.batch.headers?.(i) ?? []).map(({ name, value }) => `${name}=${new TextDecoder().decode(value)}`).join(' ')
  )
}

void t.test('a sink chooses headers for each record: text, bytes, none', async t => {
  const log = await run(t, 'chosen', ({ n }) =>
    n === 0 ? undefined : { kind: 'item', n: new TextEncoder().encode(`${n}`), left: undefined, traceparent: parent(n) }
  )
  const expected = ['', `kind=item n=1 traceparent=${parent(1)}`, `kind=item n=2 traceparent=${parent(2)}`]
  for (const name of ['text', 'loose', 'raw']) t.same(await headersIn(log, name), expected, name)
})

void t.test('what is no text and no bytes is refused, and so are headers that make a record too large', async t => {
  const message = (end: string): RegExp => new RegExp(`^source "made", partition "0", position 0: sink "raw": ${end}`)
  await t.rejects(
    run(t, 'number', () => ({ n: 5 }) as never),
    { message: message('header "n" is a number') }
  )
  await t.rejects(
    run(t, 'list', () => ['a'] as never),
    { message: message('headers gave \\["a"\\]') }
  )
  await t.rejects(
    run(t, 'large', () => ({ much: new Uint8Array(20 * 1024 * 1024) })),
    { code: 'RECORD_REFUSED' }
  )
})
