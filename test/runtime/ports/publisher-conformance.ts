/** What every Publisher promises (RELIABILITY, page one), run against each implementation. What one cannot do is said as data. */
import type { Test } from 'tap'
import type { RecordHeader } from '../../../runtime/kernel/record-header.ts'
import type { OutputRecord } from '../../../runtime/ports/log.ts'
import type { LedgerEntry, Producer, Publisher, SlotName } from '../../../runtime/ports/publisher.ts'

export interface PublisherCapabilities {
  /** `by-owner`: an older producer is refused. `by-content`: two owners can only ever write equal bytes under one name. */
  readonly fencing: 'by-owner' | 'by-content'
  readonly partitions: number
  /** Records keep their partition, key and timestamp. */
  readonly wholeRecords: boolean
  /** Sinks share the target, and each has a ledger of its own. */
  readonly shared: boolean
  /** Refuses a record for a partition that is not there. */
  readonly checksPartitions: boolean
  /** Records keep their headers. */
  readonly headers?: boolean
}

/** What a reader of the target sees. */
export interface Seen {
  readonly partition: number
  readonly timestamp: number
  readonly key: string | undefined
  readonly value: string
  readonly headers?: readonly RecordHeader[] | undefined
}

export interface PublisherSubject {
  publisher(): Publisher
  /** Everything that is visible now; in order per partition, or per slot where there are none. */
  seen(): Promise<Seen[]>
  /**
   * The next publication fails, before or after it has become true, in such a way that nobody knows. `reopen` makes the target
   * usable again; publishers are asked for anew.
   */
  fail?(when: 'before' | 'after'): void
  reopen?(): Promise<void>
}

export type MakePublisher = (t: Test) => Promise<PublisherSubject>

const slot: SlotName = { job: 'shop', lineage: 1, sink: 'out', stage: 'Count', slot: 3 }
const encoder = new TextEncoder()

export const outputRecord = (value: string, partition = 0, key?: string): OutputRecord => ({
  partition,
  timestamp: 1000 + value.length,
  key: key === undefined ? undefined : encoder.encode(key),
  value: encoder.encode(value)
})

export const ledgerEntry = (epoch: number, chunk = 0, last = true): LedgerEntry => ({
  epoch,
  chunk,
  last,
  generation: 1,
  manifestHash: 'abc',
  owner: 'me'
})

const placeOf = (entry: LedgerEntry | undefined): unknown =>
  entry === undefined ? undefined : { epoch: entry.epoch, chunk: entry.chunk, last: entry.last }

/** A producer whose ledger has entry 0. */
export async function begun(publisher: Publisher, name: SlotName = slot): Promise<Producer> {
  const producer = await publisher.initialise(name)
  if ((await producer.readLedger()) === undefined) await producer.publish([], ledgerEntry(0))
  return producer
}

const valuesOf = async (subject: PublisherSubject): Promise<string[]> =>
  (await subject.seen()).map(({ value }) => value)

export async function testPublisher(t: Test, able: PublisherCapabilities, make: MakePublisher): Promise<void> {
  await testPublishing(t, able, make)
  await testSlots(t, able, make)
  await testOwners(t, able, make)
  await testUnknown(t, make)
}

