/** What the simulated network does when things go wrong; what it does otherwise is told by the conformance suite. */
import t from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { ByteStream } from '../../../runtime/ports/transport.ts'
import { SimNetwork, type NetworkOptions } from '../../../simulations/world/network.ts'
import { SimHost } from '../../../simulations/world/process.ts'
import { WorldTime } from '../../../simulations/world/time.ts'

interface End {
  readonly stream: ByteStream
  readonly heard: number[]
  readonly closed: { readonly reason: string; readonly atMs: number }[]
}

/** Two machines, a connection between them, and what each end hears. */
async function connected(seed = 'network', options: NetworkOptions = {}) {
  const time = new WorldTime()
  const random = new Prng(seed)
  const network = new SimNetwork(time, random, options)
  const [a, b] = [new SimHost(time, 'a', random), new SimHost(time, 'b', random)]
  const [client, server] = [a.start(), b.start()]
  const heard = (stream: ByteStream): End => {
    const end: End = { stream, heard: [], closed: [] }
    stream.onData(bytes => end.heard.push(...bytes))
    stream.onClose(reason => end.closed.push({ reason, atMs: time.now() }))
    return end
  }
  let there: End | undefined
  const listening = network.transport(server).listen(stream => (there = heard(stream)))
  const { address } = await time.complete(listening)
  const here = heard(await time.complete(network.transport(client).connect(address)))
  await time.run({})
  if (there === undefined) throw new Error('nobody accepted')
  return { time, network, a, b, client, server, address, here, there }
}

const bytes = (from: number, count: number): Uint8Array => new Uint8Array(count).map((_, i) => (from + i) % 256)
const isPrefix = (heard: readonly number[]): boolean => heard.every((byte, i) => byte === i % 256)

void t.test('a cut holds what is sent; healed in time nothing is lost, and nobody was told', async t => {
  const { time, network, here, there } = await connected()
  const heal = network.cut('a', 'b')
  here.stream.write(bytes(0, 1_000))
  there.stream.write(bytes(0, 10))
  await time.run({ untilMs: time.now() + 10_000 })
  t.equal(there.heard.length, 0)
  t.equal(here.heard.length, 10, 'the other direction is open')
  heal()
  heal()
  here.stream.write(bytes(1_000 % 256, 500))
  await time.run({})
  t.equal(there.heard.length, 1_500)
  t.ok(isPrefix(there.heard))
  t.same([...here.closed, ...there.closed], [])
})

void t.test('cut for too long, the end that waits gives up alone; the other is half-open', async t => {
  const { time, network, here, there } = await connected()
  const heals = [network.cut('a', 'b'), network.cut('b', 'a')]
  here.stream.write(bytes(0, 10))
  const beganMs = time.now()
  await time.run({})
  t.same(
    here.closed.map(({ reason }) => reason),
    ['ETIMEDOUT']
  )
  t.ok((here.closed[0]?.atMs ?? 0) >= beganMs + network.options.giveUpMs)
  t.same(there.closed, [])
  for (const heal of heals) heal()
  there.stream.write(bytes(0, 10))
  await time.run({})
  t.equal(there.closed.length, 1, 'until it says something')
  t.same(here.heard, [])
})

void t.test('cut on the way back, bytes arrive and the sender still gives up: nothing is acknowledged', async t => {
  const { time, network, here, there } = await connected()
  network.cut('b', 'a')
  here.stream.write(bytes(0, 10))
  await time.run({})
  t.equal(there.heard.length, 10)
  t.equal(here.closed.length, 1)
  t.equal(there.closed.length, 0)
})

void t.test('a stall may last for ever, and loses nothing', async t => {
  const { time, network, here, there } = await connected()
  const heal = network.stall('a', 'b')
  here.stream.write(bytes(0, 700))
  await time.run({ untilMs: time.now() + 600_000 })
  t.same([there.heard.length, here.closed.length], [0, 0])
  heal()
  await time.run({})
  t.equal(there.heard.length, 700)
})

void t.test(
  'a broken connection: told to both, to one, or to none; what was heard is a beginning of what was said',
  async t => {
    for (const mode of ['both', 'first', 'half-open'] as const)
      for (let seed = 0; seed < 10; seed++) {
        const { time, network, here, there } = await connected(`break ${seed}`, { chunkBytes: 500 })
        for (let i = 0; i < 20; i++) here.stream.write(bytes(i * 100, 100))
        await time.run({ untilMs: time.now() + seed / 2 })
        t.equal(network.breakConnections('a', 'b', mode), 1)
        for (let i = 0; i < 20; i++) here.stream.write(bytes(7, 100))
        await time.run({})
        t.ok(there.heard.length <= 2_000 && isPrefix(there.heard))
        t.equal(here.closed.length, mode === 'half-open' ? 0 : 1)
        t.equal(there.closed.length, mode === 'both' ? 1 : 0)
        t.equal(network.connections.size, 0)
        t.equal(network.breakConnections('a', 'b', mode), 0)
      }
  }
)

