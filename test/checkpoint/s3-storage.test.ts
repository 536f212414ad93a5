/** Checkpoint storage on S3: what it makes of lost answers, refusals and servers that do not do what is asked of them. */
import t, { type Test } from 'tap'
import { loadSigner } from '../../checkpoint/adapters/s3/load-signer.ts'
import { parseListing } from '../../checkpoint/adapters/s3/listing.ts'
import { parseS3 } from '../../checkpoint/adapters/s3/s3-options.ts'
import { DecisionLog, type Decision } from '../../checkpoint/decision-log.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { verdict } from '../runtime/ports/judge.ts'
import { testStorage } from '../runtime/ports/storage-conformance.ts'
import { S3Double, type Accident, type S3Mistake } from '../support/s3-double.ts'

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const folder = 'job/lineages/1'

async function onDouble(t: Test, mistake?: S3Mistake): Promise<{ double: S3Double; storage: CheckpointStorage }> {
  const double = await S3Double.start(t, mistake)
  return { double, storage: (await double.open()).storage(folder) }
}

/** The first so many PUTs go so. */
function first(double: S3Double, ...accidents: readonly Accident[]): void {
  const left = [...accidents]
  double.accident = method => (method === 'PUT' ? left.shift() : undefined)
}

/** The servers end with `t`. */
const conformance = (t: Test, mistake?: S3Mistake, judge = t): Promise<void> =>
  testStorage(judge, async () => {
    const root = await (await S3Double.start(t, mistake)).open()
    return { open: () => root.storage(folder), run: work => work() }
  })

void t.test('it keeps the rules of storage', t => conformance(t))

for (const mistake of [
  'no condition',
  'looks first, writes then',
  'first page only',
  'condition not known',
  'metadata of whoever was refused'
] as const)
  void t.test(`the rules of storage catch a server with the mistake: ${mistake}`, async t => {
    const found = await verdict(judge => conformance(t, mistake, judge))
    t.type(found, 'string', `caught: ${found}`)
  })

void t.test('a server that ignores ranges costs bandwidth, no more', t => conformance(t, 'no ranges'))

const accidents: Readonly<Record<string, Accident>> = {
  'cut before it is done': { kind: 'cut', done: false },
  'cut after it is done': { kind: 'cut', done: true },
  'answered 500 before it is done': { kind: 'status', status: 500 },
  'answered 500 after it is done': { kind: 'status', status: 500, done: true },
  'answered 503 Slow Down': { kind: 'status', status: 503, code: 'SlowDown' },
  'answered 409, since somebody is at the same object': { kind: 'status', status: 409 },
  'answered 429': { kind: 'status', status: 429 }
}

for (const [name, accident] of Object.entries(accidents))
  void t.test(`a write that is ${name} is made once, and told so to who made it`, async t => {
    const { double, storage } = await onDouble(t)
    first(double, accident, accident)
    t.equal(await storage.create('decisions/1', bytes('mine')), 'created')
    t.equal(await storage.create('decisions/1', bytes('mine')), 'exists')
    t.same(await storage.read('decisions/1'), bytes('mine'))
  })

void t.test('who lost the race behind a lost answer is told so, also when the bytes are equal', async t => {
  const { double, storage } = await onDouble(t)
  let raced: string | undefined
  double.accident = method => {
    if (method !== 'PUT' || raced !== undefined) return undefined
    raced = 'under way'
    return { kind: 'cut', done: false }
  }
  const mine = storage.create('decisions/1', bytes('equal'))
  while (raced === undefined) await new Promise(resolve => setImmediate(resolve))
  const other = (await double.open()).storage(folder)
  const told = await Promise.all([mine, other.create('decisions/1', bytes('equal'))])
  t.same([...told].sort(), ['created', 'exists'])
})

void t.test('an outcome that stays unknown rejects; asked again, it is found out', async t => {
  const { double, storage } = await onDouble(t)
  double.accident = () => ({ kind: 'cut', done: true })
  await t.rejects(storage.create('decisions/1', bytes('mine')), { code: 'STORAGE_FAILED' })
  t.equal(double.requests.length, 2 + 3, 'one PUT is done, the second is told 412, and nobody says by whom it was made')
  double.accident = () => undefined
  t.equal(await storage.create('decisions/1', bytes('mine')), 'exists')
  t.same(await storage.read('decisions/1'), bytes('mine'))
})