async function testPublishing(t: Test, able: PublisherCapabilities, make: MakePublisher): Promise<void> {
  await t.test('the ledger of a new slot is empty; an entry without records shows nothing', async t => {
    const subject = await make(t)
    const publisher = subject.publisher()
    t.equal((await publisher.describe()).partitions, able.partitions)
    t.ok((await publisher.describe()).maxRecordBytes >= 1024 * 1024)
    const producer = await publisher.initialise(slot)
    t.equal(await producer.readLedger(), undefined)
    t.same(await producer.publish([], ledgerEntry(0)), { kind: 'published' })
    t.same(placeOf(await producer.readLedger()), { epoch: 0, chunk: 0, last: true })
    t.same(await subject.seen(), [])
    await publisher.close()
    await publisher.close()
  })

  await t.test('records come out as they were given, in order, and the ledger says so', async t => {
    const subject = await make(t)
    const producer = await begun(subject.publisher())
    const values = ['', 'b', 'a', 'ü\\"', 'b', 'long'.repeat(30_000)]
    const records = values.map((value, i) =>
      outputRecord(value, i % able.partitions, i % 2 === 0 ? `k${i}` : undefined)
    )
    t.same(await producer.publish(records, ledgerEntry(5)), { kind: 'published' })
    t.same(placeOf(await producer.readLedger()), { epoch: 5, chunk: 0, last: true })
    const seen = await subject.seen()
    for (let partition = 0; partition < able.partitions; partition++)
      t.same(
        seen.filter(each => !able.wholeRecords || each.partition === partition).map(({ value }) => value),
        values.filter((_, i) => !able.wholeRecords || i % able.partitions === partition)
      )
    if (able.wholeRecords)
      for (const { timestamp, key, value, partition } of seen) {
        t.equal(timestamp, 1000 + value.length)
        if (key !== undefined) t.equal(Number(key.slice(1)) % able.partitions, partition)
      }
  })

  if (able.headers === true)
    await t.test('headers come out as they were given: in order, twice the same name, empty, absent', async t => {
      const subject = await make(t)
      const producer = await begun(subject.publisher())
      const headers = [
        { name: 'traceparent', value: encoder.encode('00-1-2-01') },
        { name: 'ü', value: undefined },
        { name: 'ü', value: new Uint8Array(0) },
        { name: '', value: encoder.encode('x'.repeat(300)) }
      ]
      const records = [outputRecord('a'), { ...outputRecord('b', 0, 'k'), headers }, outputRecord('c')]
      t.same(await producer.publish(records, ledgerEntry(3)), { kind: 'published' })
      const seen = await subject.seen()
      t.same(
        seen.map(each => [each.value, each.headers ?? []]),
        [
          ['a', []],
          ['b', headers],
          ['c', []]
        ]
      )
      const large = { ...headers[3], value: new Uint8Array((await subject.publisher().describe()).maxRecordBytes) }
      if (able.checksPartitions)
        t.match(
          await producer.publish([{ ...outputRecord('d'), headers: [large] }] as OutputRecord[], ledgerEntry(4)),
          {
            kind: 'refused'
          }
        )
    })

  await t.test('an epoch may have many chunks, each with its entry', async t => {
    const subject = await make(t)
    const producer = await begun(subject.publisher())
    for (let chunk = 0; chunk < 12; chunk++) {
      t.same(await producer.publish([outputRecord(`c${chunk}`)], ledgerEntry(2, chunk, chunk === 11)), {
        kind: 'published'
      })
      t.same(placeOf(await producer.readLedger()), { epoch: 2, chunk, last: chunk === 11 })
    }
    await producer.publish([outputRecord('next')], ledgerEntry(10))
    t.same(placeOf(await producer.readLedger()), { epoch: 10, chunk: 0, last: true }, 'not by the order of letters')
    t.same(await valuesOf(subject), [...Array.from({ length: 12 }, (_, chunk) => `c${chunk}`), 'next'])
  })

  if (able.checksPartitions)
    await t.test('what is refused leaves nothing behind, and the producer goes on', async t => {
      const subject = await make(t)
      const producer = await begun(subject.publisher())
      const { maxRecordBytes } = await subject.publisher().describe()
      const large = { ...outputRecord(''), value: new Uint8Array(maxRecordBytes + 1) }
      for (const bad of [outputRecord('x', able.partitions), outputRecord('x', -1), large]) {
        const outcome = await producer.publish([outputRecord('a'), bad], ledgerEntry(1))
        t.equal(outcome.kind, 'refused')
      }
      t.same(await subject.seen(), [])
      t.same(placeOf(await producer.readLedger()), { epoch: 0, chunk: 0, last: true })
      t.same(await producer.publish([outputRecord('a')], ledgerEntry(1)), { kind: 'published' })
      t.same(await valuesOf(subject), ['a'])
    })
}

