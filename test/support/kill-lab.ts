/** A folder with the job of the kill test: runs it as people do, kills it, and reads everything that it leaves behind. */
import { spawn, type ChildProcess } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DirectoryStorage } from '../../checkpoint/adapters/directory-storage.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { readHead, stageRecords } from '../../checkpoint/recovery.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { root } from '../deploy/cairn-cli.ts'
import type { Opening, Payment } from '../deploy/fixtures/payments.ts'

const bin = join(root, 'deploy/bin/cairn.cjs')
const folders = ['opened', 'totals', 'audits', 'rush']
const topics = ['settled', 'shares', 'spells', 'payments-dead-letters']
/** Event time between two payments of a partition. */
const paymentEveryMs = 20
const nonce = (): string => 'reader'

/** Lines by key of each sink, records by key of each stage: equal for equal lives, whatever happened on the way. */
export type Remains = Record<string, Record<string, string[]>>

export interface RunOptions {
  readonly parallelism: number
  readonly store: 'memory' | 'level'
  /** Event time let through a second: makes a run last. Default: no limit. */
  readonly pace?: string
  /** Failpoints, see `cairn run`. */
  readonly killAt?: string
}

export interface Run {
  readonly child: ChildProcess
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null; stderr: string }>
}

export class KillLab {
  readonly folder = mkdtempSync(join(tmpdir(), 'cairn-kill-'))
  private readonly children = new Set<ChildProcess>()
  private paymentsPerPartition = 0

  static async create(inputs: Inputs): Promise<KillLab> {
    const lab = new KillLab()
    lab.paymentsPerPartition = inputs.payments[0]?.length ?? 0
    copyFileSync(join(root, 'test/deploy/fixtures/payments.ts'), join(lab.folder, 'payments.ts'))
    inputs.openings.forEach((text, i) => writeFileSync(join(lab.folder, `openings-${i}.ndjson`), text))
    mkdirSync(join(lab.folder, '.cairn/payments'), { recursive: true })
    const log = await EmbeddedLog.open(join(lab.folder, '.cairn/payments/log'), nodeClock)
    await log.createTopic('payments', inputs.payments.length)
    for (const [partition, list] of inputs.payments.entries()) await log.append('payments', partition, list)
    await log.close()
    return lab
  }

  start({ parallelism, store, pace, killAt }: RunOptions): Run {
    const child = spawn(
      process.execPath,
      [bin, 'run', 'payments.ts', '--interval', '50ms', '--parallelism', String(parallelism)],
      {
        cwd: this.folder,
        env: {
          ...process.env,
          STORE: store,
          ...(pace === undefined ? {} : { PACE: pace }),
          ...(killAt === undefined ? {} : { CAIRN_TEST_KILL_AT: killAt })
        },
        stdio: ['ignore', 'ignore', 'pipe']
      }
    )
    this.children.add(child)
    let stderr = ''
    child.stderr.on('data', chunk => (stderr += String(chunk)))
    const ended = new Promise<Awaited<Run['ended']>>(resolve =>
      child.on('close', (code, signal) => {
        this.children.delete(child)
        resolve({ code, signal, stderr })
      })
    )
    return { child, ended }
  }

  /** A pace at which the input lasts for so many runs more, however slow the machine is: slower, the longer they took so far. */
  async paceFor(runs: number): Promise<string> {
    const { head } = await readHead(this.storage(), 'payments', nonce)
    const payments = head?.manifest.sources.find(({ name }) => name === 'payments')
    const read = Math.max(0, ...(payments?.partitions ?? []).map(({ position }) => position))
    const leftMs = (this.paymentsPerPartition - read) * paymentEveryMs
    return `${Math.max(1, Math.round(leftMs / (runs + 10)))}ms`
  }

  /** Resolves once a checkpoint was decided after decision `last`, or the run has ended. */
  async decidedAfter(last: number, run: Run): Promise<void> {
    let over = false
    void run.ended.then(() => (over = true))
    while (!over && this.newestCheckpoint() <= last) await new Promise(resolve => setTimeout(resolve, 5))
  }

  /** Number of the newest decision that completes a checkpoint, -1 when there is none. */
  newestCheckpoint(): number {
    const folder = join(this.folder, '.cairn/payments/lineages/1/decisions')
    if (!existsSync(folder)) return -1
    const names = readdirSync(folder).filter(name => /^\d+$/.test(name))
    for (const name of names.sort().reverse())
      if (readFileSync(join(folder, name), 'utf8').includes('"kind":"completed"')) return Number(name)
    return -1
  }

