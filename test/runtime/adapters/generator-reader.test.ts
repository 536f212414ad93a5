import t from 'tap'
import { GeneratorReader } from '../../../runtime/adapters/generator-reader.ts'
import type { Clock } from '../../../runtime/ports/clock.ts'

/** Time passes only where somebody waits. */
class Waits implements Clock {
  at = 0
  now(): number {
    return this.at
  }
  elapsed(): number {
    return this.at
  }
  after(delayMs: number, callback: () => void): () => void {
    this.at += delayMs
    setImmediate(callback)
    return () => undefined
  }
  yield(callback: () => void): void {
    setImmediate(callback)
  }
}

void t.test('a generator keeps its rate, over all partitions together', async t => {
  const clock = new Waits()
  const reader = new GeneratorReader({ partitions: 2, count: 1_000_000, make: n => n, perSecond: 2_000 }, clock)
  const at = [500, 0]
  while (clock.at < 2_000)
    for (const partition of [0, 1]) {
      const fetched = await reader.fetch(partition, at[partition] as number, 1e6, 1_000)
      if (fetched.kind === 'records') at[partition] = fetched.next
    }
  t.ok(Math.abs((at[0] as number) - 2_500) < 50, `it went on from 500: ${at[0]}`)
  t.ok(Math.abs((at[1] as number) - 2_000) < 50, String(at[1]))
})

void t.test('a wait for records ends in time, and when the reader is closed', async t => {
  const slow = { partitions: 1, count: 10, make: (n: number) => n, perSecond: 0.001 }
  t.same(await new GeneratorReader(slow, new Waits()).fetch(0, 3, 1e6, 50), { kind: 'caught-up', next: 3 })
  const reader = new GeneratorReader(slow)
  const fetched = reader.fetch(0, 3, 1e6, 1e8)
  await reader.close()
  t.same(await fetched, { kind: 'caught-up', next: 3 })
})
