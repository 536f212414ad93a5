/** The proxy between the processes of a chaos run: it passes, cuts, freezes and swallows, by who calls. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { encodeHello } from '../../../runtime/core/frames.ts'
import { CuttingProxy } from '../../../simulations/chaos/cutting-proxy.ts'

/** A server that keeps its connections; what came, by connection. */
async function target(t: Test): Promise<{ port: number; connections: End[] }> {
  const connections: End[] = []
  const server = createServer(socket => connections.push(new End(socket)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const { socket } of connections) socket.destroy()
    server.close()
  })
  return { port: (server.address() as AddressInfo).port, connections }
}

class End {
  readonly socket: Socket
  received = Buffer.alloc(0)
  closed = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('error', () => undefined)
    socket.on('close', () => (this.closed = true))
    socket.on('data', bytes => (this.received = Buffer.concat([this.received, bytes])))
  }
  get text(): string {
    return this.received.toString()
  }
}

const until = async (what: () => boolean): Promise<void> => {
  while (!what()) await new Promise(resolve => setImmediate(resolve))
}

async function caller(t: Test, proxy: CuttingProxy): Promise<End> {
  const socket = connect(proxy.port, '127.0.0.1')
  t.teardown(() => socket.destroy())
  return new End(socket)
}

async function proxyTo(t: Test, port: number, who?: string): Promise<CuttingProxy> {
  const proxy = await CuttingProxy.start({ target: () => port, caller: who })
  t.teardown(() => proxy.close())
  return proxy
}

void t.test('bytes pass both ways, and so does the end', async t => {
  const { port, connections } = await target(t)
  const proxy = await proxyTo(t, port, 'w1')
  const near = await caller(t, proxy)
  near.socket.write('up')
  await until(() => connections[0]?.text === 'up')
  connections[0]?.socket.write('down')
  await until(() => near.text === 'down')
  near.socket.end()
  await until(() => connections[0]?.closed === true)
})

void t.test('a cut ends what stands, lets nothing new through, and is healed', async t => {
  const { port, connections } = await target(t)
  const proxy = await proxyTo(t, port, 'w1')
  const near = await caller(t, proxy)
  near.socket.write('a')
  await until(() => connections[0]?.text === 'a')
  proxy.cut('w1', 'cut')
  await until(() => near.closed && connections[0]?.closed === true)
  const refused = await caller(t, proxy)
  await until(() => refused.closed)
  t.equal(connections.length, 1)
  proxy.heal('w1')
  const again = await caller(t, proxy)
  again.socket.write('b')
  await until(() => connections[1]?.text === 'b')
})

void t.test('frozen bytes wait, and come in order when it thaws', async t => {
  const { port, connections } = await target(t)
  const proxy = await proxyTo(t, port, 'w1')
  const near = await caller(t, proxy)
  near.socket.write('a')
  await until(() => connections[0]?.text === 'a')
  proxy.cut('w1', 'freeze')
  near.socket.write('b')
  connections[0]?.socket.write('c')
  // Another connection, made later, shows that there was time enough.
  const other = await proxyTo(t, port, 'w2')
  const witness = await caller(t, other)
  witness.socket.write('w')
  await until(() => connections[1]?.text === 'w')
  t.equal(connections[0]?.text, 'a')
  t.equal(near.text, '')
  proxy.heal('w1')
  await until(() => connections[0]?.text === 'ab' && near.text === 'c')
  t.notOk(near.closed)
})

void t.test('swallowed bytes are gone, the other way goes on, and healing ends what lost some', async t => {
  const { port, connections } = await target(t)
  const proxy = await proxyTo(t, port, 'w1')
  const near = await caller(t, proxy)
  near.socket.write('a')
  await until(() => connections[0]?.text === 'a')
  proxy.cut('w1', 'swallow-up')
  near.socket.write('lost')
  connections[0]?.socket.write('down')
  await until(() => near.text === 'down')
  t.notOk(near.closed)
  proxy.heal('w1')
  await until(() => near.closed && connections[0]?.closed === true)
  t.equal(connections[0]?.text, 'a')
})

void t.test('who calls is read from the first frame: one worker is cut off, another is not', async t => {
  const { port, connections } = await target(t)
  const proxy = await proxyTo(t, port)
  const hello = (from: string): Uint8Array =>
    encodeHello({ job: 'chaos', lineage: 1, generation: 3, from: `${from}#abc`, to: 'w3#def' })
  const first = await caller(t, proxy)
  // In two pieces: nothing passes before it is known who calls.
  first.socket.write(hello('w1').subarray(0, 9))
  first.socket.write(hello('w1').subarray(9))
  const second = await caller(t, proxy)
  second.socket.write(hello('w2'))
  await until(() => connections.every(({ received }) => received.length > 0) && connections.length === 2)
  t.same(proxy.callers.sort(), ['w1', 'w2'])
  proxy.cut('w1', 'cut')
  await until(() => first.closed)
  t.notOk(second.closed)
  const again = await caller(t, proxy)
  again.socket.write(hello('w1'))
  await until(() => again.closed)
  const stranger = await caller(t, proxy)
  stranger.socket.write(Buffer.alloc(100, 0xff))
  await until(() => connections.some(({ text }) => text.length === 100))
  t.same(proxy.callers.sort(), ['?', 'w2'])
})
