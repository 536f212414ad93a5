/** Several worker processes, a real NATS and real connections: kill -9, drain, SIGTERM and a restart, and the output is exact. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { NatsServer } from '../support/nats-server.ts'
import { needs } from '../support/services.ts'
import { cairnBin, WorkerProcess, type ClusterPlace } from '../support/worker-process.ts'

t.setTimeout(600_000)

const keys = 50

const perSource = 20_000

/**
 * Balances by account, each transfer sent on to another account: two exchanges. While there is a file `hold`, each transfer takes so long to read
 * that the job does not end before the test is done with it.
 */
const jobText = `
import { existsSync } from 'node:fs'
import { Actor, files, generator, job, json } from 'cairn'

const pause = new Int32Array(new SharedArrayBuffer(4))
const transfer = (n, source) => {
  if (existsSync('hold')) Atomics.wait(pause, 0, 0, 10)
  return { id: source + '-' + n, from: (n * 7 + source) % ${keys}, to: (n * 13 + source) % ${keys}, amount: 1 + (n % 100) }
}

class Account extends Actor {
  static actorName = 'Account'
  balance = 0
  receive(transfer, ctx) {
    this.balance -= transfer.amount
    ctx.send(Inbox, 'a' + transfer.to, transfer)
    ctx.emit({ id: transfer.id, from: ctx.key, balance: this.balance })
  }
}
class Inbox extends Actor {
  static actorName = 'Inbox'
  received = 0
  receive(transfer, ctx) {
    this.received += transfer.amount
    ctx.emit({ id: transfer.id, to: ctx.key, received: this.received })
  }
}
export default job('transfers', j => {
  const transfers = j.source('transfers', generator({ count: ${perSource}, partitions: 3 }, transfer))
  const sent = transfers.keyBy(each => 'a' + each.from).actor(Account, { sends: [Inbox] })
  return {
    sent: sent.to('sent', files('out/sent', json())),
    received: j.actor(Inbox).to('received', files('out/received', json()))
  }
}, { slots: 12, interval: '200ms' })
`

interface Transfer {
  readonly id: string
  readonly from: number
  readonly to: number
  readonly amount: number
}

function place(t: Test, nats: NatsServer): ClusterPlace {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-cluster-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
  writeFileSync(join(folder, 'transfers.mjs'), jobText)
  writeFileSync(join(folder, 'hold'), '')
  return { folder, job: 'transfers.mjs', nats: `nats://127.0.0.1:${nats.port}` }
}

/** What the job makes up, counted by hand. */
const transfers = [0, 1, 2].flatMap(source =>
  Array.from({ length: perSource }, (_, n): Transfer => ({
    id: `${source}-${n}`,
    from: (n * 7 + source) % keys,
    to: (n * 13 + source) % keys,
    amount: 1 + (n % 100)
  }))
)

const rows = (folder: string): Record<string, unknown>[] =>
  readdirSync(folder)
    .filter(name => name.endsWith('.ndjson') && !name.startsWith('.'))
    .sort()
    .flatMap(name => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Record<string, unknown>)

function right(t: Test, { folder }: ClusterPlace): void {
  const sent = rows(join(folder, 'out/sent'))
  const received = rows(join(folder, 'out/received'))
  const ids = transfers
    .map(({ id }) => id)
    .sort()
    .join()
  const idsOf = (list: readonly Record<string, unknown>[]): string =>
    list
      .map(({ id }) => id)
      .sort()
      .join()
  t.ok(idsOf(sent) === ids, `every transfer was sent once (${sent.length})`)
  t.ok(idsOf(received) === ids, `and received once (${received.length})`)
  const balances = new Map<unknown, number>()
  for (const { from, balance } of sent) balances.set(from, Math.min(balances.get(from) ?? 0, Number(balance)))
  const expected = new Map<unknown, number>()
  for (const { from, amount } of transfers) expected.set(`a${from}`, (expected.get(`a${from}`) ?? 0) - amount)
  t.same([...balances].sort(), [...expected].sort(), 'and the balances are those of all transfers')
}

