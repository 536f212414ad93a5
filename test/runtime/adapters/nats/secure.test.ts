/** NATS with TLS and with credential files, on a real server. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { nkeys } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { connectNats, type NatsBus } from '../../../../runtime/adapters/nats/nats-bus.ts'
import type { NatsTls } from '../../../../runtime/adapters/nats/nats-options.ts'
import { certificates, withOpenssl } from '../../../support/certificates.ts'
import { NatsServer } from '../../../support/nats-server.ts'
import { needs } from '../../../support/services.ts'
import { testControlBus } from '../../ports/control-bus-conformance.ts'
import { natsControlBus, open, quick, sleep } from './nats-subjects.ts'

const real = needs('nats-server')
const secure = { ...real, ...withOpenssl }

/** A server that asks for certificates, too. */
const demanding = (folder: string): string => `
tls { cert_file: "${join(folder, 'worker.pem')}", key_file: "${join(folder, 'worker.key')}", ca_file: "${join(folder, 'ca.pem')}", verify: true }
`

async function passes(bus: NatsBus): Promise<boolean> {
  let heard = false
  const end = bus.subscribe('job.a', () => (heard = true))
  for (let i = 0; i < 500 && !heard; i++) {
    bus.publish('job.a', new Uint8Array(1))
    await sleep(10)
  }
  end()
  return heard
}

void t.test('the rules of the port over TLS with certificates on both sides, outages included', secure, t => {
  const { folder, worker } = certificates(t)
  return testControlBus(t, t => natsControlBus(t, demanding(folder), { tls: worker }))
})

void t.test('a server that was wiped is found again over TLS', secure, async t => {
  const { folder, worker } = certificates(t)
  const server = await NatsServer.start(t, { configuration: demanding(folder) })
  const bus = await open(t, { ...quick(server), servers: [`tls://${server.address}`], tls: worker })
  t.not(await bus.leases.put('leader', new Uint8Array(1), undefined), 'conflict')
  await server.restartEmpty()
  t.ok(await passes(bus))
  t.equal(await bus.leases.get('leader'), undefined)
  t.not(await bus.leases.put('leader', new Uint8Array(1), undefined), 'conflict')
})

void t.test('who does not know the other by its authority does not speak to it', secure, async t => {
  const { folder, worker, stranger } = certificates(t)
  const server = await NatsServer.start(t, { configuration: demanding(folder) })
  const plain = await NatsServer.start(t)
  const fails = (to: NatsServer, tls: NatsTls): Promise<unknown> =>
    t.rejects(connectNats({ ...quick(to), connectTimeoutMs: 1_000, tls }), { code: /^BUS_(UNREACHABLE|REFUSED)$/ })
  await fails(server, { ca: worker.ca as string })
  await fails(server, { ...stranger, ca: worker.ca as string })
  await fails(server, stranger)
  await fails(server, {})
  await fails(plain, worker)
  await fails(
    await NatsServer.start(t, { configuration: demanding(folder).replaceAll('worker.', 'elsewhere.') }),
    worker
  )
  t.ok(await passes(await open(t, { ...quick(server), tls: worker })))
})

/** A claim as `nsc` writes it, signed by whoever issues it. */
function claim(issuer: nkeys.KeyPair, subject: nkeys.KeyPair, name: string, nats: object): string {
  const part = (of: object): string => Buffer.from(JSON.stringify(of)).toString('base64url')
  const body = {
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name,
    iat: Math.floor(Date.now() / 1000),
    nats
  }
  const jti = createHash('sha256').update(JSON.stringify(body)).digest('hex')
  const signed = `${part({ typ: 'JWT', alg: 'ed25519-nkey' })}.${part({ ...body, jti })}`
  return `${signed}.${Buffer.from(issuer.sign(Buffer.from(signed))).toString('base64url')}`
}

