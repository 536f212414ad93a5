import t from 'tap'
import { MinWatermark, PartitionWatermark } from '../../../runtime/core/watermarks.ts'

void t.test('an idle input that may wake up keeps the watermark finite when the others end', t => {
  const least = new MinWatermark(2)
  least.set(0, 5)
  least.set(1, 5)
  least.setIdle(1, true)
  least.ended(0)
  t.equal(least.value, 5)
  least.setIdle(1, false)
  least.set(1, 10)
  t.equal(least.value, 10)
  least.ended(1)
  t.equal(least.value, Infinity)
  t.end()
})

void t.test('an input that joins does not take the watermark back, and holds it until it has something to say', t => {
  const least = new MinWatermark(1)
  least.set(0, 7)
  least.join()
  t.equal(least.value, 7)
  least.set(0, 9)
  t.equal(least.value, 7)
  least.set(1, 3)
  t.equal(least.value, 7)
  least.set(1, 8)
  t.equal(least.value, 8)
  t.end()
})

void t.test('if all inputs are idle the watermark stays, and it never goes back', t => {
  const least = new MinWatermark(2)
  least.set(0, 7)
  least.setIdle(1, true)
  t.equal(least.value, 7)
  least.setIdle(0, true)
  t.equal(least.value, 7)
  least.setIdle(1, false)
  t.equal(least.value, 7)
  t.end()
})

void t.test('a partition advances by quanta of its bound, whatever the batches', t => {
  const watermark = new PartitionWatermark({ boundMs: 3200, idleAfterMs: 1000 })
  t.equal(watermark.observe(10_050), 6800)
  t.equal(watermark.observe(10_099), undefined)
  t.equal(watermark.observe(9_000), undefined)
  t.equal(watermark.observe(10_100), 6900)
  t.end()
})

void t.test('idleness counts only while caught up', t => {
  const watermark = new PartitionWatermark({ boundMs: 0, idleAfterMs: 1000 })
  t.equal(watermark.isIdle(1e9), false)
  watermark.caughtUp(100)
  watermark.caughtUp(900)
  t.equal(watermark.isIdle(1099), false)
  t.equal(watermark.isIdle(1100), true)
  watermark.fetched()
  t.equal(watermark.isIdle(1e9), false)
  t.end()
})
