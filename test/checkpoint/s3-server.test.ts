/** Checkpoint storage on a real S3 server: races, wrong secrets, a server that goes away, answers that are lost. */
import t from 'tap'
import { S3Root } from '../../checkpoint/adapters/s3/s3-root.ts'
import { DecisionLog, type Decision } from '../../checkpoint/decision-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { CuttingProxy } from '../support/cutting-proxy.ts'
import { S3Server } from '../support/s3-server.ts'
import { needs } from '../support/services.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const leads = (generation: number): Decision => ({ kind: 'leads', worker: 'w', generation })
const folder = 'job/lineages/1'

void t.test('of two who create one object at once exactly one does, a hundred times', needs('versitygw'), async t => {
  const server = await S3Server.start(t)
  const [one, other] = [await server.open('race'), await server.open('race')].map(root => root.storage(folder))
  if (one === undefined || other === undefined) return
  let wrong = 0
  const wins = [0, 0]
  for (let round = 0; round < 100; round++) {
    const name = `decisions/${round}`
    const told = await Promise.all([one.create(name, bytes('one')), other.create(name, bytes('other'))])
    const winner = told.indexOf('created')
    const read = new TextDecoder().decode(await one.read(name))
    if (told.lastIndexOf('created') !== winner || read !== ['one', 'other'][winner]) wrong++
    else wins[winner] = (wins[winner] ?? 0) + 1
  }
  t.equal(wrong, 0, `the one won ${wins[0]} times, the other ${wins[1]} times`)
})

void t.test(
  'a server that does what is asked passes the try at start, which leaves nothing',
  needs('versitygw'),
  async t => {
    const server = await S3Server.start(t)
    const root = await server.open('some/prefix')
    await root.verify('job')
    t.same(await root.storage('job').list('probe'), [])
    t.same(await root.jobs(), [])
  }
)

void t.test('wrong credentials and a missing bucket are refused at start, and named', needs('versitygw'), async t => {
  const server = await S3Server.start(t)
  const right = server.options('p')
  const secret = { ...right.credentials, secretAccessKey: 'a guess' }
  await t.rejects((await S3Root.open({ ...right, credentials: secret }, nodeClock)).verify('job'), {
    code: 'STORAGE_REFUSED',
    message: /403 SignatureDoesNotMatch/,
    remedy: /AWS_SECRET_ACCESS_KEY/
  })
  const user = { ...right.credentials, accessKeyId: 'nobody' }
  await t.rejects((await S3Root.open({ ...right, credentials: user }, nodeClock)).verify('job'), {
    code: 'STORAGE_REFUSED',
    message: /No user exists/,
    remedy: /AWS_ACCESS_KEY_ID/
  })
  const url = right.url.replace(/[^/]+$/, 'another')
  await t.rejects(
    (await S3Root.open({ ...right, credentials: user }, nodeClock)).storage(folder).read('job-key'),
    { code: 'STORAGE_FAILED' },
    'whoever may not look does not see that there is nothing, though this server answers 404'
  )
  const missing = await S3Root.open({ ...right, url }, nodeClock)
  await t.rejects(missing.verify('job'), { code: 'STORAGE_REFUSED', message: /404 NoSuchBucket/, remedy: /Make the/ })
  await t.rejects(missing.storage(folder).read('job-key'), { code: 'STORAGE_FAILED', message: /NoSuchBucket/ })
})

void t.test('what is changed on the way is refused by the server', needs('versitygw'), async t => {
  const server = await S3Server.start(t)
  const storage = (await server.open('p')).storage(folder)
  const real = globalThis.fetch
  t.teardown(() => (globalThis.fetch = real))
  globalThis.fetch = (url, init) =>
    real(url, init?.body instanceof Uint8Array ? { ...init, body: bytes('changed') } : init)
  await t.rejects(storage.create('a', bytes('as sent')), {
    code: 'STORAGE_FAILED',
    message: /XAmzContentSHA256Mismatch/
  })
  globalThis.fetch = real
  t.equal(await storage.read('a'), undefined)
})

void t.test(
  'a decision that cannot be stored since the server is away is stored when it is back',
  needs('versitygw'),
  async t => {
    const server = await S3Server.start(t)
    const storage = (await server.open('p')).storage(folder)
    const log = await DecisionLog.open(storage, () => 'nonce')
    t.same(await log.append(leads(1)), { kind: 'appended' })
    await server.kill()
    await t.rejects(log.append(leads(2)), { code: 'STORAGE_FAILED', message: /PUT: ECONNREFUSED/ })
    const coming = log.append(leads(2)).catch(() => log.append(leads(2)))
    await server.restart()
    t.same(await coming, { kind: 'appended' })
    t.equal((await DecisionLog.open(storage, () => 'other')).generation, 2)
  }
)

void t.test(
  'an answer that is lost on the way makes nothing twice, and nobody wins who did not',
  needs('versitygw'),
  async t => {
    const server = await S3Server.start(t)
    const proxy = await CuttingProxy.start(t, server.port)
    const storage = (await server.open('p', proxy.port)).storage(folder)
    const direct = (await server.open('p')).storage(folder)
    for (let cuts = 1; cuts <= 4; cuts++) {
      proxy.cuts = cuts
      t.equal(await storage.create(`deltas/${cuts}`, bytes('mine')), 'created', `${cuts} answers lost`)
      t.equal(proxy.cuts, 0)
    }
    await direct.create('deltas/theirs', bytes('mine'))
    proxy.cuts = 2
    t.equal(await storage.create('deltas/theirs', bytes('mine')), 'exists', 'equal bytes of somebody else are not ours')
    proxy.cuts = 100
    await t.rejects(storage.create('deltas/unknown', bytes('mine')), { code: 'STORAGE_FAILED' })
    proxy.cuts = 0
    t.same(await direct.read('deltas/unknown'), bytes('mine'), 'it had been done')
    t.equal(await storage.create('deltas/unknown', bytes('mine')), 'exists')
  }
)

void t.test('a listing of more than one page of a real server is whole', needs('versitygw'), async t => {
  const server = await S3Server.start(t)
  const storage = (await server.open('p')).storage(folder)
  const names = Array.from({ length: 1005 }, (_, i) => String(i).padStart(12, '0'))
  await server.fill(`p/${folder}/decisions`, names)
  t.same(await storage.list('decisions'), names)
})
