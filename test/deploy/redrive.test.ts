/** Dead letters that are sent again, from the command line. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { openControl } from '../../deploy/control-server.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { CairnFolder } from './cairn-cli.ts'

// Processes begin one after another, on a machine that may be busy.
t.setTimeout(300_000)

const jobFile = (broken: boolean): string => `
import { Actor, job, json, topic, type Context } from 'cairn'
interface Event { key: string, n: number }
class Tally extends Actor {
  sum = 0
  receive(event: Event, ctx: Context<string>) {
    ${broken ? "if (event.n % 2 === 0) throw new Error('odd ones only, not ' + event.n)" : ''}
    this.sum += event.n
    ctx.emit(\`\${ctx.key} \${this.sum}\`)
    ctx.timer('bell', ctx.time + 1)
  }
  onTimer() {
    ${broken ? "throw new Error('no bell')" : ''}
  }
}
export default job('tally', j => {
  const events = j.source('events', topic('events', { value: json<Event>() }), { time: event => event.n, onError: 'dead-letter' })
  return { out: events.keyBy(event => event.key).actor(Tally, { onError: 'dead-letter' }).to('out', topic('out', { value: json() })) }
}, { interval: '50ms' })
`

async function withLog<T>(folder: CairnFolder, work: (log: EmbeddedLog) => Promise<T>): Promise<T> {
  const log = await EmbeddedLog.open(join(folder.path, '.cairn/tally/log'), nodeClock)
  try {
    return await work(log)
  } finally {
    await log.close()
  }
}

async function records(log: EmbeddedLog, partition: number): Promise<string[]> {
  const reader = log.reader('events')
  const found: string[] = []
  for (let position = 0; ;) {
    const fetched = await reader.fetch(partition, position, 1e6, 0)
    if (fetched.kind !== 'records') break
    for (let i = 0; i < fetched.batch.count; i++) {
      const headers = (fetched.batch.headers?.(i) ?? []).map(({ name, value }) => `${name}=${String(value)}`)
      const text = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('latin1')
      const { batch } = fetched
      found.push([text(batch.key(i)), text(batch.value(i)), batch.timestamp(i), ...headers].join(' '))
    }
    position = fetched.next
  }
  await reader.close()
  return found
}

const bytes = (value: string): Uint8Array => new Uint8Array(Buffer.from(value, 'latin1'))
const record = (partition: number, value: string): OutputRecord => ({
  partition,
  timestamp: 7,
  key: bytes('k\xff'),
  value: bytes(value),
  headers: [{ name: 'from', value: bytes('x') }]
})

/** Runs the job until it has read so many records of partition 0. */
async function runUntil(folder: CairnFolder, position: number): Promise<void> {
  const run = folder.start('run', 'job.ts')
  await run.until(/read/)
  for (;;) {
    const { stdout, code } = folder.cairn('checkpoint', 'inspect', 'tally', '--output', 'json')
    if (code !== 0) continue
    const { sources } = JSON.parse(stdout) as { sources: { partitions: { position: number }[] }[] }
    if ((sources[0]?.partitions[0]?.position ?? 0) >= position) break
  }
  folder.cairn('stop', 'tally')
  await run.ended
}

void t.test(
  'the records that letters name are sent again once, as they were, and handled by the corrected job',
  async t => {
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    folder.file('job.ts', jobFile(true))
    t.equal(folder.cairn('log', 'append', 'job.ts', 'other', 'x').code, 0)
    await withLog(folder, async log => {
      await log.createTopic('events', 2)
      const values = [1, 2, 3, 4].map(n => JSON.stringify({ key: 'a', n }))
      await log.append(
        'events',
        0,
        [...values, 'no \xfejson'].map(value => record(0, value))
      )
      await log.append('events', 1, [record(1, '{"key":"b","n":6}')])
    })
    await runUntil(folder, 5)
    const before = await withLog(folder, log => records(log, 0))

    const redrive = (...args: string[]): Record<string, unknown> => {
      const { stdout, stderr } = folder.cairn('dead-letters', 'redrive', 'job.ts', ...args, '--output', 'json')
      return JSON.parse(stdout === '' ? `{"stderr":${JSON.stringify(stderr)}}` : stdout) as Record<string, unknown>
    }
    t.match(folder.cairn('dead-letters', 'redrive', 'tally').stderr, /^cairn: USAGE: .*give its job file/)
    const dry = redrive('--dry-run', '--stage', 'Tally', '--error', 'odd ones')
    t.same([...(dry['redriven'] as string[])].sort(), ['events/0/1', 'events/0/3', 'events/1/0'])
    t.same(await withLog(folder, log => records(log, 0)), before, 'nothing was sent')
    t.match(redrive('--id', 'events/0/3'), { redriven: ['events/0/3'], already: 0 })
    t.match(redrive('--stage', 'Tally', '--since', '0', '--until', '5'), { redriven: ['events/0/1'], already: 1 })
    const rest = redrive()
    t.same([...(rest['redriven'] as string[])].sort(), ['events/0/4', 'events/1/0'], 'what could not be read, too')
    t.match(rest, { already: 2, elsewhere: 0, gone: 0 })
    t.match(redrive(), { redriven: [], already: 4 })
    t.same((await withLog(folder, log => records(log, 0))).slice(before.length), [
      'k\xff {"key":"a","n":4} 7 from=120 cairn-redriven=101,118,101,110,116,115,47,48,47,51',
      'k\xff {"key":"a","n":2} 7 from=120 cairn-redriven=101,118,101,110,116,115,47,48,47,49',
      'k\xff no \xfejson 7 from=120 cairn-redriven=101,118,101,110,116,115,47,48,47,52'
    ])

    folder.file('job.ts', jobFile(false))
    await runUntil(folder, 8)
    const { stdout } = folder.cairn('log', 'tail', 'tally', 'out', '--all')
    t.match(stdout, /a 1"?\n(.*\n)*.*a 4"?\n(.*\n)*.*a 8"?\n(.*\n)*.*a 10/)
    t.match(stdout, /b 6/)
  }
)

void t.test(
  'a running job that redrives is asked how far it is, and what it refused makes the command fail',
  async t => {
    const folder = new CairnFolder()
    t.teardown(() => folder.remove())
    folder.file('job.ts', jobFile(true))
    const own = join(folder.path, '.cairn/tally')
    mkdirSync(own, { recursive: true })
    let finish = (): void => undefined
    const finished = new Promise<void>(resolve => (finish = resolve))
    const close = await openControl(own, async ({ kind }) => {
      if (kind === 'redrive-progress') return { read: 2, redriven: 1, refused: 1 }
      await finished
      return {
        read: 3,
        redriven: ['events/0/1'],
        refused: [{ id: 'events/0/3', error: 'it is too large' }],
        already: 1,
        noRecord: 0,
        elsewhere: 0,
        gone: 0
      }
    })
    t.teardown(close)
    const run = folder.start('dead-letters', 'redrive', 'job.ts')
    await run.until(/2 dead letters read, 1 records redriven, 1 refused \(\d+ s\)/)
    finish()
    const { code, stdout, stderr } = await run.ended
    t.equal(code, 1)
    t.equal(stdout, 'events/0/1\n')
    t.match(
      stderr,
      /refused: events\/0\/3: it is too large\n3 letters: 1 record redriven, 1 refused; letters left: 1 re/
    )
  }
)