/** An operator, an account with JetStream, and users of it. */
class Operator {
  /** In the server's configuration. */
  readonly configuration: string
  private readonly folder: string
  private readonly operator = nkeys.createOperator()
  private readonly account = nkeys.createAccount()
  private readonly system = nkeys.createAccount()

  constructor(t: Test) {
    this.folder = mkdtempSync(join(tmpdir(), 'cairn-creds-'))
    t.teardown(() => rmSync(this.folder, { recursive: true }))
    this.configuration = `include "../${basename(this.folder)}/accounts.conf"`
    this.admit([])
  }

  /** Writes the accounts; users of the list are let in no more by whoever reads them anew. */
  admit(revoked: readonly nkeys.KeyPair[]): void {
    const { operator, account, system } = this
    const revocations = Object.fromEntries(
      revoked.map(user => [user.getPublicKey(), Math.floor(Date.now() / 1000) + 1])
    )
    const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
    const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }
    const accounts = [
      [account, { type: 'account', version: 2, limits: { ...limits, ...jetStream }, revocations }],
      [system, { type: 'account', version: 2, limits }]
    ] as const
    const operatorClaim = claim(operator, operator, 'operator', {
      type: 'operator',
      version: 2,
      system_account: system.getPublicKey()
    })
    const preload = accounts.map(([key, nats]) => `  ${key.getPublicKey()}: ${claim(operator, key, 'account', nats)}`)
    writeFileSync(
      join(this.folder, 'accounts.conf'),
      `operator: ${operatorClaim}
system_account: ${system.getPublicKey()}
resolver: MEMORY
resolver_preload {
${preload.join('\n')}
}
`
    )
  }

  /** A user's `.creds` file of that name. */
  credentials(name: string): { readonly path: string; readonly user: nkeys.KeyPair } {
    const user = nkeys.createUser()
    const token = claim(this.account, user, name, { type: 'user', version: 2, subs: -1, data: -1, payload: -1 })
    const seed = new TextDecoder().decode(user.getSeed())
    const path = join(this.folder, `${name}.creds`)
    writeFileSync(
      path,
      `-----BEGIN NATS USER JWT-----
${token}
------END NATS USER JWT------

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------
`
    )
    return { path, user }
  }
}

void t.test('the rules of the port with a file of credentials, in operator mode', real, t => {
  const operator = new Operator(t)
  const { path } = operator.credentials('worker')
  return testControlBus(t, t => natsControlBus(t, operator.configuration, { credentials: { kind: 'file', path } }))
})

void t.test('credentials that are replaced while the job runs are used at the next connection', real, async t => {
  const operator = new Operator(t)
  const server = await NatsServer.start(t, { configuration: operator.configuration })
  const { path, user } = operator.credentials('worker')
  const bus = await open(t, { ...quick(server), credentials: { kind: 'file', path } })
  t.ok(await passes(bus))
  const old = readFileSync(path)
  writeFileSync(path, readFileSync(operator.credentials('next').path))
  operator.admit([user])
  await server.restart()
  t.ok(await passes(bus))
  writeFileSync(path, old)
  await t.rejects(connectNats({ ...quick(server), credentials: { kind: 'file', path } }), { code: 'BUS_REFUSED' })
})

void t.test('credentials that are none, or of another operator, are refused and named', real, async t => {
  const operator = new Operator(t)
  const server = await NatsServer.start(t, { configuration: operator.configuration })
  const connect = (path: string): Promise<NatsBus> =>
    connectNats({ ...quick(server), connectTimeoutMs: 1_000, credentials: { kind: 'file', path } })
  await t.rejects(connect(new Operator(t).credentials('stranger').path), {
    code: 'BUS_REFUSED',
    message: /Authorization/
  })
  const { path } = operator.credentials('broken')
  writeFileSync(path, 'no credentials')
  await t.rejects(connect(path), { code: 'OPTION_INVALID', message: /broken\.creds" holds no JWT/ })
  await t.rejects(connectNats(quick(server)), { code: 'BUS_REFUSED' })
})
