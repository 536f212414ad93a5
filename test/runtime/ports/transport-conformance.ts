/** The rules of `Transport`, for every implementation. */
import type { Test } from 'tap'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { ByteStream, Transport } from '../../../runtime/ports/transport.ts'

export interface TransportPeer {
  readonly transport: Transport
  /** Ends abruptly, its machine stays. */
  kill(): void
}
export interface TransportSubject {
  /** Another process in the same network. */
  peer(): TransportPeer
  /** Runs the work to its end; made-up time passes only in here. */
  run<T>(work: () => Promise<T>): Promise<T>
}
/** Made anew for each test. */
export type MakeTransport = (t: Test) => Promise<TransportSubject>

/** What one end has heard. */
class Ear {
  readonly closed: string[] = []
  private readonly chunks: Uint8Array[] = []
  private size = 0
  private changed: () => void = () => undefined

  constructor(stream: ByteStream) {
    stream.onData(chunk => {
      this.chunks.push(chunk)
      this.size += chunk.length
      this.changed()
    })
    stream.onClose(reason => {
      this.closed.push(reason)
      this.changed()
    })
  }
  async has(size: number): Promise<Uint8Array> {
    while (this.size < size) await this.change()
    return this.all()
  }
  async isClosed(): Promise<Uint8Array> {
    while (this.closed.length === 0) await this.change()
    return this.all()
  }
  all(): Uint8Array {
    return new Uint8Array(Buffer.concat(this.chunks))
  }
  private change(): Promise<void> {
    return new Promise(resolve => (this.changed = resolve))
  }
}

interface Pair {
  readonly client: ByteStream
  readonly server: ByteStream
}

/** Two ends of one new connection. */
async function joined(from: TransportPeer, to: TransportPeer): Promise<Pair> {
  let accepted: (stream: ByteStream) => void = () => undefined
  const server = new Promise<ByteStream>(resolve => (accepted = resolve))
  const { address } = await to.transport.listen(accepted)
  const client = await from.transport.connect(address)
  return { client, server: await server }
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array): string => new TextDecoder().decode(read)
const random = (seed: string, size: number): Uint8Array => {
  const prng = new Prng(seed)
  return new Uint8Array(size).map(() => prng.int(256))
}

/** Writes it in pieces of any size; waits whenever it is told to. Returns how often it was. */
async function writeAll(stream: ByteStream, whole: Uint8Array): Promise<number> {
  const prng = new Prng(whole.length)
  let waits = 0
  let drained: () => void = () => undefined
  stream.onDrain(() => drained())
  for (let at = 0; at < whole.length;) {
    const piece = whole.slice(at, (at += 1 + prng.int(prng.int(4) === 0 ? 40_000 : 200)))
    const drain = new Promise<void>(resolve => (drained = resolve))
    if (stream.write(piece)) continue
    waits++
    await drain
  }
  return waits
}

