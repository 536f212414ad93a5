/** The permissions that docs/nats.md lists suffice, are needed, and keep jobs apart. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { connectNats } from '../../../../runtime/adapters/nats/nats-bus.ts'
import type { NatsOptions } from '../../../../runtime/adapters/nats/nats-options.ts'
import type { CodedError } from '../../../../runtime/kernel/errors.ts'
import { NatsServer } from '../../../support/nats-server.ts'
import { needs } from '../../../support/services.ts'
import { testControlBus } from '../../ports/control-bus-conformance.ts'
import { natsControlBus, open, quick, sleep } from './nats-subjects.ts'

const real = needs('nats-server')
const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))
const [, documented = ''] =
  /^```\n(authorization \{[^]*?)^```$/m.exec(readFileSync(join(root, 'docs/nats.md'), 'utf8')) ?? []
/** The suite speaks on behalf of a job named `job`. */
const configuration = documented.replaceAll('orders', 'job')
const credentials = { kind: 'user', user: 'job', password: 'change-me' } as const

/** All that a job does, shortly. Rejects, or answers what was complained of. */
async function exercise(t: Test, server: NatsServer): Promise<CodedError[]> {
  const trouble: CodedError[] = []
  const options: NatsOptions = {
    ...quick(server),
    connectTimeoutMs: 500,
    leaseTtlMs: 60_000,
    credentials,
    troubled: error => trouble.push(error)
  }
  const bus = await open(t, options)
  let heard = false
  bus.subscribe('job.a', () => (heard = true))
  for (let i = 0; i < 50 && !heard; i++) {
    bus.publish('job.a', new Uint8Array(1))
    await sleep(10)
  }
  if (!heard) throw new Error('nothing is heard')
  const first = await bus.leases.put('leader', new Uint8Array(1), undefined)
  if (first === 'conflict') throw new Error('nobody else writes')
  await bus.leases.get('leader')
  await bus.leases.remove('leader', first.revision)
  await open(t, { ...options, leaseTtlMs: 30_000 })
  return trouble
}

void t.test('the documented permissions suffice for the rules of the port', real, t =>
  testControlBus(t, t => natsControlBus(t, configuration, { credentials }))
)

void t.test('none of them can be left out', real, async t => {
  const lines = [...configuration.matchAll(/^ +"[^"]+"\n/gm)].map(([line]) => line)
  t.equal(lines.length, 7)
  t.same(await exercise(t, await NatsServer.start(t, { configuration })), [])
  for (const [i, line] of lines.entries()) {
    // Empty lists would allow everything.
    const nothing = line.replace(/"[^"]+"/, '"nothing"')
    const at = i === lines.length - 1 ? configuration.lastIndexOf(line) : configuration.indexOf(line)
    const less = configuration.slice(0, at) + nothing + configuration.slice(at + line.length)
    const server = await NatsServer.start(t, { configuration: less })
    await t.rejects(exercise(t, server), { message: /./ }, `without ${line.trim()}`)
    await server.kill()
  }
})

void t.test('a job can neither hear nor disturb another job', real, async t => {
  const one = /\{\s+user:[^]*?\n {4}\}(?=\n)/.exec(configuration)?.[0] ?? ''
  const both = configuration.replace(one, `${one},${one.replaceAll('job', 'other')}`)
  const server = await NatsServer.start(t, { configuration: both })
  const bus = await open(t, { ...quick(server), credentials })
  const trouble: CodedError[] = []
  const stranger = await open(t, {
    ...quick(server),
    job: 'other',
    credentials: { ...credentials, user: 'other' },
    troubled: error => trouble.push(error)
  })
  const [mine, theirs]: string[][] = [[], []]
  bus.subscribe('job.a', () => mine?.push('heard'))
  stranger.subscribe('job.a', () => theirs?.push('heard'))
  stranger.publish('job.a', new Uint8Array(1))
  while (trouble.length < 2) await sleep(10)
  t.match(new Set(trouble.map(error => error.code)), new Set(['BUS_REFUSED']))
  bus.publish('job.a', new Uint8Array(1))
  while (mine?.length === 0) await sleep(10)
  t.same([mine, theirs], [['heard'], []])
  await t.rejects(connectNats({ ...quick(server), credentials: { ...credentials, user: 'other' } }), {
    code: 'BUS_REFUSED',
    message: /bucket "cairn_job".*[Pp]ermissions/
  })
})

void t.test('wrong credentials, and a server without JetStream, are refused with a reason', real, async t => {
  const server = await NatsServer.start(t, { configuration })
  const wrong = { kind: 'user', user: 'job', password: 'wrong' } as const
  await t.rejects(connectNats({ ...quick(server), credentials: wrong }), {
    code: 'BUS_REFUSED',
    message: /authorization/i
  })
  await t.rejects(connectNats(quick(server)), { code: 'BUS_REFUSED' })
  const plain = await NatsServer.start(t, { jetStream: false })
  await t.rejects(connectNats(quick(plain)), { code: 'BUS_REFUSED', message: /jetstream/i })
  const token = await NatsServer.start(t, { configuration: 'authorization { token: "secret" }' })
  const bus = await open(t, { ...quick(token), credentials: { kind: 'token', token: 'secret' } })
  t.equal(await bus.leases.get('leader'), undefined)
})
