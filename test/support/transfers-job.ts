/** A job for clusters whose output can be counted by hand, and the places where a test runs it. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { cairnBin, storageOf, type ClusterPlace } from './worker-process.ts'

const keys = 50

/**
 * Balances by account, each transfer sent on to another account: two exchanges. While there is a file `hold`, each transfer takes so long to read
 * that the job does not end before the test is done with it.
 */
const jobText = (name: string, perSource: number): string => `
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
export default job('${name}', j => {
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

/** What the job makes up, counted by hand. */
const transfersOf = (perSource: number): Transfer[] =>
  [0, 1, 2].flatMap(source =>
    Array.from({ length: perSource }, (_, n) => ({
      id: `${source}-${n}`,
      from: (n * 7 + source) % keys,
      to: (n * 13 + source) % keys,
      amount: 1 + (n % 100)
    }))
  )

const rows = (folder: string, prefix = ''): Record<string, unknown>[] =>
  readdirSync(folder)
    .filter(name => name.endsWith('.ndjson') && !name.startsWith('.') && name.startsWith(prefix))
    .sort()
    .flatMap(name => readFileSync(join(folder, name), 'utf8').trimEnd().split('\n'))
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Record<string, unknown>)

const idsOf = (list: readonly { readonly id?: unknown }[]): string =>
  list
    .map(({ id }) => id)
    .sort()
    .join()

export interface PlaceOptions {
  readonly perSource?: number
  /** Default: a folder of the test. */
  readonly storage?: string
  readonly environment?: ClusterPlace['environment']
}

/** One job, held back until `release`. */
export class TransfersJob {
  readonly name: string
  readonly at: ClusterPlace
  private readonly perSource: number

  constructor(t: Test, natsPort: number, name = 'transfers', options: PlaceOptions = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'cairn-cluster-'))
    t.teardown(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }))
    this.name = name
    this.perSource = options.perSource ?? 20_000
    writeFileSync(join(folder, 'job.mjs'), jobText(name, this.perSource))
    writeFileSync(join(folder, 'hold'), '')
    this.at = {
      folder,
      job: 'job.mjs',
      nats: `nats://127.0.0.1:${natsPort}`,
      ...(options.storage === undefined ? {} : { storage: options.storage }),
      ...(options.environment === undefined ? {} : { environment: options.environment })
    }
  }

  release(): void {
    rmSync(join(this.at.folder, 'hold'))
  }

  /** Something new came out. */
  async progress(): Promise<void> {
    const count = (): number => {
      try {
        return readdirSync(join(this.at.folder, 'out/received')).length
      } catch {
        return 0
      }
    }
    const before = count()
    while (count() <= before) await new Promise(resolve => setTimeout(resolve, 20))
  }

  /** Until none of the checkpoints that are kept now is kept any more. */
  async outlived(): Promise<void> {
    const kept = (): string[] =>
      readdirSync(storageOf(this.at), { encoding: 'utf8', recursive: true }).filter(name => /manifests\/./.test(name))
    const before = kept()
    for (let now = before; now.some(name => before.includes(name)); now = kept())
      await new Promise(resolve => setTimeout(resolve, 20))
  }

  /** All output is there, and none of it twice. */
  right(t: Test): void {
    const transfers = transfersOf(this.perSource)
    const sent = rows(join(this.at.folder, 'out/sent'))
    const received = rows(join(this.at.folder, 'out/received'))
    const ids = idsOf(transfers)
    t.ok(idsOf(sent) === ids, `every transfer was sent once (${sent.length})`)
    t.ok(idsOf(received) === ids, `and received once (${received.length})`)
    const balances = new Map<unknown, number>()
    for (const { from, balance } of sent) balances.set(from, Math.min(balances.get(from) ?? 0, Number(balance)))
    const expected = new Map<unknown, number>()
    for (const { from, amount } of transfers) expected.set(`a${from}`, (expected.get(`a${from}`) ?? 0) - amount)
    t.same([...balances].sort(), [...expected].sort(), 'and the balances are those of all transfers')
  }

  /** It went back: the output of the newer lineage is there once, and with that of the older one it is all. */
  rightInLineage(t: Test, lineage: number): void {
    const all = transfersOf(this.perSource).map(({ id }) => id)
    for (const sink of ['sent', 'received']) {
      const folder = join(this.at.folder, 'out', sink)
      const newer = rows(folder, `${String(lineage).padStart(3, '0')}.`).map(({ id }) => id)
      t.equal(new Set(newer).size, newer.length, `${sink}: each once (${newer.length})`)
      t.ok(newer.length < all.length, 'what came before the savepoint was not made again')
      t.same(new Set(rows(folder).map(({ id }) => id)), new Set(all), `${sink}: all of them`)
    }
  }

  /** A command that knows the cluster. */
  cluster(...args: string[]): Promise<string> {
    return this.cairn(...args, '--nats', this.at.nats)
  }

  /** The built command line with this job's storage: all that it says. */
  async cairn(...args: string[]): Promise<string> {
    const { folder, environment } = this.at
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      [cairnBin, ...args, '--storage', storageOf(this.at)],
      { cwd: folder, env: { ...process.env, ...environment } }
    )
    return `${stdout}${stderr}`
  }

  /** What the command says when it fails. */
  fails(...args: string[]): Promise<string> {
    return this.cairn(...args).then(
      said => `it does not fail, and says ${said}`,
      (error: unknown) => (error as { readonly stderr: string }).stderr
    )
  }
}
