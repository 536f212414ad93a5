/** Dead letters in topics of Kafka: as they were read, and sent again once, whatever is killed meanwhile. */
import t, { type Test } from 'tap'
import { KafkaAppender } from '../../runtime/adapters/kafka/kafka-appender.ts'
import { copyOf } from '../../deploy/redriven-record.ts'
import { KafkaRedriver } from '../../runtime/adapters/kafka/kafka-redriver.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import type { RecordHeader } from '../../runtime/kernel/record-header.ts'
import { OwnTopics, type TopicRecord } from '../../simulations/chaos/own-topics.ts'
import { KafkaServer, needsKafka } from '../support/kafka-server.ts'
import { planted } from '../support/planted.ts'
import { needs } from '../support/services.ts'
import { CairnFolder } from './cairn-cli.ts'

t.setTimeout(300_000)

const jobFile = (name: string, topics: Topics, broken: boolean): string => `
import { Actor, job, json, kafka } from 'cairn'
class Tally extends Actor {
  sum = 0
  receive(event, ctx) {
    ${broken ? "if (event.n % 2 === 0) throw new Error('odd ones only, not ' + event.n)" : ''}
    this.sum += event.n
    ctx.emit(ctx.key + ' ' + this.sum)
  }
}
const value = { name: 'event', encode: json().encode, decode: bytes => {
  ${broken ? "if (bytes[0] === 0xff) throw new Error('no event: \\u00e9')" : 'if (bytes[0] === 0xff) return { n: bytes[1] }'}
  return json().decode(bytes)
} }
export default job('${name}', j => {
  const events = j.source('events', kafka({ topic: ${topics.pattern ?? `'${topics.from}'`}, value, read: ({ key, value }) => {
    if (value === undefined) ${broken ? "throw new Error('no value')" : 'return { n: 10, key }'}
    return { ...value, key: key ?? 'nobody' }
  } }), { onError: 'dead-letter' })
  return { out: events.keyBy(event => event.key).actor(Tally, { onError: 'dead-letter' }).to('out', kafka({ topic: '${topics.to}', value: json() })) }
}, { interval: '50ms', deadLetters: ${topics.letters === undefined ? 'undefined' : `kafka({ topic: '${topics.letters}', value: json() }).sink`} })
`

interface Topics {
  readonly from: string
  readonly to: string
  /** Undefined: in the job's log. */
  readonly letters: string | undefined
  readonly pattern?: string
}

interface Sent {
  readonly partition: number
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array | undefined
  readonly timestamp: number
  readonly headers: readonly RecordHeader[]
}

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : Buffer.from(bytes).toString('latin1')
const bytes = (latin1: string): Uint8Array => new Uint8Array(Buffer.from(latin1, 'latin1'))
const header = (name: string, value: string): RecordHeader => ({ name, value: bytes(value) })
const shown = ({ partition, timestamp, key, value, headers = [] }: Sent | TopicRecord): string =>
  [partition, timestamp, text(key), text(value), ...headers.map(({ name, value }) => `${name}=${text(value)}`)].join(
    ' '
  )
const isCopy = ({ headers }: TopicRecord): boolean => headers?.some(({ name }) => name === 'cairn-redriven') === true

/** One sentence for each record that was not sent again exactly once, as it was. */
function differences(expected: readonly TopicRecord[], copies: readonly TopicRecord[]): string[] {
  const counts = new Map<string, number>()
  for (const record of expected) {
    const headers = [...(record.headers ?? []), header('cairn-redriven', `events/${record.partition}/${record.offset}`)]
    counts.set(shown({ ...record, headers }), 1)
  }
  for (const copy of copies) counts.set(shown(copy), (counts.get(shown(copy)) ?? 0) - 1)
  return [...counts].flatMap(([record, n]) =>
    n === 0 ? [] : [`${n > 0 ? 'not sent again' : `${-n} times too often`}: ${record}`]
  )
}

const copiesOf = (records: readonly TopicRecord[]): TopicRecord[] =>
  records.map(record => copyOf(`events/${record.partition}/${record.offset}`, record))