async function testSlots(t: Test, able: PublisherCapabilities, make: MakePublisher): Promise<void> {
  await t.test('every slot has a ledger of its own', async t => {
    const subject = await make(t)
    const publisher = subject.publisher()
    const names: SlotName[] = [slot, { ...slot, slot: 4 }, { ...slot, slot: 33 }, { ...slot, stage: 'Count2' }]
    if (able.shared)
      names.push(
        { ...slot, sink: 'a-b', stage: 'c' },
        { ...slot, sink: 'a', stage: 'b-c' },
        { ...slot, sink: 'a', stage: 'b-c-003' }
      )
    names.push({ ...slot, lineage: 2 })
    const producers = await Promise.all(names.map(name => begun(publisher, name)))
    const outcomes = await Promise.all(
      producers.map((producer, i) => producer.publish([outputRecord(`s${i}`)], ledgerEntry(i + 1)))
    )
    t.ok(outcomes.every(({ kind }) => kind === 'published'))
    for (const [i, name] of names.entries())
      t.equal((await (await publisher.initialise(name)).readLedger())?.epoch, i + 1, Object.values(name).join(' '))
    t.same((await valuesOf(subject)).sort(), names.map((_, i) => `s${i}`).sort())
  })
}

async function testOwners(t: Test, able: PublisherCapabilities, make: MakePublisher): Promise<void> {
  await t.test('a new owner reads what the old one has published', async t => {
    const subject = await make(t)
    const old = await begun(subject.publisher())
    await old.publish([outputRecord('a')], ledgerEntry(7, 1, false))
    const young = await subject.publisher().initialise(slot)
    t.same(placeOf(await young.readLedger()), { epoch: 7, chunk: 1, last: false })
    t.same(await young.publish([outputRecord('b')], ledgerEntry(7, 2)), { kind: 'published' })
    t.same(await valuesOf(subject), ['a', 'b'])
  })

  if (able.fencing === 'by-owner')
    await t.test('an old owner is fenced from the moment the new one was initialised', async t => {
      const subject = await make(t)
      const old = await begun(subject.publisher())
      await old.publish([outputRecord('a')], ledgerEntry(1))
      const young = await subject.publisher().initialise(slot)
      for (let i = 0; i < 2; i++)
        t.same(await old.publish([outputRecord('zombie')], ledgerEntry(2)), { kind: 'fenced' })
      t.same(placeOf(await young.readLedger()), { epoch: 1, chunk: 0, last: true })
      t.same(await young.publish([outputRecord('b')], ledgerEntry(2)), { kind: 'published' })
      t.same(await old.publish([outputRecord('zombie')], ledgerEntry(3)), { kind: 'fenced' })
      t.same(await valuesOf(subject), ['a', 'b'])
    })
  else
    await t.test('two owners write the same bytes once; other bytes under one name are refused', async t => {
      const subject = await make(t)
      const old = await begun(subject.publisher())
      const young = await begun(subject.publisher())
      t.same(await old.publish([outputRecord('a')], ledgerEntry(1)), { kind: 'published' })
      t.same(await young.publish([outputRecord('a')], ledgerEntry(1)), { kind: 'published' })
      t.same(await valuesOf(subject), ['a'])
      const both = await Promise.all([old, young].map(each => each.publish([outputRecord('b')], ledgerEntry(2))))
      t.same(both, [{ kind: 'published' }, { kind: 'published' }])
      t.same(await valuesOf(subject), ['a', 'b'])
      t.match(await young.publish([outputRecord('x')], ledgerEntry(1)), { kind: 'refused' })
      t.same(await valuesOf(subject), ['a', 'b'])
    })
}

async function testUnknown(t: Test, make: MakePublisher): Promise<void> {
  const can = await make(t)
  if (can.fail === undefined) return
  for (const when of ['before', 'after'] as const)
    await t.test(`an outcome nobody knows, lost ${when} it became true: the next owner finds out`, async t => {
      const subject = await make(t)
      const producer = await begun(subject.publisher())
      await producer.publish([outputRecord('a')], ledgerEntry(1))
      subject.fail?.(when)
      t.match(await producer.publish([outputRecord('b'), outputRecord('c')], ledgerEntry(2)), { kind: 'unknown' })
      await subject.reopen?.()
      const next = await subject.publisher().initialise(slot)
      t.same(placeOf(await next.readLedger()), { epoch: when === 'before' ? 1 : 2, chunk: 0, last: true })
      if (when === 'before')
        t.same(await next.publish([outputRecord('b'), outputRecord('c')], ledgerEntry(2)), { kind: 'published' })
      t.same(await valuesOf(subject), ['a', 'b', 'c'])
    })
}