  async remains(): Promise<Remains> {
    const remains: Remains = {}
    for (const sink of folders) remains[sink] = this.folderLines(sink)
    const log = await EmbeddedLog.open(join(this.folder, '.cairn/payments/log'), nodeClock)
    for (const topic of topics) remains[topic] = await topicLines(log, topic)
    await log.close()
    const storage = this.storage()
    const { head } = await readHead(storage, 'payments', nonce)
    if (head?.manifest.final !== true) throw new Error('the job has not finished')
    for (const stage of head.manifest.stages) {
      const records: Record<string, string[]> = (remains[`state of ${stage.name}`] = {})
      for await (const { key, value } of stageRecords(storage, head.manifest, stage))
        if (value !== undefined)
          (records[Buffer.from(key).toString('latin1')] ??= []).push(Buffer.from(value).toString('hex'))
    }
    return remains
  }

  remove(): void {
    for (const child of this.children) child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  private storage(): DirectoryStorage {
    return new DirectoryStorage(nodeFiles, join(this.folder, '.cairn/payments/lineages/1'))
  }

  private folderLines(sink: string): Record<string, string[]> {
    const byKey: Record<string, string[]> = {}
    const folder = join(this.folder, 'out', sink)
    for (const name of readdirSync(folder).sort()) {
      if (!name.endsWith('.ndjson')) continue
      for (const line of readFileSync(join(folder, name), 'utf8').split('\n')) if (line !== '') file(byKey, line)
    }
    return byKey
  }
}

async function topicLines(log: EmbeddedLog, topic: string): Promise<Record<string, string[]>> {
  const byKey: Record<string, string[]> = {}
  const reader = log.reader(topic, { bounded: true })
  for (const partition of (await reader.partitions()).keys())
    for (let position = 0; ;) {
      const got = await reader.fetch(partition, position, 1 << 20, 0)
      if (got.kind !== 'records') break
      for (let i = 0; i < got.batch.count; i++) file(byKey, new TextDecoder().decode(got.batch.value(i)))
      position = got.next
    }
  await reader.close()
  return byKey
}

/** Two outputs of the job are of two keys: then their order is that of each pair. */
function file(byKey: Record<string, string[]>, line: string): void {
  const value = JSON.parse(line) as Record<string, string | undefined>
  const key = [value['region'], value['account'] ?? value['branch'] ?? value['key'] ?? value['id']].join(' ')
  ;(byKey[key] ??= []).push(line)
}

/** One line per difference, ten at most for each sink or stage. */
export function differences(expected: Remains, got: Remains): string[] {
  const found: string[] = []
  for (const what of new Set([...Object.keys(expected), ...Object.keys(got)])) {
    const [left, right] = [expected[what] ?? {}, got[what] ?? {}]
    const wrong = [...new Set([...Object.keys(left), ...Object.keys(right)])].flatMap(key => {
      const difference = differenceOf(left[key] ?? [], right[key] ?? [])
      return difference === undefined ? [] : `${what}, ${JSON.stringify(key)}: ${difference}`
    })
    found.push(...wrong.slice(0, 10))
    if (wrong.length > 10) found.push(`${what}: ${wrong.length - 10} keys more`)
  }
  return found
}

function differenceOf(expected: readonly string[], got: readonly string[]): string | undefined {
  const at = expected.findIndex((line, i) => got[i] !== line)
  if (at < 0) return got.length === expected.length ? undefined : `record ${expected.length} is too many`
  return `record ${at} of ${expected.length} is ${got[at] ?? 'missing'}, not ${expected[at]}`
}

export interface Inputs {
  readonly payments: readonly (readonly OutputRecord[])[]
  /** Texts of files. */
  readonly openings: readonly string[]
}

/**
 * Payments of four partitions, up to two seconds out of order, some of them refused by the handler, some records broken. An account
 * is active in bursts, so that it has many sessions.
 */
export function inputsOf(random: Prng, paymentsPerPartition: number, openingsPerFile: number): Inputs {
  const payments = Array.from({ length: 4 }, (_, partition) =>
    Array.from({ length: paymentsPerPartition }, (_, n): OutputRecord => {
      const burst = Math.floor(n / 50)
      const payment: Payment = {
        account: `account-${partition}-${(burst * 7 + random.int(12)) % 60}`,
        at: n * paymentEveryMs + 2000 - random.int(2000),
        n,
        amount: 1 + random.int(1000),
        ...(random.int(200) === 0 ? { bad: true } : {})
      }
      const text = random.int(500) === 0 ? `{"account":"broken ${n}` : JSON.stringify(payment)
      return { partition, timestamp: n * paymentEveryMs, key: undefined, value: new TextEncoder().encode(text) }
    })
  )
  const openings = [0, 1].map(file => {
    const opening = (): Opening => ({ branch: `branch-${file}-${random.int(30)}`, opened: 1 + random.int(5) })
    return Array.from({ length: openingsPerFile }, () => `${JSON.stringify(opening())}\n`).join('')
  })
  return { payments, openings }
}