class Lab {
  readonly folder = new CairnFolder()
  readonly topics: OwnTopics
  readonly names: Topics
  readonly job: string
  private readonly kafka: KafkaServer
  private readonly appender: KafkaAppender

  private constructor(t: Test, kafka: KafkaServer, letters: boolean, pattern: boolean) {
    this.kafka = kafka
    this.job = kafka.name('tally')
    const from = `${this.job}-in`
    this.names = {
      from,
      to: `${this.job}-out`,
      letters: letters ? `${this.job}-letters` : undefined,
      ...(pattern ? { pattern: `/${this.job}-i./` } : {})
    }
    this.topics = new OwnTopics({ brokers: kafka.brokers })
    this.appender = new KafkaAppender({ cluster: { brokers: kafka.brokers }, name: 'test', topic: from })
    this.folder.env = { CAIRN_KAFKA: kafka.brokers.join() }
    t.teardown(async () => {
      this.folder.remove()
      this.topics.close()
      await this.appender.close()
    })
  }

  static async make(
    t: Test,
    kafka: KafkaServer,
    { letters = true, pattern = false }: { readonly letters?: boolean; readonly pattern?: boolean } = {}
  ): Promise<Lab> {
    const lab = new Lab(t, kafka, letters, pattern)
    const { from, to } = lab.names
    await lab.topics.create(from, 2)
    for (const topic of [to, ...(lab.names.letters === undefined ? [] : [lab.names.letters])])
      await lab.topics.create(topic, 1)
    lab.write(true)
    return lab
  }

  write(broken: boolean): void {
    this.folder.file('job.mjs', jobFile(this.job, this.names, broken))
  }

  send(records: readonly Sent[]): Promise<void> {
    return this.appender.append(records)
  }

  /** Runs the job until so many records are in a topic, committed. */
  async runUntil(topic: string, count: number, meanwhile?: () => void): Promise<void> {
    const run = this.folder.start('run', 'job.mjs')
    if (meanwhile !== undefined) {
      await run.until(/ read /)
      meanwhile()
    }
    let over: unknown
    void run.ended.then(how => (over = how))
    for (const positions = [0, 0].slice(topic === this.names.from ? 0 : 1), seen = { count: 0 }; seen.count < count;) {
      seen.count += await this.topics.count(topic, positions)
      if (over !== undefined) throw new Error(`it has ended: ${JSON.stringify(over)}`)
    }
    run.child.kill('SIGTERM')
    const { code, stderr } = await run.ended
    if (code !== 0) throw new Error(stderr)
  }

  redrive(...args: string[]): Record<string, unknown> {
    const job = args[0]?.startsWith('--') === false ? [] : ['job.mjs']
    const { stdout, stderr } = this.folder.cairn('dead-letters', 'redrive', ...job, ...args, '--output', 'json')
    return JSON.parse(stdout === '' ? JSON.stringify({ stderr }) : stdout) as Record<string, unknown>
  }

  redriver(t: Test, Redriver: typeof KafkaRedriver, probe?: (point: string) => void): KafkaRedriver {
    const [cluster, topic] = [{ brokers: this.kafka.brokers }, this.names.from]
    const redriver = new Redriver({ cluster, job: this.job, topic, clock: nodeClock, probe })
    t.teardown(() => redriver.close())
    return redriver
  }

  /** What was sent first, and what was sent again. */
  async read(): Promise<{ readonly first: TopicRecord[]; readonly copies: TopicRecord[] }> {
    const all = await this.topics.read(this.names.from)
    return { first: all.filter(record => !isCopy(record)), copies: all.filter(isCopy) }
  }
}

const configCommand = 'kafka.admin.ConfigCommand'
const redriverFile = 'runtime/adapters/kafka/kafka-redriver.js'
const now = Date.now()
const event = (partition: number, n: number, more: Partial<Sent> = {}): Sent => ({
  partition,
  key: bytes(`k${n % 7}`),
  value: bytes(JSON.stringify({ n })),
  timestamp: now + n,
  headers: [header('from', 'x\xff'), header('from', String(n))],
  ...more
})

