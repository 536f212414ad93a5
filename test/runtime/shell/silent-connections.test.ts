/** A connection that swallows what it is given is found out, by pings; a worker that stood still itself accuses nobody. */
import t from 'tap'
import type { ByteStream, Transport } from '../../../runtime/ports/transport.ts'
import { Connections } from '../../../runtime/shell/connections.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'

const pingMs = 500
const silentAfterMs = 3_000

/** Both ends in one process; what is written while `swallows` never arrives, and nobody is told. */
class Pipe {
  swallows = false
  private readonly accepts = new Map<string, (stream: ByteStream) => void>()

  transport(name: string): Transport {
    return {
      listen: accept => {
        this.accepts.set(name, accept)
        return Promise.resolve({ address: name, close: () => Promise.resolve() })
      },
      connect: address => {
        const [here, there] = this.pair()
        this.accepts.get(address)?.(there)
        return Promise.resolve(here)
      }
    }
  }

  private pair(): [ByteStream, ByteStream] {
    const takers: ((bytes: Uint8Array) => void)[] = []
    const end = (own: number): ByteStream => ({
      write: bytes => {
        if (!this.swallows) takers[1 - own]?.(bytes)
        return true
      },
      onData: callback => void (takers[own] = callback),
      onDrain: () => undefined,
      onClose: () => undefined,
      close: () => undefined
    })
    return [end(0), end(1)]
  }
}

/** Workers "a" and "b" in one generation, who have nothing to say to each other. */
async function pair(): Promise<{ pipe: Pipe; clock: VirtualClock; a: Connections; b: Connections }> {
  const [pipe, clock] = [new Pipe(), new VirtualClock(1_000)]
  const make = (worker: string): Connections =>
    new Connections({ job: 'shop', lineage: 1, worker, transport: pipe.transport(worker), clock, pingMs })
  const [a, b] = [make('a'), make('b')]
  await a.listen()
  await b.listen()
  const nothing = (): void => undefined
  b.enter(1, new Map([['a', 'a']]), nothing, nothing)
  a.enter(1, new Map([['b', 'b']]), nothing, nothing)
  await Promise.resolve()
  return { pipe, clock, a, b }
}

function pass(clock: VirtualClock, ms: number): void {
  const end = clock.elapsed() + ms
  while (clock.step(end));
}

void t.test('who has nothing to say is not silent; a connection that swallows is', async t => {
  const { pipe, clock, a, b } = await pair()
  pass(clock, 20_000)
  t.same([a.silent(silentAfterMs), b.silent(silentAfterMs)], [[], []])
  pipe.swallows = true
  pass(clock, silentAfterMs - pingMs)
  t.same([a.silent(silentAfterMs), b.silent(silentAfterMs)], [[], []])
  pass(clock, 2 * pingMs)
  t.same([a.silent(silentAfterMs), b.silent(silentAfterMs)], [['b'], ['a']])
  a.leave()
  t.same(a.silent(silentAfterMs), [], 'without a generation there is nobody to hear')
})

void t.test('a peer that never connects is silent, too', async t => {
  const { clock, a } = await pair()
  a.enter(
    2,
    new Map([['c', 'nowhere']]),
    () => undefined,
    () => undefined
  )
  pass(clock, silentAfterMs + pingMs)
  t.same(a.silent(silentAfterMs), ['c'])
})

void t.test('a worker that stood still gives its peers their time again', async t => {
  const { pipe, clock, a } = await pair()
  pass(clock, 5_000)
  pipe.swallows = true
  // Its timers ring late, as they do behind a slow handler.
  const late = clock.after.bind(clock)
  clock.after = (delayMs, callback) => late(delayMs + 8_000, callback)
  pass(clock, pingMs)
  clock.after = late
  pass(clock, 8_500)
  t.same(a.silent(silentAfterMs), [])
  pass(clock, silentAfterMs + pingMs)
  t.same(a.silent(silentAfterMs), ['b'])
})