export async function testTransport(t: Test, make: MakeTransport): Promise<void> {
  const rule = (name: string, work: (t: Test, subject: TransportSubject) => Promise<void>): Promise<unknown> =>
    t.test(name, async t => {
      const subject = await make(t)
      await subject.run(() => work(t, subject))
    })

  await rule('what one end writes the other reads, both ways, in order, however it was cut', async (t, subject) => {
    const { client, server } = await joined(subject.peer(), subject.peer())
    const [there, back] = [random('there', 1_000_000), random('back', 300_000)]
    const [far, near] = [new Ear(server), new Ear(client)]
    await Promise.all([writeAll(client, there), writeAll(server, back)])
    t.ok(Buffer.from(there).equals(await far.has(there.length)))
    t.ok(Buffer.from(back).equals(await near.has(back.length)))
    t.same([...far.closed, ...near.closed], [])
  })

  await rule('who writes faster than the network takes is told to wait, and when to go on', async (t, subject) => {
    const { client, server } = await joined(subject.peer(), subject.peer())
    const ear = new Ear(server)
    let size = 0
    for (let round = 0; round < 3; round++) {
      const drained = new Promise<void>(resolve => client.onDrain(resolve))
      let full = false
      for (let i = 0; i < 2000 && !full; i++, size += 65_536) full = !client.write(new Uint8Array(65_536))
      t.ok(full, 'before 128 MiB are waiting')
      await drained
    }
    t.equal((await ear.has(size)).length, size)
  })

  await rule('connections of one listener are apart', async (t, subject) => {
    const server = subject.peer()
    const ears: Ear[] = []
    const { address } = await server.transport.listen(stream => {
      ears.push(new Ear(stream))
      stream.write(bytes(`hello ${ears.length}`))
    })
    const said: string[] = []
    for (let i = 0; i < 5; i++) {
      const client = await subject.peer().transport.connect(address)
      said.push(textOf(await new Ear(client).has(7)))
      client.write(bytes(`from ${i}`))
    }
    t.same(said, ['hello 1', 'hello 2', 'hello 3', 'hello 4', 'hello 5'])
    t.same(
      await Promise.all(ears.map(async ear => textOf(await ear.has(6)))),
      [0, 1, 2, 3, 4].map(i => `from ${i}`)
    )
  })

  await rule('two listeners have two addresses', async (t, subject) => {
    const server = subject.peer()
    const heard: string[] = []
    const addresses: string[] = []
    for (const name of ['a', 'b'])
      addresses.push(
        (
          await server.transport.listen(stream => {
            heard.push(name)
            stream.write(bytes(name))
          })
        ).address
      )
    t.not(addresses[0], addresses[1])
    for (const address of addresses.reverse()) await new Ear(await subject.peer().transport.connect(address)).has(1)
    t.same(heard, ['b', 'a'])
  })

  await rule('nobody there is an error, also where somebody was', async (t, subject) => {
    const [server, client] = [subject.peer(), subject.peer()]
    const listener = await server.transport.listen(() => undefined)
    await listener.close()
    await t.rejects(client.transport.connect(listener.address))
    const second = await server.transport.listen(() => undefined)
    server.kill()
    await t.rejects(client.transport.connect(second.address))
  })

  await testEnds(rule)
}

type Rule = (name: string, work: (t: Test, subject: TransportSubject) => Promise<void>) => Promise<unknown>

async function testEnds(rule: Rule): Promise<void> {
  await rule(
    'after a close comes what was written before it, then the end, once; who closed is not told',
    async (t, subject) => {
      const { client, server } = await joined(subject.peer(), subject.peer())
      const [far, near] = [new Ear(server), new Ear(client)]
      const last = random('last', 200_000)
      client.write(last)
      client.close()
      client.close()
      t.type(client.write(bytes('too late')), 'boolean')
      t.ok(Buffer.from(last).equals(await far.isClosed()), 'all of it and no more')
      server.write(bytes('into the void'))
      server.close()
      const again = await joined(subject.peer(), subject.peer())
      again.client.close()
      await new Ear(again.server).isClosed()
      t.equal(far.closed.length, 1)
      t.same(near.closed, [])
      t.equal(near.all().length, 0)
    }
  )

  await rule('either end may close', async (t, subject) => {
    const { client, server } = await joined(subject.peer(), subject.peer())
    const [far, near] = [new Ear(server), new Ear(client)]
    server.write(bytes('bye'))
    server.close()
    t.equal(textOf(await near.isClosed()), 'bye')
    t.same(far.closed, [])
  })

  await rule('who listens late hears all of it, and of the end', async (t, subject) => {
    const { client, server } = await joined(subject.peer(), subject.peer())
    const second = await joined(subject.peer(), subject.peer())
    client.write(bytes('early'))
    client.close()
    // By now it has arrived, most likely; a transport that drops it is caught often enough.
    second.client.write(random('time passes', 50_000))
    await new Ear(second.server).has(50_000)
    const ear = new Ear(server)
    t.equal(textOf(await ear.isClosed()), 'early')
    t.equal(ear.closed.length, 1)
  })

  await rule('when a process dies the others are told, and have a beginning of what it wrote', async (t, subject) => {
    const [dying, other] = [subject.peer(), subject.peer()]
    const { client, server } = await joined(dying, other)
    const ear = new Ear(server)
    client.write(bytes('alive'))
    await ear.has(5)
    const last = random('last', 500_000)
    client.write(last)
    dying.kill()
    const heard = (await ear.isClosed()).subarray(5)
    t.ok(Buffer.from(last.subarray(0, heard.length)).equals(heard))
    t.equal(ear.closed.length, 1)
    t.match(ear.closed[0], /./, 'and why')
  })
}