void t.test('dead letters in Kafka', { ...needs('kafka-client'), ...needsKafka() }, async t => {
  const kafka = await KafkaServer.start(t)

  await t.test('they hold the record as it was, are sent again once, and handled by the corrected job', async t => {
    const lab = await Lab.make(t, kafka)
    await lab.send([
      event(0, 1),
      event(0, 2),
      event(0, 8, { value: bytes('\xff\x08\xfe'), key: bytes('k\xfe') }),
      event(0, 3),
      event(1, 10, { value: undefined, headers: [] }),
      event(1, 4, { key: undefined, headers: [header('cairn-letter', 'event'), header('cairn-letter-stage', 'X')] })
    ])
    const letters = lab.names.letters as string
    await lab.runUntil(letters, 4)
    const held = (await lab.topics.read(letters)).filter(({ headers = [] }) =>
      headers.some(({ name, value }) => name === 'cairn-letter' && text(value) === 'record')
    )
    const said = (...rows: string[]): string => `cairn-letter=record cairn-letter-job=${lab.job} ${rows.join(' ')}`
    t.same(held.map(shown).sort(), [
      `0 ${now + 8} k\xfe \xff\x08\xfe from=x\xff from=8 ${said(
        'cairn-letter-stage=events cairn-letter-id=events/0/2 cairn-letter-error=no event: \xc3\xa9 cairn-letter-attempts=1',
        `cairn-letter-time=${now + 8} cairn-letter-topic=${lab.names.from} cairn-letter-partition=0 cairn-letter-offset=2`
      )}`,
      `0 ${now + 10} k3  ${said(
        'cairn-letter-stage=events cairn-letter-id=events/1/0 cairn-letter-error=no value cairn-letter-attempts=1',
        `cairn-letter-time=${now + 10} cairn-letter-topic=${lab.names.from} cairn-letter-partition=1 cairn-letter-offset=0`
      )}`
    ])
    const list = lab.folder.cairn('dead-letters', 'list', 'job.mjs', '--output', 'jsonl')
    const rows = list.stdout.split('\n').filter(line => line !== '')
    t.match(
      rows.map(line => JSON.parse(line) as object).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)),
      [
        { stage: 'Tally', key: 'k2', id: 'events/0/1', error: 'odd ones only, not 2' },
        { stage: 'Tally', key: 'nobody', id: 'events/1/1' },
        { stage: 'events', id: 'events/0/2', error: 'no event: é' },
        { stage: 'events', id: 'events/1/0', error: 'no value' }
      ]
    )
    const dry = lab.redrive('--dry-run', '--stage', 'Tally')
    t.same([...(dry['redriven'] as string[])].sort(), ['events/0/1', 'events/1/1'])
    t.same((await lab.read()).copies, [], 'nothing was sent')
    t.match(lab.redrive('--id', 'events/0/2'), { redriven: ['events/0/2'], already: 0 })
    lab.write(false)
    // By its name: the process that runs it does it.
    await lab.runUntil(lab.names.to, 6, () =>
      t.match(lab.redrive(lab.job), { already: 1, noRecord: 0, elsewhere: 0, gone: 0 })
    )
    const { first, copies } = await lab.read()
    const bad = first.filter(({ partition, offset }) => partition === 1 || offset === 1 || offset === 2)
    t.same(differences(bad, copies), [])
    const out = (await lab.topics.read(lab.names.to)).map(({ value }) => text(value))
    t.same(out.sort(), ['"k1 1"', '"k2 2"', '"k3 13"', '"k3 3"', '"k\xef\xbf\xbd 8"', '"nobody 4"'])
  })

  await t.test('letters in the log of the job, of topics that a pattern has found', async t => {
    const lab = await Lab.make(t, kafka, { letters: false, pattern: true })
    await lab.send([event(0, 1), event(1, 2), event(1, 4), event(1, 3), event(0, 6, { value: bytes('\xff\x06') })])
    await lab.runUntil(lab.names.to, 2)
    const { redriven } = lab.redrive('--stage', 'events') as { redriven: string[] }
    t.match(redriven, [/^events\/[0-9]+\/1$/])
    const rest = lab.redrive()
    t.match(rest, { already: 1, noRecord: 0, elsewhere: 0, gone: 0 })
    const { first, copies } = await lab.read()
    const ids = [...redriven, ...(rest['redriven'] as string[])]
    t.same(
      copies.map(copy => text(copy.value)).sort(),
      ['{"n":2}', '{"n":4}', '\xff\x06'],
      'of stages, and of the source'
    )
    t.same(copies.map(({ headers = [] }) => text(headers.at(-1)?.value)).sort(), ids.sort())
    t.equal(first.length, 5)
  })

  await t.test('what the topic does not take is told with its reason, and holds up nothing else', async t => {
    const lab = await Lab.make(t, kafka)
    const bad = (n: number, more: Partial<Sent> = {}): Sent =>
      event(n % 2, n, { value: bytes(`\xff\x01${n}`), ...more })
    const day = 86_400_000
    const [old, large] = [bad(20, { timestamp: now - 5 * day }), bad(21, { value: bytes('\xff'.repeat(300_000)) })]
    await lab.send([...Array.from({ length: 10 }, (_, n) => bad(n)), old, large])
    await lab.runUntil(lab.names.letters as string, 12)
    const { from } = lab.names
    const configure = (...configs: readonly string[]): Promise<string> =>
      kafka.tool(configCommand, ['--alter', '--entity-type', 'topics', '--entity-name', from, ...configs])
    await configure('--add-config', `max.message.bytes=200000,message.timestamp.before.max.ms=${day}`)
    t.match(lab.redrive('--dry-run'), {
      read: 12,
      refused: [{ id: 'events/1/5', error: /300000|30\d{4} bytes with its new header; the topic takes/ }]
    })
    const run = lab.folder.cairn('dead-letters', 'redrive', 'job.mjs')
    t.equal(run.code, 1)
    t.match(run.stderr, /refused: events\/0\/5: .*INVALID_TIMESTAMP.*Raise the limits/)
    t.match(run.stderr, /refused: events\/1\/5: .*bytes with its new header; the topic takes/)
    t.match(run.stderr, /12 letters: 10 records redriven, 2 refused; letters left: 0 redriven before/)
    t.equal(run.stdout.split('\n').filter(line => line !== '').length, 10)
    const before = await lab.read()
    const isTaken = ({ offset }: TopicRecord): boolean => offset !== 5
    t.same(differences(before.first.filter(isTaken), before.copies), [])

    await configure('--delete-config', 'max.message.bytes,message.timestamp.before.max.ms')
    const rest = lab.redrive()
    t.match(rest, { already: 10, refused: [] })
    t.same([...(rest['redriven'] as string[])].sort(), ['events/0/5', 'events/1/5'])
    const { first, copies } = await lab.read()
    t.same(differences(first, copies), [])
  })

  await t.test('what is wrong is said', async t => {
    const lab = await Lab.make(t, kafka)
    t.match(lab.folder.cairn('dead-letters', 'redrive', 'job.mjs', '--id', 'events/0/0'), {
      code: 1,
      stderr: /NOT_FOUND: job ".*" has no dead letter of event "events\/0\/0"[^]*dead-letters list/
    })
    lab.folder.file('job.mjs', jobFile(lab.job, { ...lab.names, letters: 'no-such-letters' }, true))
    t.match(lab.folder.cairn('dead-letters', 'redrive', 'job.mjs'), {
      code: 1,
      stderr: /TOPIC_MISSING: topic "no-such-letters" is not at Kafka/
    })
    lab.folder.env = {}
    t.match(lab.folder.cairn('dead-letters', 'redrive', 'job.mjs'), {
      code: 1,
      stderr: /OPTION_INVALID: .*dead letters.*is on Kafka, and no brokers are named[^]*--kafka/
    })
  })

  await t.test('killed in the middle, four times: each is sent once', async t => {
    const lab = await Lab.make(t, kafka)
    const count = 5000
    const isEvent = (n: number): boolean => n % 100 === 0
    await lab.send(
      Array.from({ length: count }, (_, n) => event(n % 2, n, isEvent(n) ? {} : { value: bytes(`\xff\x01${n}`) }))
    )
    await lab.runUntil(lab.names.letters as string, count)
    const { from } = lab.names
    /** Killed when it has sent so many, and before it has sent all. */
    const kill = async (more: number): Promise<void> => {
      const positions = [0, 0]
      for (const { partition, offset } of await lab.topics.read(from)) positions[partition] = offset + 1
      const run = lab.folder.start('dead-letters', 'redrive', 'job.mjs', '--limit', '10000')
      let over: unknown
      void run.ended.then(how => (over = how))
      for (let sent = 0; sent < more;) {
        sent += await lab.topics.count(from, positions)
        if (over !== undefined) throw new Error(`it has ended: ${JSON.stringify(over)}`)
      }
      run.child.kill('SIGKILL')
      await run.ended
    }
    for (const more of [1, 501]) await kill(more)
    for (const point of ['redrive:2', 'redriven:2']) {
      const { env } = lab.folder
      lab.folder.env = { ...env, CAIRN_TEST_KILL_AT: point }
      t.equal(lab.folder.cairn('dead-letters', 'redrive', 'job.mjs').code, null, point)
      lab.folder.env = env
    }
    lab.redrive('--limit', '10000')
    t.match(lab.redrive(), { redriven: [], already: count })
    const { first, copies } = await lab.read()
    t.same(differences(first, copies).slice(0, 5), [])
    const consumed = await kafka.consume(from, { idleMs: 5_000, max: 2 * count })
    t.equal(consumed.length, 2 * count, "Kafka's own consumer sees as many")
  })

  await t.test('who begins later takes over: the other one can do nothing more', async t => {
    const lab = await Lab.make(t, kafka)
    await lab.send([event(0, 1), event(0, 2), event(1, 3)])
    const { first } = await lab.read()
    const [one, other, looking] = [1, 2, 3].map(() => lab.redriver(t, KafkaRedriver)) as [
      KafkaRedriver,
      KafkaRedriver,
      KafkaRedriver
    ]
    const records = copiesOf(first)
    await one.begin(false)
    await one.redrive(records.slice(0, 1))
    await looking.begin(true)
    await one.redrive(records.slice(0, 2))
    await other.begin(false)
    await t.rejects(one.redrive(records), { code: 'FENCED', message: /another redrive of job .* has taken over/ })
    await other.redrive(records)
    t.same(differences(first, (await lab.read()).copies), [])
  })

  const publish = 'const outcome = await client.run(now => transactions.publish(left, entry, now));'
  const other = "{ ...entry, key: new TextEncoder().encode('other') }"
  const mistakes = {
    none: publish,
    'what was redriven stands in a transaction of its own': `
      await client.run(now => transactions.publish(left, ${other}, now))
      probe?.('redriven')
      const outcome = await client.run(now => transactions.publish([], entry, now))`,
    'what was redriven stands there before': `
      await client.run(now => transactions.publish([], entry, now))
      probe?.('redriven')
      const outcome = await client.run(now => transactions.publish(left, ${other}, now))`,
    'it does not stand there at all': `
      const outcome = await client.run(now => transactions.publish(left, ${other}, now))`
  }
  for (const [name, replace] of Object.entries(mistakes))
    await t.test(`a mistake is seen: ${name}`, async t => {
      const load = planted(t, [[redriverFile, publish, replace]])
      const { KafkaRedriver: Mistaken } = await load<{ readonly KafkaRedriver: typeof KafkaRedriver }>(redriverFile)
      const lab = await Lab.make(t, kafka)
      await lab.send([event(0, 1), event(1, 2)])
      const { first } = await lab.read()
      const records = copiesOf(first)
      const redrive = async (dies: boolean): Promise<void> => {
        const redriver = lab.redriver(t, Mistaken, point => {
          if (dies && point === 'redriven') throw new Error('killed')
        })
        await redriver.begin(false)
        await redriver.redrive(records)
      }
      await t.rejects(redrive(true), { message: 'killed' })
      await redrive(false)
      t.equal(differences(first, (await lab.read()).copies).length === 0, name === 'none')
    })
})
