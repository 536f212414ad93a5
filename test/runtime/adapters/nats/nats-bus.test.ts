/** The control bus over a real NATS server: the rules of the port, and what restarts and outages leave of them. */
import { createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import { connectNats } from '../../../../runtime/adapters/nats/nats-bus.ts'
import { loadNats } from '../../../../runtime/adapters/nats/load-nats.ts'
import { bucketName } from '../../../../runtime/adapters/nats/nats-options.ts'
import type { CodedError } from '../../../../runtime/kernel/errors.ts'
import { countMarks } from '../../../../runtime/kernel/marks.ts'
import { NatsServer } from '../../../support/nats-server.ts'
import { needs } from '../../../support/services.ts'
import { testControlBus } from '../../ports/control-bus-conformance.ts'
import { natsControlBus, open, quick, sleep } from './nats-subjects.ts'

const real = needs('nats-server')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (read: Uint8Array | undefined): string => new TextDecoder().decode(read)

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; !(await holds()); i++) {
    if (i === 1000) throw new Error(`never: ${what}`)
    await sleep(10)
  }
}

void t.test('the rules of the port, with a real server', real, t => testControlBus(t, t => natsControlBus(t)))

for (const wiped of [false, true])
  void t.test(
    `all goes on when the server was killed and comes back ${wiped ? 'empty' : 'as it was'}`,
    real,
    async t => {
      const server = await NatsServer.start(t)
      const trouble: CodedError[] = []
      const bus = await open(t, { ...quick(server), leaseTtlMs: 60_000, troubled: error => trouble.push(error) })
      const other = await open(t, { ...quick(server), leaseTtlMs: 60_000 })
      const heard: string[] = []
      other.subscribe('job.a', message => heard.push(textOf(message)))
      await until('messages pass', () => {
        bus.publish('job.a', bytes('before'))
        return heard.length > 0
      })
      const first = await bus.leases.put('leader', bytes('w1'), undefined)
      if (first === 'conflict') throw new Error('nobody else writes')

      await server.kill()
      await until('the outage is noticed', () => !bus.connected && !other.connected)
      for (let i = 0; i < 100; i++) bus.publish('job.a', new Uint8Array(1_000_000))
      bus.publish('job.a', bytes('lost'))
      await t.rejects(bus.leases.get('leader'), { code: 'BUS_UNREACHABLE', retriable: true })
      await t.rejects(bus.leases.put('leader', bytes('w1'), first.revision), { code: 'BUS_UNREACHABLE' })
      await t.rejects(bus.leases.remove('leader', first.revision), { code: 'BUS_UNREACHABLE' })
      t.match(trouble[0], { code: 'BUS_UNREACHABLE', message: /is away/ })

      await (wiped ? server.restartEmpty() : server.restart())
      await until('both are back', () => bus.connected && other.connected)
      await until('the old subscription hears', () => {
        bus.publish('job.a', bytes('again'))
        return heard.includes('again')
      })
      t.same(new Set(heard), new Set(['before', 'again']), 'nothing of the outage arrives')
      if (wiped) {
        t.equal(await bus.leases.get('leader'), undefined)
        t.not(await bus.leases.put('leader', bytes('w1'), undefined), 'conflict')
        t.equal(textOf((await other.leases.get('leader'))?.value), 'w1')
      } else {
        t.match(await other.leases.get('leader'), { revision: first.revision })
        t.equal(await other.leases.put('leader', bytes('w2'), first.revision + 5), 'conflict')
        t.not(await other.leases.put('leader', bytes('w2'), first.revision), 'conflict')
      }
    }
  )

void t.test('requests to a server that hangs reject within the limit; then all goes on', real, async t => {
  const server = await NatsServer.start(t)
  const bus = await open(t, { ...quick(server), leaseTtlMs: 60_000 })
  const other = await open(t, { ...quick(server), leaseTtlMs: 60_000, pingMs: 60_000 })
  await server.pause()
  const rejected = { code: 'BUS_UNREACHABLE' }
  const began = performance.now()
  await Promise.all([
    t.rejects(bus.leases.put('leader', bytes('w1'), undefined), rejected),
    t.rejects(other.leases.get('leader'), rejected)
  ])
  t.ok(performance.now() - began < 5_000)
  await until('the outage is noticed', () => !bus.connected)
  t.ok(other.connected, 'it did not look')
  server.resume()
  await until('it is back', () => bus.connected)
  // The request whose outcome was unknown may have been done by now, or still be.
  await until('the lease is taken', async () => {
    const entry = await bus.leases.get('leader')
    return (await bus.leases.put('leader', bytes('w1'), entry?.revision)) !== 'conflict'
  })
})

void t.test('a bucket that somebody deletes is made again by whatever comes first', real, async t => {
  const server = await NatsServer.start(t)
  const bus = await open(t, quick(server))
  const { connect } = (await loadNats()).transport
  const admin = await connect({ servers: server.address })
  t.teardown(() => admin.close())
  const drop = async (): Promise<void> =>
    void (await admin.request(`$JS.API.STREAM.DELETE.KV_${bucketName('job')}`, new Uint8Array(0)))
  await drop()
  t.equal(await bus.leases.get('leader'), undefined)
  await drop()
  t.not(await bus.leases.put('leader', bytes('w1'), undefined), 'conflict')
  await drop()
  t.equal(await bus.leases.put('leader', bytes('w1'), 1), 'conflict')
  await drop()
  await bus.leases.remove('leader', 1)
})

