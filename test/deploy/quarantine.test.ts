/** A key in quarantine, from the command line: through kill -9, corrected code and a restart. */
import t from 'tap'
import { CairnFolder } from './cairn-cli.ts'

// Processes begin one after another, on a machine that may be busy.
t.setTimeout(300_000)

interface Line {
  readonly key: string
  readonly n: number
}

const jobFile = (source: string, broken: boolean): string => `
import { Actor, files, job, json, lines, topic, type Context } from 'cairn'

interface Event { key: string, n: number }
interface Row { key: string, text: string }

class Tally extends Actor {
  seen: number[] = []
  receive(event: Event, ctx: Context<Row>) {
    this.seen.push(event.n)
    ctx.timer('late', ctx.time + 15)
    ctx.emit({ key: ctx.key, text: \`\${ctx.id} at \${ctx.time}: \${this.seen.join()}\` })
    ${broken ? "if (event.key === 'b' && event.n % 40 === 20) throw new Error(`cannot take ${event.n}`)" : ''}
  }
  onTimer(name: string, ctx: Context<Row>) {
    this.seen.push(-ctx.time)
    ctx.emit({ key: ctx.key, text: \`\${name} at \${ctx.time}\` })
  }
}

export default job('tally', j => {
  const events = j.source('events', ${source}, { time: (event: Event) => event.n })
  return { rows: events.keyBy(event => event.key).actor(Tally, { onError: 'quarantine' }).to('rows', topic('rows', { value: json<Row>() })) }
}, { interval: '50ms' })
`
const fromTopic = "topic('events', { value: json<Event>() })"
const fromFile = "lines('events.ndjson', json<Event>())"

const keys = ['a', 'b', 'c']
const events = (from: number, to: number): Line[] =>
  Array.from({ length: to - from }, (_, i) => ({ key: keys[(from + i) % 3] as string, n: 10 * (from + i) }))

function rowsOf(folder: CairnFolder): Record<string, string[]> {
  const { stdout, stderr } = folder.cairn('log', 'tail', 'tally', 'rows', '--all', '--output', 'jsonl')
  const rows: Record<string, string[]> = {}
  for (const line of stdout.split('\n').filter(Boolean)) {
    const { value } = JSON.parse(line) as { value: string }
    const { key, text } = JSON.parse(value) as { key: string; text: string }
    ;(rows[key] ??= []).push(text)
  }
  if (stderr.includes('cairn:')) throw new Error(stderr)
  return rows
}

function append(folder: CairnFolder, lines: readonly Line[]): void {
  const { code, stderr } = folder.cairn('log', 'append', 'job.ts', 'events', ...lines.map(line => JSON.stringify(line)))
  if (code !== 0) throw new Error(stderr)
}

const json = (text: string): Record<string, unknown> => JSON.parse(text) as Record<string, unknown>
const quarantined = (folder: CairnFolder): readonly Record<string, unknown>[] =>
  JSON.parse(folder.cairn('quarantine', 'list', 'tally', '--output', 'json').stdout) as Record<string, unknown>[]

void t.test(
  'killed, corrected, started again and retried: the output is that of the run without the fault',
  async t => {
    const calm = new CairnFolder()
    const folder = new CairnFolder()
    t.teardown(() => {
      calm.remove()
      folder.remove()
    })
    calm.file('job.ts', jobFile(fromTopic, false))
    folder.file('job.ts', jobFile(fromTopic, true))
    append(folder, events(0, 10))

    const first = folder.start('run', 'job.ts')
    await first.until(/read/)
    append(folder, events(10, 30))
    while (Number(quarantined(folder)[0]?.['waiting'] ?? 0) < 7);
    first.child.kill('SIGKILL')
    await first.ended
    append(folder, events(30, 60))
    const second = folder.start('run', 'job.ts')
    while (Number(quarantined(folder)[0]?.['waiting'] ?? 0) < 17);
    t.match(quarantined(folder), [{ stage: 'Tally', key: 'b', attempts: 1, error: 'cannot take 100' }])
    const again = folder.cairn('quarantine', 'retry', 'tally', 'Tally', 'b', '--output', 'json')
    t.equal(again.code, 1, 'the fault is still there')
    t.match(json(again.stdout), { outcome: 'quarantined', handled: 0, error: 'cannot take 100' })
    second.child.kill('SIGKILL')
    await second.ended
    t.match(quarantined(folder), [{ key: 'b', attempts: 2 }], 'what was answered is kept')

    folder.file('job.ts', jobFile(fromTopic, false))
    const third = folder.start('run', 'job.ts')
    await third.until(/read/)
    append(folder, events(60, 70))
    const released = folder.cairn('quarantine', 'retry', 'tally', 'Tally', 'b', '--id', 'x1', '--output', 'json')
    t.equal(released.code, 0, released.stderr)
    t.match(json(released.stdout), { outcome: 'released', waiting: 0 })
    third.child.kill('SIGKILL')
    await third.ended
    const fourth = folder.start('run', 'job.ts')
    await fourth.until(/read/)
    const repeated = folder.cairn('quarantine', 'retry', 'tally', 'Tally', 'b', '--id', 'x1', '--output', 'json')
    t.same(json(repeated.stdout), json(released.stdout), 'asked again, it is answered the same')
    t.match(
      folder.cairn('quarantine', 'retry', 'tally', 'Tally', 'b').stderr,
      /^cairn: NOT_FOUND: stage "Tally" has no key b/
    )
    append(folder, events(70, 80))
    await drained(folder, fourth, 80)

    append(calm, events(0, 80))
    const whole = calm.start('run', 'job.ts')
    await whole.until(/read/)
    await drained(calm, whole, 80)
    t.same(rowsOf(folder), rowsOf(calm))
    t.ok((rowsOf(calm)['b'] ?? []).some(text => text.startsWith('late')))
  }
)

