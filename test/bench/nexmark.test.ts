/** Each query of Nexmark answers what a naive implementation answers, and a query that does not is noticed. */
import { Actor, job, type Context } from 'cairn'
import t from 'tap'
import { loadQuery, queries, queryOf, type Row } from '../../bench/nexmark/catalogue.ts'
import { events as eventsOf, isAuction, isBid, isPerson, results, type Bid } from '../../bench/nexmark/events.ts'
import { generate, NexmarkBytes, type GeneratorOptions } from '../../bench/nexmark/generator.ts'
import { loopOf } from '../../bench/nexmark/loops.ts'
import { naiveResult } from '../../bench/nexmark/naive.ts'
import { collectResults } from '../../bench/nexmark/run.ts'
import { differences } from '../../bench/nexmark/verify.ts'

const count = 3_000

function made(options: GeneratorOptions) {
  const events = [...generate(count, options)]
  return { name: JSON.stringify(options), events, bytes: NexmarkBytes.of(events) }
}

/** Some windows, many windows and days, many events of one instant; what is out of order is never late. */
const inputs = [
  made({ seed: 'a', rate: 40, outOfOrderGroupSize: 100 }),
  made({ seed: 'b', rate: 1 / 20 }),
  made({ seed: 'c', rate: 20_000, outOfOrderGroupSize: 50 })
]
const inOrder = [made({ seed: 'd', rate: 40 }), made({ seed: 'e', rate: 20_000 })]

for (const number of Object.keys(queries).map(Number))
  void t.test(`query ${number}, ${queryOf(number).title}`, async t => {
    const job = await loadQuery(number)
    let rows = 0
    for (const { name, events, bytes } of inputs) {
      const got = await collectResults(job, bytes)
      rows += got.length
      t.same(differences(queryOf(number), got, naiveResult(number, events)), [], name)
    }
    t.ok(rows > 0)
  })

for (const kind of ['loop', 'scan'] as const)
  void t.test(`each ${kind} answers what a naive implementation answers, over events in order`, t => {
    for (const number of Object.keys(queries).map(Number)) {
      const loop = loopOf(number, kind)
      if (loop === undefined) continue
      for (const { name, events, bytes } of inOrder) {
        const got: Row[] = []
        loop(bytes, row => got.push(row))
        t.same(differences(queryOf(number), got, naiveResult(number, events)), [], `${number}, ${name}`)
      }
    }
    t.end()
  })

/** What a mistaken query differs in. */
async function noticed(number: number, mistaken: Parameters<typeof collectResults>[0]): Promise<string[]> {
  const events = [...generate(20_000, { rate: 100_000 })]
  const got = await collectResults(mistaken, NexmarkBytes.of(events))
  return differences(queryOf(number), got, naiveResult(number, events))
}

void t.test('a last bid that is the first of one instant is noticed', async t => {
  class FirstBid extends Actor {
    time = -Infinity
    receive({ kind: _, ...bid }: Bid, ctx: Context<object, readonly [number, number]>) {
      if (bid.dateTime <= this.time) return
      this.time = bid.dateTime
      ctx.emit(bid)
    }
  }
  const mistaken = job('mistaken', j => ({
    out: eventsOf(j)
      .filter(isBid)
      .keyBy(bid => [bid.bidder, bid.auction])
      .actor(FirstBid)
      .to('out', results(18))
  }))
  t.match((await noticed(18, mistaken))[0], /^bidder \d+, auction \d+: .* instead of /)
})

void t.test('a join that forgets the auctions before their seller is noticed', async t => {
  class Forgetful extends Actor {
    seller: { name: string; city: string; state: string } | null = null
    receive(
      event: { seller: { name: string; city: string; state: string } } | { id: number },
      ctx: Context<object, number>
    ) {
      if ('seller' in event) this.seller = event.seller
      else if (this.seller !== null) ctx.emit({ ...this.seller, id: event.id })
    }
  }
  const mistaken = job('mistaken', j => {
    const events = eventsOf(j)
    const sellers = events
      .filter(isPerson)
      .filter(({ state }) => ['OR', 'ID', 'CA'].includes(state))
      .map(({ id, name, city, state }) => ({ key: id, seller: { name, city, state } }))
    const auctions = events
      .filter(isAuction)
      .filter(({ category }) => category === 10)
      .map(({ id, seller }) => ({ key: seller, id }))
    return {
      out: sellers
        .keyBy(({ key }) => key)
        .union(auctions.keyBy(({ key }) => key))
        .actor(Forgetful)
        .to('out', results(3))
    }
  })
  t.match((await noticed(3, mistaken))[0], /: nothing instead of 1$/)
})

void t.test('rows are compared with how often they come, updates by the last of each key, totals by their sum', t => {
  const [a, b] = [
    { id: 1, n: 1 },
    { n: 2, id: 1 }
  ]
  const as = (result: 'rows' | 'updates' | 'total') => ({ title: '', result, key: ['id'] })
  t.same(differences(as('rows'), [a, b], [{ id: 1, n: 2 }, a]), [])
  t.same(differences(as('rows'), [a, a], [a]), ['{"id":1,"n":1}: 2 instead of 1'])
  t.same(differences(as('rows'), [a], []), ['{"id":1,"n":1}: 1 instead of nothing'])
  t.same(differences(as('updates'), [a, b], [b]), [])
  t.same(differences(as('updates'), [b, a], [b]), ['id 1: {"id":1,"n":1} instead of {"id":1,"n":2}'])
  t.same(differences(as('total'), [{ bid_count: 2 }, { bid_count: 3 }], [{ bid_count: 5 }]), [])
  t.same(differences(as('total'), [{ bid_count: 2 }], [{ bid_count: 5 }]), ['the counts sum up to 2, not to 5'])
  t.end()
})