void t.test(
  'a bucket whose subjects are taken is made when they are free; until then that is the reason',
  real,
  async t => {
    const server = await NatsServer.start(t)
    const bus = await open(t, quick(server))
    const { connect } = (await loadNats()).transport
    const admin = await connect({ servers: server.address })
    t.teardown(() => admin.close())
    const ask = async (subject: string, body = ''): Promise<void> =>
      void (await admin.request(`$JS.API.STREAM.${subject}`, new TextEncoder().encode(body)))
    await ask(`DELETE.KV_${bucketName('job')}`)
    await ask('CREATE.other', JSON.stringify({ name: 'other', subjects: [`$KV.${bucketName('job')}.>`] }))
    await t.rejects(bus.leases.get('leader'), { message: /subjects overlap with an existing stream/ })
    const marks = new Map<string, number>()
    countMarks(marks)
    t.teardown(() => countMarks(undefined))
    const got = bus.leases.get('leader')
    await until('it was refused', () => marks.has('nats: the bucket is being made'))
    await ask('DELETE.other')
    t.equal(await got, undefined)
  }
)

void t.test('a bucket that another version of the job made lives as long as this one thinks', real, async t => {
  const server = await NatsServer.start(t)
  const older = await open(t, { ...quick(server), leaseTtlMs: 60_000 })
  await older.leases.put('leader', bytes('w1'), undefined)
  const bus = await open(t, { ...quick(server), leaseTtlMs: 500 })
  await until('the lease is gone', async () => (await bus.leases.get('leader')) === undefined)
})

void t.test('a server that hangs costs no more than a limited amount of memory', real, async t => {
  const server = await NatsServer.start(t)
  const trouble: CodedError[] = []
  const bus = await open(t, { ...quick(server), pingMs: 60_000, troubled: error => trouble.push(error) })
  await server.pause()
  const before = process.memoryUsage().arrayBuffers + process.memoryUsage().external
  for (let i = 0; i < 400; i++) {
    bus.publish('job.a', new Uint8Array(500_000))
    await new Promise(resolve => setImmediate(resolve))
  }
  const after = process.memoryUsage().arrayBuffers + process.memoryUsage().external
  t.ok(after - before < 100_000_000, `${after - before} bytes of 200,000,000`)
  t.ok(bus.connected, 'nothing is known yet')
  t.match(trouble, [{ code: 'BUS_UNREACHABLE', message: /messages are lost/ }])
  server.resume()
})

void t.test('a message that is too large for the server is lost with a reason, and nothing else', real, async t => {
  const server = await NatsServer.start(t)
  const trouble: CodedError[] = []
  const bus = await open(t, { ...quick(server), troubled: error => trouble.push(error) })
  bus.publish('job.a', new Uint8Array(2_000_000))
  t.match(trouble, [{ code: 'BUS_REFUSED', message: /2000000 bytes/ }])
  const heard: string[] = []
  bus.subscribe('job.a', message => heard.push(textOf(message)))
  bus.publish('job.a', bytes('small'))
  await until('the next arrives', () => heard.includes('small'))
})

void t.test('nobody there at the start is a clear error within the limit', async t => {
  const probe = createServer()
  await new Promise<void>(resolve => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  const options = { servers: [`127.0.0.1:${port}`], job: 'job', leaseTtlMs: 1_000, connectTimeoutMs: 400 }
  const sockets = new Set<{ destroy(): void }>()
  probe.on('connection', socket => sockets.add(socket))
  await t.rejects(connectNats(options), { code: 'BUS_UNREACHABLE', message: new RegExp(`127.0.0.1:${port}`) }, 'silent')
  for (const socket of sockets) socket.destroy()
  await new Promise(resolve => probe.close(resolve))
  await t.rejects(connectNats(options), { code: 'BUS_UNREACHABLE', message: /connection refused/ })
})

void t.test('of several servers one suffices', real, async t => {
  const server = await NatsServer.start(t)
  const bus = await open(t, { ...quick(server), servers: ['127.0.0.1:9', server.address, `nats://${server.address}`] })
  t.equal(await bus.leases.get('leader'), undefined)
})

void t.test('a missing package is named, with the command that installs it', async t => {
  const load = (missing: string) => async (name: string) => {
    if (name === missing)
      throw Object.assign(new Error(`Cannot find package '${name}'`), { code: 'ERR_MODULE_NOT_FOUND' })
    return import(name) as Promise<unknown>
  }
  await t.rejects(loadNats(load('@nats-io/kv')), {
    code: 'PACKAGE_MISSING',
    message: /"@nats-io\/kv"/,
    remedy: /^npm install .*@nats-io\/kv@3/
  })
  const broken = async (): Promise<unknown> => {
    throw new Error('broken')
  }
  await t.rejects(loadNats(broken), { message: 'broken' })
})

void t.test('wrong options are all named at once', async t => {
  const options = {
    servers: ['http://x', 'a:b'],
    job: 'a.b',
    prefix: 'x_y',
    leaseTtlMs: 0,
    replicas: 7,
    tls: { key: 'k' }
  }
  await t.rejects(connectNats(options), {
    code: 'OPTION_INVALID',
    message: /server "http:\/\/x".*server "a:b".*job "a\.b".*prefix "x_y".*leaseTtlMs is 0.*replicas is 7.*certificate/
  })
  await t.rejects(connectNats({ servers: [], job: 'a', leaseTtlMs: 100 }), { message: /no server/ })
  const credentials = { kind: 'file', path: 'absent.creds' } as const
  await t.rejects(connectNats({ servers: ['a'], job: 'a', leaseTtlMs: 100, credentials }), {
    code: 'OPTION_INVALID',
    message: /absent\.creds/
  })
})
