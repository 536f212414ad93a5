/** Real sockets: the rules of the port, and what strangers and silent peers can do. */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import t, { type Test } from 'tap'
import { tcpTransport, type TcpOptions } from '../../../runtime/adapters/tcp-transport.ts'
import type { ByteStream } from '../../../runtime/ports/transport.ts'
import { certificates, withOpenssl } from '../../support/certificates.ts'
import { testTransport, type TransportSubject } from '../ports/transport-conformance.ts'

function tcp(t: Test, options: TcpOptions = {}): ReturnType<typeof tcpTransport> {
  const transport = tcpTransport(options)
  t.teardown(() => transport.destroy())
  return transport
}

const subject = (t: Test, options: TcpOptions = {}): TransportSubject => ({
  peer: () => {
    const transport = tcp(t, options)
    return { transport, kill: () => transport.destroy() }
  },
  run: work => work()
})

const never = new Promise<never>(() => undefined)
const ended = (stream: ByteStream): Promise<string> => {
  stream.onData(() => undefined)
  return new Promise(resolve => stream.onClose(resolve))
}
const gone = (socket: Socket): Promise<void> =>
  new Promise(resolve => {
    socket.on('error', () => undefined)
    socket.once('close', () => resolve())
    socket.resume()
  })
const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1))

void t.test('the rules of the port', t => testTransport(t, async t => subject(t)))

void t.test('the rules of the port, over mutual TLS', withOpenssl, t => {
  const { worker } = certificates(t)
  return testTransport(t, async t => subject(t, { tls: worker }))
})

void t.test('over TLS only those with a certificate of the same authority get through', withOpenssl, async t => {
  const { worker, stranger } = certificates(t)
  let accepted = 0
  const { address } = await tcp(t, { tls: worker, connectTimeoutMs: 300 }).listen(() => accepted++)
  await t.rejects(tcp(t, { tls: stranger }).connect(address), { code: 'PEER_LOST' }, 'it distrusts the worker, too')
  const options = { port: portOf(address), host: '127.0.0.1', rejectUnauthorized: false }
  await gone(connectTls({ ...options, cert: stranger.certificate, key: stranger.key }))
  await gone(connectTls(options))
  const plain = connect(portOf(address))
  plain.write('hello')
  await gone(plain)
  await gone(connect(portOf(address)))
  t.equal(accepted, 0)
  const stream = await tcp(t, { tls: worker }).connect(address)
  stream.close()
  while (accepted === 0) await new Promise(resolve => setImmediate(resolve))
})

void t.test('over TLS a worker must bear the name by which it is reached, or the agreed one', withOpenssl, async t => {
  const { worker, elsewhere } = certificates(t)
  const { address } = await tcp(t, { tls: elsewhere }).listen(() => undefined)
  await t.rejects(tcp(t, { tls: worker }).connect(address), { code: 'PEER_LOST', message: /altnames/ })
  const stream = await tcp(t, { tls: { ...worker, serverName: 'workers' } }).connect(address)
  stream.close()
})

void t.test('what is bound and what others are told may differ', async t => {
  t.throws(() => tcpTransport({ host: '0.0.0.0' }), { code: 'OPTION_INVALID', message: /advertise/ })
  t.throws(() => tcpTransport({ advertise: 'a b', port: 70_000 }), { message: /port 70000.*advertise "a b"/ })
  const all = await tcp(t, { host: '0.0.0.0', advertise: 'localhost' }).listen(() => undefined)
  t.match(all.address, /^localhost:\d+$/)
  ;(await tcp(t).connect(all.address)).close()
  const mapped = await tcp(t, { host: '0.0.0.0', advertise: 'worker-1.example:7000' }).listen(() => undefined)
  t.equal(mapped.address, 'worker-1.example:7000')
  const six = await tcp(t, { advertise: '[::1]' }).listen(() => undefined)
  t.match(six.address, /^\[::1\]:\d+$/)
  await t.rejects(tcp(t).connect('nowhere'), { code: 'PEER_LOST', message: /"nowhere" is no address/ })
})

void t.test('a port that is taken is a clear error', async t => {
  const { address } = await tcp(t).listen(() => undefined)
  await t.rejects(
    tcp(t, { port: portOf(address) }).listen(() => undefined),
    { code: 'LISTEN_FAILED', message: new RegExp(address) }
  )
})

void t.test('a peer that does not answer is given up after the limit', withOpenssl, async t => {
  const { worker } = certificates(t)
  const silent = createServer(socket => socket.on('error', () => undefined))
  await new Promise<void>(resolve => silent.listen(0, '127.0.0.1', resolve))
  t.teardown(() => silent.close())
  const address = `127.0.0.1:${(silent.address() as AddressInfo).port}`
  const error = { code: 'PEER_LOST', message: /no answer within 200 ms/ }
  await t.rejects(tcp(t, { tls: worker, connectTimeoutMs: 200 }).connect(address), error)
})

void t.test('more connections than the limit are closed at once; those that stand go on', async t => {
  const accepted: ByteStream[] = []
  const { address } = await tcp(t, { connectionLimit: 3 }).listen(stream => accepted.push(stream))
  const first = await Promise.all([0, 1, 2].map(() => tcp(t).connect(address)))
  const fourth = await tcp(t).connect(address)
  t.equal(await ended(fourth).then(() => 'closed'), 'closed')
  t.equal(accepted.length, 3)
  const heard = new Promise<Uint8Array>(resolve => accepted[0]?.onData(resolve))
  first[0]?.write(new Uint8Array([7]))
  t.same([...(await heard)], [7])
})

void t.test('a peer that takes nothing holds a closed stream for a while only', async t => {
  const peers: Socket[] = []
  const server = createServer({ pauseOnConnect: true }, socket => peers.push(socket))
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const transport = tcp(t, { lingerMs: 100 })
  const stream = await transport.connect(`127.0.0.1:${(server.address() as AddressInfo).port}`)
  let size = 0
  while (stream.write(new Uint8Array(1024 * 1024))) size++
  t.ok(size < 100)
  stream.close()
  // The server ends when its only connection does.
  while (peers.length === 0) await new Promise(resolve => setImmediate(resolve))
  peers[0]?.on('error', () => undefined)
  const over = new Promise<void>(resolve => server.close(() => resolve()))
  setTimeout(() => peers[0]?.resume(), 150)
  await Promise.race([over, never])
})

void t.test('a reset is told with its reason', async t => {
  let accept: (stream: ByteStream) => void = () => undefined
  const accepted = new Promise<ByteStream>(resolve => (accept = resolve))
  const { address } = await tcp(t).listen(stream => accept(stream))
  const stranger = connect(portOf(address))
  const stream = await accepted
  const reason = ended(stream)
  stranger.resetAndDestroy()
  t.match(await reason, /ECONNRESET/)
  t.ok(stream.write(new Uint8Array(1)), 'and nothing happens afterwards')
  stream.close()
})