void t.test('the decision log knows its own append behind any of these accidents', async t => {
  const { double, storage } = await onDouble(t)
  const log = await DecisionLog.open(storage, () => 'nonce')
  const decision = (generation: number): Decision => ({ kind: 'leads', worker: 'w1', generation })
  let generation = 0
  for (const accident of Object.values(accidents)) {
    first(double, accident, accident)
    t.same(await log.append(decision(++generation)), { kind: 'appended' })
  }
  double.accident = (method, path) =>
    method === 'GET' ? { kind: 'status', status: 500 } : path.endsWith('007') ? { kind: 'cut', done: true } : undefined
  await t.rejects(log.append(decision(++generation)), { code: 'STORAGE_FAILED' })
  double.accident = () => undefined
  t.same(await log.append(decision(generation)), { kind: 'appended' })
  t.equal((await DecisionLog.open(storage, () => 'other')).generation, generation)
})

void t.test('a server that is silent is given up after a while', async t => {
  const double = await S3Double.start(t)
  const storage = (await double.open({ timeoutMs: 20, attempts: 2 })).storage(folder)
  double.accident = () => ({ kind: 'silence' })
  await t.rejects(storage.read('a'), { code: 'STORAGE_FAILED', message: /GET: no answer within \d+ ms/ })
  t.equal(double.requests.length, 2)
  await t.rejects(storage.create('a', bytes('a')), { code: 'STORAGE_FAILED', message: /PUT: no answer/ })
})

void t.test('a bucket that is missing is no object that is missing', async t => {
  const double = await S3Double.start(t)
  const { url } = double.options()
  const storage = (await double.open({ url: url.replace(/bucket$/, 'bukket') })).storage(folder)
  await t.rejects(storage.read('a'), { code: 'STORAGE_FAILED', message: /404 NoSuchBucket: as "ordered"/ })
  await t.rejects(storage.remove('a'), { code: 'STORAGE_FAILED' })
  await t.rejects(storage.list('a'), { code: 'STORAGE_FAILED' })
  await t.rejects(storage.create('a', bytes('a')), { code: 'STORAGE_FAILED' })
})

