/** What the own client does where brokers change, are lost, refuse and stay away: on the simulated ones, which can be told to. */
import type { Test } from 'tap'
import type { Fetched } from '../../../../runtime/ports/log.ts'
import type { BrokerError } from '../../../../simulations/broker/requests.ts'
import { closing, filled, numbers, testKafkaReader, textOf, textsOf } from './reader-rules.ts'
import type { LabReader } from './reader-rules.ts'
import { SimulatedLab, type Made } from './simulated-lab.ts'

/** The rules of a reader, and these. */
export async function testDirectReader(t: Test, made: Made): Promise<void> {
  const lab = await SimulatedLab.start(t, made)
  await Promise.race([testAll(t, lab), lab.overdue])
}

async function testAll(t: Test, lab: SimulatedLab): Promise<void> {
  await testKafkaReader(t, lab)
  await testGaps(t, lab)
  await testLeaders(t, lab)
  await testRefusals(t, lab)
}

/** What is there at a position, however long it takes. */
async function next(reader: LabReader, position: number): Promise<Fetched> {
  for (let at = position; ;) {
    const got = await reader.fetch(0, at, 1 << 20, 1000)
    if (got.kind !== 'caught-up') return got
    at = got.next
  }
}

async function testGaps(t: Test, lab: SimulatedLab): Promise<void> {
  await t.test(
    'behind what compaction has taken away records keep their offsets, and the end is where it was',
    async t => {
      const topic = await lab.create('compacted', 1)
      const keyed = (list: string): { key: string; value: string }[] =>
        [...list].map((key, i) => ({ key, value: `${key}${i}` }))
      await lab.send(topic, keyed('abcabdab'))
      await lab.send(topic, keyed('xxxxxxyy'))
      lab.scene.cluster.partition({ topic, partition: 0 })?.compact()
      const reader = closing(t, lab.reader({ topic }))
      const got = await reader.fetch(0, 0, 1 << 20, 1000)
      t.equal(got.kind, 'records')
      const { batch, next } = got as Extract<Fetched, { kind: 'records' }>
      t.same(
        Array.from({ length: batch.count }, (_, i) => [batch.offset(i), textOf(batch, i)]),
        [
          [2, 'c2'],
          [5, 'd5'],
          [6, 'a6'],
          [7, 'b7'],
          [13, 'x5'],
          [15, 'y7']
        ]
      )
      t.equal(next, 16)
      const behind = await closing(t, lab.reader({ topic })).fetch(0, 6, 1 << 20, 1000)
      t.equal(behind.kind === 'records' && textOf(behind.batch, 0), 'a6')
    }
  )

  await t.test('"caught up" is behind the last stable record, however large the gap before it is', async t => {
    const topic = await filled(lab, 'tail', numbers(3))
    const bad = await lab.begin()
    await bad.send(topic, numbers(40))
    await bad.abort()
    const reader = closing(t, lab.reader({ topic }))
    for (let at = 3; at < 44;) {
      const got = await reader.fetch(0, at, 1 << 20, 100)
      t.equal(got.kind, 'caught-up')
      at = got.kind === 'caught-up' ? got.next : NaN
    }
    t.same(await reader.fetch(0, 44, 1 << 20, 100), { kind: 'caught-up', next: 44 })
  })
}

