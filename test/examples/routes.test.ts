import t from 'tap'
import routes, { Place } from '../../examples/routes.ts'
import { drive } from '../../simulations/driver/index.ts'

const road = (from: string, to: string, km: number) => ({ from, to, km })

void t.test('a shorter way is told on, whenever its roads come, and across a crash', async t => {
  const d = await drive(routes, { parallelism: 2 })
  d.roads.push(road('b', 'c', 5), road('a', 'b', 5), road('harbour', 'a', 5))
  await d.settle()
  t.equal(d.state(Place, 'c')?.km, 15)
  await d.crash({ parallelism: 3 })
  d.roads.push(road('harbour', 'b', 7), road('c', 'a', 1), road('x', 'y', 1))
  await d.settle()
  t.equal(d.state(Place, 'c')?.km, 12)
  t.same(d.routes.take(), [], 'nobody knows yet that this is all')
  d.roads.end()
  await d.settle()
  t.same(
    d.routes.take().sort((a, b) => (a.place < b.place ? -1 : 1)),
    [
      { place: 'a', km: 5, over: 'harbour' },
      { place: 'b', km: 7, over: 'harbour' },
      { place: 'c', km: 12, over: 'b' },
      { place: 'harbour', km: 0, over: '' }
    ]
  )
})
