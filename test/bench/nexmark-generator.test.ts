/** The events of Nexmark have the properties that define them. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { isAuction, isBid, isPerson, nexmarkEvent, timeOf, type NexmarkEvent } from '../../bench/nexmark/events.ts'
import {
  generate,
  lastAuction,
  lastPerson,
  NexmarkBytes,
  writeEvents,
  type GeneratorOptions
} from '../../bench/nexmark/generator.ts'

const made = (count: number, options?: GeneratorOptions): NexmarkEvent[] => [...generate(count, options)]
const share = <T>(list: readonly T[], f: (member: T) => boolean): number => list.filter(f).length / list.length
const between = (
  t: { ok(value: boolean, message: string): boolean },
  value: number,
  least: number,
  most: number,
  what: string
): boolean => t.ok(value >= least && value <= most, `${what}: ${value} is within ${least} and ${most}`)

const events = made(100_000)
const people = events.filter(isPerson)
const auctions = events.filter(isAuction)
const bids = events.filter(isBid)

void t.test('of 50 events one is a person, then come three auctions and 46 bids', t => {
  events.forEach((event, n) => {
    const kind = n % 50 === 0 ? 'person' : n % 50 < 4 ? 'auction' : 'bid'
    if (event.kind !== kind) t.fail(`event ${n} is of kind ${event.kind}`)
  })
  t.end()
})

void t.test('people and auctions are numbered from 1000', t => {
  t.same(
    people.map(({ id }) => id),
    people.map((_, i) => 1000 + i)
  )
  t.same(
    auctions.map(({ id }) => id),
    auctions.map((_, i) => 1000 + i)
  )
  t.same([0, 1, 49, 50, 51, 100].map(lastPerson), [0, 0, 0, 1, 1, 2])
  t.same([0, 1, 2, 3, 4, 49, 50, 51, 53, 54].map(lastAuction), [-1, 0, 1, 2, 2, 2, 2, 3, 5, 5])
  t.end()
})

void t.test(
  'half of the bids are on the hot auction, three quarters by the hot bidder and of auctions by the hot seller',
  t => {
    // Some of those that are not aimed at it hit it, too.
    between(
      t,
      share(bids, ({ auction }) => (auction - 1000) % 100 === 0),
      0.495,
      0.52,
      'hot auctions'
    )
    between(
      t,
      share(bids, ({ bidder }) => (bidder - 2000) % 100 === 1),
      0.745,
      0.765,
      'hot bidders'
    )
    between(
      t,
      share(auctions, ({ seller }) => (seller - 1000) % 100 === 0),
      0.735,
      0.77,
      'hot sellers'
    )
    t.end()
  }
)

void t.test('the id of a bidder is that of a person and 1000 more, as nexmark-flink adds the first id twice', t => {
  const least = bids.reduce((id, { bidder }) => Math.min(id, bidder), Infinity)
  const most = bids.reduce((id, { bidder }) => Math.max(id, bidder), 0)
  between(t, least, 2000, 2001, 'least')
  between(t, most, people.length + 2000 - 100, people.length + 2000 + 10, 'greatest')
  t.end()
})

void t.test('bids are on the last auctions or on one of ten that do not exist yet', t => {
  let [early, latest] = [0, -1]
  for (const event of events)
    if (event.kind === 'auction') latest = event.id
    else if (event.kind === 'bid') {
      if (event.auction > latest) early++
      if (event.auction > latest + 10 || event.auction < latest - 100) t.fail(`bid on ${event.auction} after ${latest}`)
    }
  between(t, early / bids.length, 0.02, 0.07, 'too early')
  t.end()
})

void t.test('times follow the rate; an auction lasts until 1666 events later, on average', t => {
  const start = Date.UTC(2015, 6, 15)
  events.forEach((event, n) => {
    if (event.dateTime !== start + Math.floor(n / 10)) t.fail(`event ${n} is at ${event.dateTime}`)
  })
  const lives = auctions.map(({ dateTime, expires }) => expires - dateTime)
  between(t, lives.reduce((a, b) => a + b) / lives.length, 163, 171, 'ms')
  t.ok(lives.every(life => life >= 1 && life <= 334))
  const [, , , fourth] = made(4, { rate: 3, baseTime: 0 })
  t.equal(fourth?.dateTime, 1000)
  t.end()
})

void t.test('with groups, events are the same ones out of order within each', t => {
  const mixed = made(1000, { outOfOrderGroupSize: 100, rate: 1000 })
  const times = mixed.map(({ dateTime }) => dateTime - Date.UTC(2015, 6, 15))
  t.not(times[1], 1)
  for (let group = 0; group < 1000; group += 100)
    t.same(
      times.slice(group, group + 100).sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => group + i)
    )
  t.end()
})

void t.test('the logarithm of a price is uniform from 100 to 1e8', t => {
  for (const [least, most] of [
    [100, 1e4],
    [1e4, 1e6],
    [1e6, 1e8 + 1]
  ] as const)
    between(
      t,
      share(bids, ({ price }) => price >= least && price < most),
      0.325,
      0.342,
      `from ${least}`
    )
  t.end()
})

void t.test('half of the bids are from four channels; nine in ten URLs of the others name the channel', t => {
  const cold = bids.filter(({ channel }) => channel.startsWith('channel-'))
  between(t, cold.length / bids.length, 0.49, 0.51, 'others')
  between(
    t,
    share(cold, ({ url }) => /&channel_id=\d+$/.test(url)),
    0.885,
    0.915,
    'named'
  )
  t.equal(new Set(bids.filter(({ channel }) => !channel.includes('-')).map(({ url }) => url)).size, 4)
  t.ok(
    bids.every(({ url }) =>
      /^https:\/\/www\.nexmark\.com\/[a-z_]{3,4}\/[a-z_]{3,4}\/[a-z_]{3,4}\/item\.htm\?query=1(&|$)/.test(url)
    )
  )
  t.end()
})

void t.test('events have their sizes', t => {
  const mean = (list: readonly NexmarkEvent[]): number =>
    list.reduce((sum, event) => sum + nexmarkEvent.encode(event).length, 0) / list.length
  between(t, mean(bids), 300, 314, 'bytes of a bid')
  between(t, mean(auctions), 690, 730, 'bytes of an auction')
  between(t, mean(people), 340, 380, 'bytes of a person')
  t.end()
})

void t.test('the same seed gives the same bytes, another seed others; what is read is what was made', t => {
  t.same(made(200, { seed: 'x' }), made(200, { seed: 'x' }))
  t.strictNotSame(made(200, { seed: 'x' }), made(200, { seed: 'y' }))
  const folder = mkdtempSync(join(tmpdir(), 'cairn-nexmark-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'events')
  writeEvents(path, 10_000, { seed: 'x' })
  const read = NexmarkBytes.read(path, 10_000)
  const decoded = Array.from({ length: read.count }, (_, i) => nexmarkEvent.decode(read.value(i)))
  t.same(decoded.slice(0, 200), made(200, { seed: 'x' }))
  t.same(decoded.length, 10_000)
  t.throws(() => NexmarkBytes.read(path, 10_001), /10000 events where 10001 should be/)
  t.end()
})

void t.test('times in text are UTC', t => {
  t.equal(timeOf('2015-07-15 23:59:58.987'), Date.UTC(2015, 6, 15, 23, 59, 58, 987))
  t.equal(timeOf('2016-02-29 00:00:00.000'), Date.UTC(2016, 1, 29))
  t.ok(Number.isNaN(timeOf('yesterday')))
  t.end()
})
