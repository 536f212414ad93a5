import t from 'tap'
import {
  Actor,
  count,
  distinctCount,
  first,
  generator,
  job,
  json,
  files,
  last,
  max,
  mean,
  min,
  session,
  sliding,
  sum,
  tumbling,
  global,
  type Window,
  type WindowOptions
} from '../../actors/index.ts'
import { drive } from '../../simulations/driver/index.ts'

interface Sale {
  at: number
  shop: string
  euros: number
}
const spec = {
  sales: count(),
  total: sum((sale: Sale) => sale.euros),
  mean: mean((sale: Sale) => sale.euros),
  least: min((sale: Sale) => sale.euros),
  most: max((sale: Sale) => sale.euros),
  opening: first((sale: Sale) => sale),
  closing: last((sale: Sale) => sale),
  prices: distinctCount((sale: Sale) => sale.euros)
}

const sales = (window: Window, options: WindowOptions = {}, outOfOrder = 0) =>
  job('sales', j => {
    const source = j.source(
      'sales',
      generator<Sale>({ count: 0 }, () => ({ at: 0, shop: '', euros: 0 })),
      { time: sale => sale.at, outOfOrder }
    )
    const rows = source
      .keyBy(sale => sale.shop)
      .window(window, options)
      .aggregate(spec)
    return {
      sales: source,
      rows: rows.to(
        'rows',
        files(
          'rows',
          json<{
            key: string
            start: number
            end: number
            firing: string
            sales: number
          }>()
        )
      ),
      late: rows.late.to('late', files('late', json<Sale>()))
    }
  })

const sale = (at: number, euros = 1, shop = 'a'): Sale => ({ at, shop, euros })

void t.test('a tumbling window gives one row per key and window once its end is reached', async t => {
  const d = await drive(sales(tumbling(10)))
  d.sales.push(sale(0, 3), sale(9, 5), sale(9, 3), sale(3, 7, 'b'))
  await d.settle()
  t.same(d.rows.take(), [])
  d.sales.push(sale(10, 1))
  await d.crash()
  t.same(
    d.rows.take().sort((a, b) => (a.key < b.key ? -1 : 1)),
    [
      {
        key: 'a',
        start: 0,
        end: 10,
        firing: 'on-time',
        sales: 3,
        total: 11,
        mean: 11 / 3,
        least: 3,
        most: 5,
        opening: sale(0, 3),
        closing: sale(9, 3),
        prices: 2
      },
      {
        key: 'b',
        start: 0,
        end: 10,
        firing: 'on-time',
        sales: 1,
        total: 7,
        mean: 7,
        least: 7,
        most: 7,
        opening: sale(3, 7, 'b'),
        closing: sale(3, 7, 'b'),
        prices: 1
      }
    ]
  )
  d.sales.push(sale(9))
  d.sales.end()
  await d.settle()
  t.match(d.rows.take(), [{ key: 'a', start: 10, end: 20, sales: 1 }])
  t.same(d.late.take(), [sale(9)])
})

const rowOf = (row: { start: number; end: number; firing: string; sales: number }): string =>
  `${row.start}-${row.end} ${row.firing} ${row.sales}`

void t.test('sliding windows hold an event in each window that covers it', async t => {
  const d = await drive(sales(sliding(10, 5)))
  d.sales.push(sale(-1), sale(0), sale(7), sale(12))
  await d.crash()
  d.sales.end()
  await d.settle()
  t.same(d.rows.take().map(rowOf), [
    '-10-0 on-time 1',
    '-5-5 on-time 2',
    '0-10 on-time 2',
    '5-15 on-time 2',
    '10-20 on-time 1'
  ])
})

void t.test('sessions that touch are one', async t => {
  const d = await drive(sales(session(10), {}, 20))
  d.sales.push(sale(0), sale(20))
  d.sales.push(sale(10), sale(31))
  d.sales.end()
  await d.settle()
  t.same(d.rows.take().map(rowOf), ['0-30 on-time 3', '31-41 on-time 1'])
})

void t.test('a global window fires by its trigger and at the end of the input', async t => {
  const d = await drive(sales(global(), { trigger: { early: { every: 2 } } }))
  d.sales.push(sale(0), sale(20), sale(1))
  await d.crash()
  d.sales.end()
  await d.settle()
  t.same(
    d.rows.take().map(row => `${row.firing} ${row.sales}`),
    ['early 2', 'on-time 3']
  )
})

void t.test('a key with no window left is gone; late events and those between windows leave none behind', async t => {
  abstract class Stage extends Actor {
    static readonly actorName = 'sales-window'
    armed = 0
  }
  const kept = (d: { state(actor: never, key: never): unknown }, ...keys: string[]) =>
    keys.filter(key => d.state(Stage as never, key as never) !== undefined)
  for (const window of [tumbling(10), sliding(10, 5), session(10)]) {
    const d = await drive(sales(window, { lateness: 5 }))
    d.sales.push(sale(0), sale(3, 1, 'b'), sale(12, 1, 'c'))
    await d.settle()
    t.same(kept(d, 'a', 'b', 'c'), ['a', 'b', 'c'])
    d.sales.push(sale(24, 1, 'd'), sale(2, 1, 'e'))
    await d.settle()
    t.same(kept(d, 'a', 'b', 'c', 'd', 'e'), ['c', 'd'])
    t.same(d.late.take(), [sale(2, 1, 'e')])
  }
  const gaps = await drive(sales(sliding(2, 10)))
  gaps.sales.push(sale(1), sale(5, 1, 'b'))
  await gaps.settle()
  t.same(kept(gaps, 'a', 'b'), [])
  t.same(gaps.rows.take().map(rowOf), ['0-2 on-time 1'])
  t.same(gaps.late.take(), [])
})

void t.test('windows of windows: a result belongs to the last ms of its window, and none is late', async t => {
  for (const parallelism of [1, 3]) {
    const made = job(
      'totals',
      j => {
        const source = j.source(
          'sales',
          generator<Sale>({ count: 0 }, () => ({ at: 0, shop: '', euros: 0 })),
          { time: sale => sale.at }
        )
        const totals = source
          .keyBy(sale => sale.shop)
          .window(tumbling(10))
          .aggregate({ n: count() })
          .keyBy(() => 'all')
          .window(tumbling(20), { name: 'totals' })
          .aggregate({ shops: count(), n: sum(row => row.n) })
        return {
          sales: source,
          totals: totals.to('all', files('all', json<{ start: number; shops: number; n: number }>())),
          late: totals.late.to('late', files('late', json<unknown>()))
        }
      },
      { parallelism }
    )
    const d = await drive(made)
    d.sales.push(sale(0), sale(5, 1, 'b'), sale(9), sale(10), sale(19, 1, 'c'))
    await d.crash()
    d.sales.push(sale(20), sale(39, 1, 'b'), sale(40))
    await d.settle()
    t.same(
      d.totals.take().map(({ start, shops, n }) => [start, shops, n]),
      [
        [0, 4, 5],
        [20, 2, 2]
      ]
    )
    t.same(d.late.take(), [])
  }
})
