/** What strangers can do to the data connections of a worker, over real sockets. */
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { tcpTransport } from '../../../runtime/adapters/tcp-transport.ts'
import { encodeCredit, encodeHello, type Frame } from '../../../runtime/core/frames.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { Clock } from '../../../runtime/ports/clock.ts'
import { Connections } from '../../../runtime/shell/connections.ts'

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
async function until(what: string, holds: () => boolean): Promise<void> {
  for (let i = 0; !holds(); i++) {
    if (i === 200_000) throw new Error(`never: ${what}`)
    await turn()
  }
}

/** Time passes when a test says so; only connecting again does not wait. */
class HandClock implements Clock {
  private readonly waiting = new Set<() => void>()
  now = (): number => 0
  elapsed = (): number => 0
  after(delayMs: number, callback: () => void): () => void {
    if (delayMs < 1_000) {
      const timer = setTimeout(callback, 5)
      return () => clearTimeout(timer)
    }
    this.waiting.add(callback)
    return () => this.waiting.delete(callback)
  }
  yield = (callback: () => void): void => void setImmediate(callback)
  /** So long that all limits are over. */
  pass(): void {
    for (const callback of [...this.waiting]) {
      this.waiting.delete(callback)
      callback()
    }
  }
  get timers(): number {
    return this.waiting.size
  }
}

interface Lab {
  readonly clock: HandClock
  readonly worker: Connections
  readonly address: string
  /** Why strangers were closed. */
  readonly refused: string[]
  readonly frames: Frame[]
  readonly failed: Error[]
  /** A second worker; in the same generation. */
  peer(): Promise<Connections>
}

/** Worker "b" in generation 7 with "a", who connects to it. */
async function lab(t: Test): Promise<Lab> {
  const clock = new HandClock()
  const refused: string[] = []
  const frames: Frame[] = []
  const failed: Error[] = []
  const make = (worker: string): Connections => {
    const transport = tcpTransport()
    const why = (reason: string): void => void refused.push(reason)
    const made = new Connections({ job: 'shop', lineage: 3, worker, transport, clock, pingMs: 500, refused: why })
    t.teardown(async () => {
      await made.close()
      transport.destroy()
    })
    return made
  }
  const worker = make('b')
  const address = await worker.listen()
  const receive = (_: string, some: readonly Frame[]): void => void frames.push(...some)
  worker.enter(7, new Map([['a', 'nowhere:1']]), receive, error => failed.push(error))
  const peer = async (): Promise<Connections> => {
    const made = make('a')
    await made.listen()
    made.enter(7, new Map([['b', address]]), receive, error => failed.push(error))
    return made
  }
  return { clock, worker, address, refused, frames, failed, peer }
}

class Stranger {
  closed = false
  readonly socket: Socket
  constructor({ address }: Lab) {
    const [host = '', port = ''] = address.split(':')
    this.socket = connect(Number(port), host)
    this.socket.on('error', () => undefined)
    this.socket.on('close', () => (this.closed = true))
    this.socket.resume()
  }
}

const hello = { job: 'shop', lineage: 3, generation: 7, from: 'a', to: 'b' }
const credit = encodeCredit({ edge: 0, from: 0, to: 0 }, 1)

/** Two workers of the job still speak with each other. */
async function stillWorks(t: Test, world: Lab): Promise<void> {
  const peer = await world.peer()
  peer.send('b', credit)
  await until('a frame arrives', () => world.frames.length > 0)
  t.match(world.frames, [{ kind: 'credit' }])
  t.same(world.failed, [])
}

void t.test('garbage closes the connection with a reason, and nothing else happens', async t => {
  const world = await lab(t)
  const prng = new Prng('garbage')
  const valid = encodeHello(hello)
  const pieces: Uint8Array[] = [
    new TextEncoder().encode('GET / HTTP/1.1\r\nHost: worker\r\n\r\n'),
    credit,
    encodeHello({ ...hello, job: 'other' }),
    encodeHello({ ...hello, lineage: 4 }),
    encodeHello({ ...hello, to: 'c' })
  ]
  for (let i = 0; i < 50; i++) pieces.push(new Uint8Array(64).map((_, at) => (at === 0 ? 255 : prng.int(256))))
  for (let i = 4; i < valid.length; i++)
    pieces.push(valid.map((byte, at) => (at === i ? byte ^ (1 << prng.int(8)) : byte)))
  for (const piece of pieces) {
    const stranger = new Stranger(world)
    stranger.socket.write(piece)
    await until('it is closed', () => stranger.closed)
  }
  t.equal(world.refused.length, pieces.length)
  t.match(world.refused.slice(0, 5), [/frame of \d+ bytes/, /no hello/, /job "other"/, /worker "b"/, /worker "c"/])
  t.equal(world.clock.timers, 0)
  await stillWorks(t, world)
})

void t.test(
  'who says nothing is closed after a while; who announces much and sends a little at a time, sooner',
  async t => {
    const world = await lab(t)
    const [silent, half, endless] = [new Stranger(world), new Stranger(world), new Stranger(world)]
    half.socket.write(encodeHello(hello).subarray(0, 12))
    endless.socket.write(new Uint8Array([0, 255, 0, 0]))
    await until('all are there', () => world.clock.timers === 3)
    while (!endless.closed) {
      endless.socket.write(new Uint8Array(100))
      await turn()
    }
    t.match(world.refused, [/did not say who it is in \d{4} bytes/])
    t.notOk(silent.closed || half.closed)
    world.clock.pass()
    await until('both are closed', () => silent.closed && half.closed)
    t.match(world.refused.slice(1), [/within 5000 ms/, /within 5000 ms/])
    await stillWorks(t, world)
  }
)

void t.test('a connection of an older generation is closed, and its frames are not looked at', async t => {
  const world = await lab(t)
  const late = new Stranger(world)
  late.socket.write(Buffer.concat([encodeHello({ ...hello, generation: 6 }), credit]))
  await until('it is closed', () => late.closed)
  t.same(world.frames, [])
  await stillWorks(t, world)
})

void t.test('a thousand connections that say nothing keep nobody out', async t => {
  const world = await lab(t)
  const strangers: Stranger[] = []
  for (let i = 0; i < 1_000; i++) {
    strangers.push(new Stranger(world))
    if (i % 50 === 0) await turn()
  }
  await until('most are closed', () => strangers.filter(each => each.closed).length === 1_000 - 128)
  t.equal(world.clock.timers, 128)
  t.match(world.refused[0], /128 others wait/)
  await stillWorks(t, world)
  world.clock.pass()
  await until('all are closed', () => strangers.every(each => each.closed))
})

void t.test('connections of generations that never come are limited, and go when the next one begins', async t => {
  const world = await lab(t)
  const strangers = Array.from({ length: 260 }, () => new Stranger(world))
  for (const { socket } of strangers) socket.write(encodeHello({ ...hello, generation: 8 }))
  await until('some are refused', () => strangers.filter(each => each.closed).length === 4)
  t.same(new Set(world.refused), new Set(['256 connections of newer generations wait']))
  await stillWorks(t, world)
  world.worker.enter(
    9,
    new Map(),
    () => undefined,
    () => undefined
  )
  await until('all are closed', () => strangers.every(each => each.closed))
})