void t.test('a half-open end is full in the end, and never drained', async t => {
  const { time, network, here } = await connected()
  network.breakConnections('a', 'b', 'half-open')
  let drained = false
  here.stream.onDrain(() => (drained = true))
  let writes = 0
  while (here.stream.write(new Uint8Array(1_000))) writes++
  t.ok(writes > 10 && writes < 200)
  await time.run({})
  t.notOk(drained)
})

void t.test('a process that stands still takes nothing: its peer is told to wait, and nothing is lost', async t => {
  const { time, server, here, there } = await connected()
  server.pause()
  let drained = 0
  here.stream.onDrain(() => drained++)
  let writes = 0
  while (here.stream.write(bytes(writes * 1_000, 1_000)) && writes < 1_000) writes++
  t.ok(writes < 100)
  await time.run({})
  t.same([drained, there.heard.length], [0, 0])
  server.resume()
  await time.run({})
  t.equal(drained, 1)
  t.equal(there.heard.length, (writes + 1) * 1_000)
  t.ok(isPrefix(there.heard))
})

void t.test('a dead process is told by its machine; a machine that vanished tells nobody', async t => {
  const died = await connected()
  died.b.kill()
  await died.time.run({})
  t.match(died.here.closed, [{ reason: 'ECONNRESET' }])

  const vanished = await connected()
  vanished.b.crash()
  await vanished.time.run({})
  t.same(vanished.here.closed, [])
  vanished.here.stream.write(bytes(0, 10))
  await vanished.time.run({})
  t.match(vanished.here.closed, [{ reason: 'ETIMEDOUT' }])

  const returned = await connected()
  returned.b.crash()
  returned.b.start()
  returned.here.stream.write(bytes(0, 10))
  await returned.time.run({})
  t.match(returned.here.closed, [{ reason: 'ECONNRESET' }], 'by a machine that knows of no such connection')
})

void t.test('a peer that was cut off when the process died learns of it only after it', async t => {
  const { time, network, b, here } = await connected()
  const heal = network.cut('b', 'a')
  b.kill()
  await time.run({ untilMs: time.now() + 5_000 })
  t.same(here.closed, [])
  heal()
  await time.run({})
  t.equal(here.closed.length, 1)
})

void t.test('whom nothing answers hears of it after a while: a machine that vanished, a cut', async t => {
  const { time, network, a, b, client, address } = await connected()
  const transport = network.transport(client)
  const heal = network.cut('b', 'a')
  const beganMs = time.now()
  await t.rejects(time.complete(transport.connect(address)), { code: 'ETIMEDOUT' })
  t.equal(time.now(), beganMs + network.options.connectTimeoutMs)
  heal()
  await t.resolves(time.complete(transport.connect(address)))
  b.crash()
  await t.rejects(time.complete(transport.connect(address)), { code: 'ETIMEDOUT' })
  b.start()
  await t.rejects(
    time.complete(transport.connect(address)),
    { code: 'ECONNREFUSED' },
    'the new process has a new address'
  )
  const never = transport.connect(address).then(
    () => t.fail('told'),
    () => t.fail('told')
  )
  a.kill()
  await time.run({})
  void never
})

void t.test('a slow direction is slow; a corrupt one flips bits, and is told of in the hits', async t => {
  const { time, network, here, there } = await connected()
  const usual = time.now()
  here.stream.write(bytes(0, 1_000))
  await time.run({})
  const took = time.now() - usual
  const heal = network.slow('a', 'b', 1_000)
  const began = time.now()
  here.stream.write(bytes(1_000 % 256, 1_000))
  await time.run({})
  t.ok(time.now() - began > 20 * took)
  heal()
  t.ok(isPrefix(there.heard))
  network.corrupt('a', 'b', 1)
  here.stream.write(bytes(2_000 % 256, 1_000))
  await time.run({})
  t.equal(there.heard.length, 3_000)
  t.notOk(isPrefix(there.heard))
  t.ok(network.hits.of('slow') > 0 && network.hits.of('corrupt') > 0)
})