const cairn = async (at: ClusterPlace, ...args: string[]): Promise<string> => {
  const flags = ['--nats', at.nats, '--storage', join(at.folder, 'storage')]
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [cairnBin, ...args, ...flags], {
    cwd: at.folder
  })
  return `${stdout}${stderr}`
}

/** Something new of every sink came out. */
async function progress({ folder }: ClusterPlace): Promise<void> {
  const count = (): number => {
    try {
      return readdirSync(join(folder, 'out/received')).length
    } catch {
      return 0
    }
  }
  const before = count()
  while (count() <= before) await new Promise(resolve => setTimeout(resolve, 20))
}

void t.test('workers are killed, drained, stopped and started again', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const at = place(t, nats)
  const flags = ['--lost-after', '2s']
  const start = (name: string): WorkerProcess => new WorkerProcess(t, at, name, ...flags)
  const [w1, w2, w3] = [start('w1'), start('w2'), start('w3')]
  await Promise.all([w1.runs(), w2.runs(), w3.runs()])
  await progress(at)

  const status = await cairn(at, 'cluster', 'status', 'transfers')
  t.match(status, /job "transfers": running, generation \d+/)
  t.match(status, /w1 .*\n.*w2 .*\n.*w3 /)

  t.match(await cairn(at, 'job', 'rescale', 'transfers', '--tasks', '2'), /runs 2 tasks in each worker/)
  w2.kill()
  t.equal(await w2.exited, 'SIGKILL')
  const again = start('w2')
  await again.runs()
  await progress(at)

  t.match(await cairn(at, 'worker', 'drain', 'w3', '--job', 'transfers'), /worker "w3" is gone/)
  t.equal(await w3.exited, 0)

  const leader = [w1, again].find(({ said }) => said.some(({ message }) => message === 'leads')) ?? w1
  leader.kill()
  await leader.exited
  const left = leader === w1 ? again : w1
  const w4 = start('w4')
  await w4.runs()
  await progress(at)
  t.match(await cairn(at, 'cluster', 'status', 'transfers'), /2 tasks in each worker/, 'whoever leads')

  // One after the other gives way to a new one.
  const last = start('w5')
  await last.runs()
  rmSync(join(at.folder, 'hold'))
  for (const old of [left, w4]) {
    old.kill('SIGTERM')
    t.equal(await old.exited, 0, old.text)
  }
  t.equal(await last.exited, 0, last.text)
  right(t, at)
})

void t.test(
  'SIGTERM to all of them takes a last checkpoint; started again, they go on',
  needs('nats-server'),
  async t => {
    const nats = await NatsServer.start(t)
    const at = place(t, nats)
    const first = ['w1', 'w2'].map(name => new WorkerProcess(t, at, name))
    await Promise.all(first.map(worker => worker.runs()))
    await progress(at)
    for (const worker of first) worker.kill('SIGTERM')
    for (const worker of first) t.equal(await worker.exited, 0, worker.text)
    rmSync(join(at.folder, 'hold'))
    const second = ['w1', 'w2'].map(name => new WorkerProcess(t, at, name))
    for (const worker of second) t.equal(await worker.exited, 0, worker.text)
    right(t, at)
  }
)

void t.test('what is wrong is said at once, and nothing is made', needs('nats-server'), async t => {
  const nats = await NatsServer.start(t)
  const at = place(t, nats)
  const fails = (...args: string[]): Promise<string> =>
    cairn(at, ...args).then(
      said => `it does not fail, and says ${said}`,
      (error: unknown) => (error as { readonly stderr: string }).stderr
    )
  t.match(await fails('cluster', 'status', 'transfers.mjs'), /NOT_FOUND: no worker of this job has ever run/)
  t.match(
    await fails('worker', 'start', 'transfers.mjs', '--listen', 'nowhere'),
    /USAGE: --listen "nowhere": it is not of the form host:port/
  )
  t.match(await fails('worker', 'start', 'transfers.mjs', '--tls-ca', 'ca.pem'), /needs all of --tls-ca/)
  await nats.kill()
  t.match(await fails('worker', 'start', 'transfers.mjs'), /BUS_UNREACHABLE: NATS at/)
})