/** Once so many records were read. */
async function drained(folder: CairnFolder, run: ReturnType<CairnFolder['start']>, records: number): Promise<void> {
  for (;;) {
    const inspected = folder.cairn('checkpoint', 'inspect', 'tally', '--output', 'json')
    const [source] = (JSON.parse(inspected.stdout) as { sources: { partitions: { position: number }[] }[] }).sources
    if ((source?.partitions[0]?.position ?? 0) >= records) break
  }
  folder.cairn('stop', 'tally')
  const { code, stderr } = await run.ended
  if (code !== 0) throw new Error(stderr)
}

void t.test('a job whose input ends says what is left, and waits for it when it is started again', async t => {
  const folder = new CairnFolder()
  t.teardown(() => folder.remove())
  folder.file('job.ts', jobFile(fromFile, true))
  folder.file(
    'events.ndjson',
    events(0, 24)
      .map(line => `${JSON.stringify(line)}\n`)
      .join('')
  )
  const first = folder.cairn('run', 'job.ts')
  t.equal(first.code, 1)
  t.match(
    first.stderr,
    /job "tally" has handled all its input but for 1 key in quarantine; see `cairn quarantine list tally`/
  )
  t.same(Object.keys(rowsOf(folder)).sort(), keys, 'all others have ended')

  t.match(
    folder.cairn('quarantine', 'list', 'tally').stdout,
    /^stage +key +waiting +attempts +since +error\nTally +b +5 +1 .* cannot take 100\n$/
  )
  const shown = folder.cairn('quarantine', 'show', 'tally', 'Tally', 'b')
  t.match(shown.stdout, /cannot take 100/)
  t.match(shown.stdout, /job\.ts:1[0-9]/, 'the stack names the line')
  t.match(shown.stdout, /events\/0\/\S+ +100 +\{"key":"b","n":100\}/)
  t.match(shown.stderr, /as of checkpoint \d+; the job is not running/)

  const asleep = folder.cairn('quarantine', 'drop', 'tally', 'Tally', 'b', '--id', 'd1')
  t.match(asleep.stderr, /^cairn: NOT_RUNNING: .*\n.*--id d1/)
  t.match(
    folder.cairn('quarantine', 'show', 'tally', 'Tally', 'zz').stderr,
    /^cairn: NOT_FOUND: stage "Tally" has no key zz in quarantine/
  )
  t.match(folder.cairn('quarantine', 'list', 'tally', '--stage', 'Taly').stderr, /^cairn: NOT_FOUND: .*there are Tally/)

  const second = folder.start('run', 'job.ts')
  await second.until(/1 in quarantine/)
  t.match(folder.cairn('quarantine', 'retry', 'tally', 'Taly', 'b').stderr, /^cairn: NOT_FOUND: .*there are Tally/)
  t.equal(folder.cairn('quarantine', 'edit', 'tally', 'Tally', 'b', '--event', '{').code, 2)
  const edited = folder.cairn(
    'quarantine',
    'edit',
    'tally',
    'Tally',
    'b',
    '--event',
    '{"key":"b","n":101}',
    '--output',
    'json'
  )
  t.equal(edited.code, 1)
  t.match(json(edited.stdout), { outcome: 'quarantined', handled: 4, error: 'cannot take 220' })
  const dropped = folder.cairn('quarantine', 'drop', 'tally', 'Tally', 'b', '--all', '--output', 'json')
  t.match(json(dropped.stdout), { outcome: 'released', dropped: 1, waiting: 0 })
  const { code, stderr } = await second.ended
  t.equal(code, 0, stderr)
  t.match(stderr, /job "tally" has finished/)
  t.match(rowsOf(folder)['b']?.filter(text => text.includes('101')).length, 4)
  t.match(folder.cairn('quarantine', 'list', 'tally').stderr, /job "tally" has no keys in quarantine/)
})