void t.test('the try at start finds what a server does not do, and leaves nothing', async t => {
  const cases: Readonly<Partial<Record<S3Mistake, RegExp>>> = {
    'condition not known': /does not know conditional writes \(501 NotImplemented/,
    'no condition': /a second write .* was answered 200, not 412/,
    'looks first, writes then': /of 8 who created one object at once, \d were told that they did/,
    'no metadata': /not read as it was written, or without its metadata/,
    'metadata of whoever was refused': /not read as it was written, or without its metadata/
  }
  for (const [mistake, message] of Object.entries(cases)) {
    const double = await S3Double.start(t, mistake as S3Mistake)
    await t.rejects((await double.open()).verify('job'), { code: 'STORAGE_REFUSED', message }, mistake)
    t.equal(double.objects.size, 0, 'nothing is left')
  }
  const double = await S3Double.start(t)
  first(double, { kind: 'cut', done: true })
  t.equal(await (await double.open()).verify('job'), undefined, 'a lost answer is no mistake')
  t.equal(double.objects.size, 0)
  double.accident = () => ({ kind: 'status', status: 403, code: 'SignatureDoesNotMatch' })
  await t.rejects((await double.open()).verify('job'), { code: 'STORAGE_REFUSED', remedy: /AWS_ACCESS_KEY_ID/ })
  double.accident = () => ({ kind: 'cut', done: false })
  await t.rejects((await double.open()).verify('job'), { code: 'STORAGE_FAILED' }, 'nobody there may be there later')
})

void t.test('a listing goes through all pages, and ends with a server that repeats one', async t => {
  const { storage } = await onDouble(t)
  const names = Array.from({ length: 7 }, (_, i) => `m-${i}`)
  for (const name of names) await storage.create(`deltas/${name}`, bytes(name))
  t.same(await storage.list('deltas'), names)
  const repeating = await onDouble(t, 'listing of the page before')
  for (const name of names) await repeating.storage.create(`deltas/${name}`, bytes(name))
  await t.rejects(repeating.storage.list('deltas'), { code: 'STORAGE_FAILED', message: /is no listing/ })
})

void t.test('what is no listing is not taken for an empty one', async t => {
  t.equal(parseListing('<html>welcome</html>'), undefined)
  t.equal(parseListing('<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>'), undefined)
  t.same(parseListing('<ListBucketResult xmlns="x"><Contents><Key>a&amp;b&#x21;</Key></Contents></ListBucketResult>'), {
    keys: ['a&b!'],
    prefixes: [],
    next: undefined
  })
  t.same(parseListing('<ListBucketResult/>'), { keys: [], prefixes: [], next: undefined })
})

void t.test('jobs and lineages are found, and each has its own', async t => {
  const double = await S3Double.start(t)
  const root = await double.open()
  for (const [job, lineage] of [
    ['orders', 1],
    ['orders', 2],
    ['orders', 10],
    ['shop', 1]
  ] as const)
    await root
      .lineages(job)
      .storage(lineage)
      .create('job-key', bytes(`${job} ${lineage}`))
  t.same(await root.jobs(), ['orders', 'shop'])
  t.same(await root.lineages('orders').list(), [1, 2, 10])
  t.same(await root.lineages('nobody').list(), [])
  t.same(await root.lineages('shop').storage(1).read('job-key'), bytes('shop 1'))
  t.ok(double.objects.has('of/jobs/orders/lineages/2/job-key'))
})

const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 's' }

void t.test('what names a bucket: address, prefix, endpoint, region and style', async t => {
  const of = (text: string, environment = {}) => parseS3(text, { ...keys, ...environment })
  t.match(of('s3://shop'), { url: 'https://shop.s3.us-east-1.amazonaws.com', prefix: '', shown: 's3://shop' })
  t.match(of('s3://shop/a/b/?region=eu-west-1'), {
    url: /shop\.s3\.eu-west-1\./,
    prefix: 'a/b/',
    shown: 's3://shop/a/b'
  })
  t.match(of('s3://shop?endpoint=http://s3:9000'), { url: 'http://s3:9000/shop', region: 'us-east-1' })
  t.match(of('s3://shop?endpoint=https://s3.example&style=host'), { url: 'https://shop.s3.example' })
  t.match(of('s3://shop?style=path'), { url: 'https://s3.us-east-1.amazonaws.com/shop' })
  t.match(of('s3://shop', { AWS_REGION: 'eu-1', AWS_ENDPOINT_URL_S3: 'http://a:1', AWS_SESSION_TOKEN: 't' }), {
    url: 'http://a:1/shop',
    region: 'eu-1',
    credentials: { sessionToken: 't' }
  })
})

void t.test('all that is wrong with it is said at once, without secrets', async t => {
  const text = 's3://B/../x y?endpoint=ftp://u:p@h&colour=red&style=round&region=a&region=b'
  try {
    parseS3(text, {})
    t.fail('it is taken')
  } catch (error) {
    const { message, code } = error as { message: string; code: string }
    t.equal(code, 'OPTION_INVALID')
    for (const part of [
      '"B" is no name',
      '".." cannot',
      '"x y" cannot',
      '"colour" is unknown',
      '"region" is given twice',
      '"round"',
      'ftp:',
      'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY'
    ])
      t.ok(message.includes(part), `${part} in ${message}`)
  }
})

void t.test('a signer that is not installed is named, with what installs it', async t => {
  const missing = Object.assign(new Error('no'), { code: 'ERR_MODULE_NOT_FOUND' })
  await t.rejects(
    loadSigner(() => Promise.reject(missing)),
    { code: 'PACKAGE_MISSING', remedy: 'npm install aws4fetch@1' }
  )
  t.ok((await loadSigner()).AwsV4Signer)
})