async function testLeaders(t: Test, lab: SimulatedLab): Promise<void> {
  const { cluster, time, network } = lab.scene

  await t.test('a partition is read on from whoever leads it now', async t => {
    const topic = await filled(lab, 'led', numbers(4))
    const reader = closing(t, lab.reader({ topic }))
    t.match((await next(reader, 0)).kind, /^records$/)
    for (let round = 0; round < 4; round++) {
      cluster.inject({ kind: 'leader-change', topic, partition: 0 }, 50)
      const at = 4 + round
      const waiting = next(reader, at)
      await new Promise<void>(resolve => time.schedule(100, resolve))
      await lab.send(topic, [{ value: `led by ${round}` }])
      const got = await waiting
      t.equal(got.kind === 'records' && textOf(got.batch, 0), `led by ${round}`)
    }
  })

  await t.test('a broker that is gone is not waited for: another one leads, and is found', async t => {
    const topic = await filled(lab, 'gone', numbers(4))
    const reader = closing(t, lab.reader({ topic }))
    t.match((await next(reader, 0)).kind, /^records$/)
    const broker = cluster.partition({ topic, partition: 0 })?.leader ?? 0
    cluster.inject({ kind: 'outage', broker }, 20_000)
    const mend = network.cut('worker', `kafka${broker}`)
    const waiting = next(reader, 4)
    await new Promise<void>(resolve => time.schedule(5_000, resolve))
    await lab.send(topic, [{ value: 'from another one' }])
    const got = await waiting
    t.equal(got.kind === 'records' && textOf(got.batch, 0), 'from another one')
    mend()
    cluster.heal()
  })

  await t.test('one that was deposed and does not know it is not read from again', async t => {
    const topic = await filled(lab, 'deposed', numbers(4))
    const reader = closing(t, lab.reader({ topic }))
    t.match((await next(reader, 0)).kind, /^records$/)
    cluster.inject({ kind: 'deposed-leader', topic, partition: 0 }, 30_000)
    await lab.send(topic, numbers(20))
    const old = cluster.partition({ topic, partition: 0 })?.deposed?.broker ?? 0
    network.breakConnections('worker', `kafka${old}`, 'both')
    t.equal(((await next(reader, 4)) as { readonly next: number }).next, 24)
    // Nobody else can be asked for a while, and the deposed one still says that it leads.
    const others = [1, 2].map(more => (old + more) % 3)
    for (const broker of others) network.breakConnections('worker', `kafka${broker}`, 'both')
    const mends = others.map(broker => network.cut('worker', `kafka${broker}`))
    const waiting = next(reader, 24)
    await new Promise<void>(resolve => time.schedule(10_000, resolve))
    for (const mend of mends) mend()
    await lab.send(topic, [{ value: 'later' }])
    const got = await waiting
    t.equal(got.kind === 'records' && textOf(got.batch, 0), 'later')
    cluster.heal()
  })
}

async function testRefusals(t: Test, lab: SimulatedLab): Promise<void> {
  const { cluster } = lab.scene
  const passing: readonly BrokerError[] = [
    'UNKNOWN_SERVER_ERROR',
    'NOT_LEADER_OR_FOLLOWER',
    'LEADER_NOT_AVAILABLE',
    'REQUEST_TIMED_OUT',
    'KAFKA_STORAGE_ERROR',
    'OFFSET_NOT_AVAILABLE',
    'CORRUPT_MESSAGE'
  ]

  for (const error of passing)
    await t.test(`${error} is waited out, from the begin and in the middle`, async t => {
      const topic = await filled(lab, 'passing', numbers(2))
      const reader = closing(t, lab.reader({ topic }))
      for (const at of [0, 2]) {
        if (at > 0) await lab.send(topic, numbers(2))
        for (const request of ['Fetch', 'ListOffsets'] as const)
          cluster.inject({ kind: 'error', request, rate: 1, error }, 3_000)
        const got = await next(reader, at)
        t.equal(got.kind === 'records' && got.next, at + 2)
      }
    })

  await t.test('a right that is taken away fails the reader', async t => {
    const topic = await filled(lab, 'rights', numbers(2))
    const reader = closing(t, lab.reader({ topic }))
    t.equal((await next(reader, 0)).kind, 'records')
    cluster.inject({ kind: 'error', request: 'Fetch', rate: 1, error: 'TOPIC_AUTHORIZATION_FAILED' }, 60_000)
    await t.rejects(next(reader, 2), { code: 'KAFKA_REFUSED' })
    cluster.heal()
    await lab.send(topic, numbers(2))
    const again = closing(t, lab.reader({ topic }))
    t.equal((await next(again, 2)).kind, 'records', 'who begins again, with the right, goes on')
  })

  await t.test('a topic that is denied for a moment is read on', async t => {
    const topic = await filled(lab, 'denied', numbers(2))
    const reader = closing(t, lab.reader({ topic }))
    t.equal((await next(reader, 0)).kind, 'records')
    cluster.inject({ kind: 'error', request: 'Fetch', rate: 1, error: 'UNKNOWN_TOPIC_OR_PARTITION' }, 2_000)
    await lab.send(topic, numbers(2))
    t.equal((await next(reader, 2)).kind, 'records')
    t.same(await textsOf(lab, topic, 0, 4), ['v0', 'v1', 'v0', 'v1'])
  })
}
