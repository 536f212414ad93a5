/** A job on a disk that forgets, forked by the real code or by what was made of it. */
import { Actor, files, generator, job, json, type Context } from '../../../actors/index.ts'
import type { Plan } from '../../../actors/plan.ts'
import { DirectoryLineages } from '../../../checkpoint/adapters/directory-lineages.ts'
import { MemoryStore } from '../../../checkpoint/adapters/memory-store.ts'
import { followLineages, newestLineage, type Lineages, type OpenLineage } from '../../../checkpoint/lineages.ts'
import { readHead } from '../../../checkpoint/recovery.ts'
import { findRestorePoint } from '../../../checkpoint/restore-point.ts'
import { FilesPublisher } from '../../../runtime/adapters/files-publisher.ts'
import { buildStageGraph } from '../../../runtime/core/stage-graph.ts'
import { Prng } from '../../../runtime/kernel/prng.ts'
import type { Fetched, LogReader } from '../../../runtime/ports/log.ts'
import type { Publisher } from '../../../runtime/ports/publisher.ts'
import { forkLineage, isHead } from '../../../runtime/shell/fork.ts'
import type { Ports } from '../../../runtime/shell/generation.ts'
import { beginIncarnation } from '../../../runtime/shell/incarnation.ts'
import type { Probe } from '../../../runtime/shell/task-files.ts'
import { ForgetfulFiles, type Fault } from '../../../simulations/forgetful-files.ts'
import { VirtualClock } from '../../../simulations/virtual-clock.ts'

/** What a mistake may be planted into. */
export interface ForkCode {
  readonly forkLineage: typeof forkLineage
  readonly followLineages: typeof followLineages
  readonly newestLineage: typeof newestLineage
}
const realCode: ForkCode = { forkLineage, followLineages, newestLineage }

class Count extends Actor {
  count = 0
  receive(_event: { readonly n: number }, ctx: Context<string>): void {
    ctx.emit(`${ctx.key} ${++this.count}`)
  }
}

/** Of which nothing fits what the other one stored. */
class OtherCount extends Actor {
  total = 0
  receive(_event: { readonly n: number }, ctx: Context<string>): void {
    ctx.emit(`${ctx.key} ${++this.total}`)
  }
}

const planOf = (actor: typeof Count | typeof OtherCount): Plan => {
  const { plan } = job('counted', j => ({
    out: j
      .source(
        'numbers',
        generator<{ readonly n: number }>({ count: 1 }, n => ({ n }))
      )
      .keyBy(event => String(event.n % 3))
      .actor(actor as typeof Count, { name: 'Count' })
      .to('out', files('/out', json<string>()))
  }))
  return { ...plan, parallelism: 1, intervalMs: 1 }
}
export const plan = planOf(Count)
/** The same job by code that cannot take the state of `plan`. */
export const stranger = planOf(OtherCount)

/** As many numbers as `limit` says; the input never ends. */
class Numbers implements LogReader {
  private readonly limit: number
  constructor(limit: number) {
    this.limit = limit
  }
  partitions(): Promise<readonly { readonly name: string }[]> {
    return Promise.resolve([{ name: '0' }])
  }
  start(): Promise<number> {
    return Promise.resolve(0)
  }
  fetch(_partition: number, position: number): Promise<Fetched> {
    if (position >= this.limit) return new Promise(() => undefined)
    const batch = {
      count: this.limit - position,
      sizeBytes: 1,
      offset: (i: number) => position + i,
      timestamp: () => NaN,
      key: () => undefined,
      value: () => undefined,
      valueObject: (i: number) => ({ n: position + i })
    }
    return Promise.resolve({ kind: 'records', next: this.limit, end: this.limit, batch })
  }
  close(): Promise<void> {
    return Promise.resolve()
  }
}

export class Machine {
  files = new ForgetfulFiles()
  private readonly code: ForkCode
  private readonly publisher: Publisher | undefined
  private nonces = 0

  /** @param publisher default: files */
  constructor(code = realCode, publisher?: Publisher) {
    this.code = code
    this.publisher = publisher
  }

  readonly nonce = (): string => `n${this.nonces++}`

  get lineages(): DirectoryLineages {
    return new DirectoryLineages(this.files, '/job')
  }

  newest(): Promise<OpenLineage> {
    return this.code.newestLineage(this.lineages, this.nonce)
  }

  ports({ lineage, storage }: OpenLineage, limit: number, probe?: Probe): Ports {
    return {
      clock: new VirtualClock(0),
      storage,
      lineage,
      store: () => Promise.resolve(new MemoryStore()),
      reader: () => new Numbers(limit),
      publishers: new Map([['out', this.publisher ?? new FilesPublisher(this.files, '/out')]]),
      appenders: new Map(),
      nonce: this.nonce,
      ...(probe === undefined ? {} : { probe })
    }
  }

  /** Handles the first `limit` numbers, takes a savepoint and goes; `killed`: as soon as it is decided, with nothing published of it. */
  async run(limit: number, savepoint: string, killed = false): Promise<void> {
    const dead = new Promise<never>(() => undefined)
    const ports = this.ports(await this.newest(), limit, point => (killed && point === 'publish' ? dead : undefined))
    const begun = await beginIncarnation(plan, ports)
    if (begun.kind === 'finished') throw new Error('an endless input has ended')
    const { shell, worker } = begun
    shell.start()
    const clock = ports.clock as VirtualClock
    const turn = async (): Promise<void> => {
      await new Promise(resolve => setImmediate(resolve))
      clock.step(clock.now() + 1)
    }
    const { head } = await readHead(ports.storage, 'counted', this.nonce)
    const from = head?.manifest.sources[0]?.partitions[0]?.position ?? 0
    for (let turns = 0; worker.counts.recordsRead < limit - from; turns++) {
      if (turns > 5000) throw new Error(`it read ${worker.counts.recordsRead} of ${limit - from}`)
      await turn()
    }
    let done = false
    const saved = shell.savepoint(savepoint).finally(() => (done = true))
    saved.catch(() => undefined)
    for (let turns = 0; !done; turns++) {
      if (turns > 5000) throw new Error(`savepoint "${savepoint}" is not taken`)
      await turn()
    }
    await saved
    for (let turns = 0; turns < 50; turns++) await turn()
    if (killed) this.files = this.files.restart()
    else await shell.stop()
  }

  /** @param meanwhile happens once the checkpoint is chosen */
  async fork(
    text: string,
    meanwhile?: () => Promise<unknown>,
    lineages: Lineages = this.lineages
  ): Promise<OpenLineage> {
    const chain = await this.code.followLineages(lineages, this.nonce)
    const newest = chain.at(-1) ?? chain[0]
    const point = await findRestorePoint(chain, 'counted', text)
    const { head } = await readHead(newest.storage, 'counted', this.nonce)
    if (isHead(point, newest, head?.manifest)) return newest
    await meanwhile?.()
    const ports = this.ports(newest, 0)
    return this.code.forkLineage({ graph: buildStageGraph(plan), ports, lineages, newest, point })
  }

  /** Lines of a lineage, in order of their keys and then of what they count. */
  async lines(lineage: number): Promise<string[]> {
    const lines: string[] = []
    for (const name of await this.files.list('/out'))
      if (name.startsWith(`00${lineage}.`) && name.endsWith('.ndjson'))
        lines.push(...new TextDecoder().decode(await this.files.read(`/out/${name}`)).split('\n'))
    return lines
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as string)
      .sort((a, b) => Number(a[0]) - Number(b[0]) || Number(a.slice(2)) - Number(b.slice(2)))
  }
}

/** What numbers `from` up to `to` give. */
export function counted(from: number, to: number): string[] {
  const lines: string[] = []
  for (let n = from; n < to; n++) lines.push(`${n % 3} ${Math.floor(n / 3) + 1}`)
  return lines.sort((a, b) => Number(a[0]) - Number(b[0]) || Number(a.slice(2)) - Number(b.slice(2)))
}

/** Nothing of savepoint `a` is published by the one who takes it. */
export async function livedHastily(code = realCode): Promise<Machine> {
  const machine = new Machine(code)
  await machine.run(9, 'first')
  await machine.run(30, 'a', true)
  await machine.run(60, 'b')
  return machine
}

/** Savepoint `a` at 30, then on to 60, of which what came last is decided and not published. */
export async function lived(code = realCode, publisher?: Publisher): Promise<Machine> {
  const machine = new Machine(code, publisher)
  await machine.run(30, 'a')
  await machine.run(60, 'b', true)
  return machine
}

async function settledOr<T>(
  work: Promise<T>,
  files: ForgetfulFiles
): Promise<T | 'down' | { readonly failed: unknown }> {
  let result: T | 'down' | { readonly failed: unknown } = 'down'
  let over = false
  work.then(
    value => ((result = value), (over = true)),
    (error: unknown) => ((result = { failed: error }), (over = true))
  )
  while (!over && !files.down) await new Promise(resolve => setImmediate(resolve))
  return result
}

/** Goes on after whatever happened: in either lineage everything decided is published once, and a second attempt completes the fork. */
async function check(machine: Machine, random: Prng): Promise<string[]> {
  const wrong: string[] = []
  const same = (what: string, got: readonly string[], expected: readonly string[]): void => {
    if (got.join('|') !== expected.join('|')) wrong.push(`${what}: ${got.join('|')} instead of ${expected.join('|')}`)
  }
  const { lineage } = await machine.newest()
  if (random.int(2) === 0) {
    // It is used before anybody forks it again.
    await machine.run(75, 'c')
    same(`lineage ${lineage}, used`, await machine.lines(lineage), counted(lineage === 1 ? 0 : 30, 75))
    if (lineage > 1) same('lineage 1', await machine.lines(1), counted(0, 60))
  }
  const before = await machine.lines(lineage)
  const forked = await machine.fork('a')
  await machine.run(90, 'd')
  same(`lineage ${forked.lineage}, forked`, await machine.lines(forked.lineage), counted(30, 90))
  if (forked.lineage !== lineage && lineage !== 1) same('the one before', await machine.lines(lineage), before)
  return wrong
}

export const forkFaults: Record<string, (operation: number, at: number) => Fault | undefined> = {
  'the process is gone': (operation, at) => (operation >= at ? { kind: 'halt' } : undefined),
  'an operation is refused': (operation, at) => (operation === at ? { kind: 'refuse', code: 'EIO' } : undefined),
  'an operation happens and is said to have failed': (operation, at) =>
    operation === at ? { kind: 'deny', code: 'EIO' } : undefined
}

/** With the fault at each operation of a fork; answers the newest lineages that were seen, and what was wrong first. */
export async function forkWithFaults(
  faultAt: (operation: number, at: number) => Fault | undefined,
  what: string,
  code = realCode
): Promise<{ readonly seen: readonly number[]; readonly wrong: readonly string[] }> {
  const seen = new Set<number>()
  for (let at = 0; ; at++) {
    const machine = await lived(code)
    const random = new Prng(`${what}/${at}`)
    const { files } = machine
    const first = files.operations + 1
    let reachedFault = false
    files.fault = () => {
      const fault = faultAt(files.operations - first, at)
      reachedFault ||= fault !== undefined
      return fault
    }
    await settledOr(machine.fork('a'), files)
    files.fault = undefined
    if (!reachedFault) return { seen: [...seen].sort(), wrong: [] }
    machine.files = random.int(2) === 0 ? files.restart() : files.crash(random)
    seen.add((await machine.newest()).lineage)
    const wrong = await check(machine, random)
    if (wrong.length > 0) return { seen: [...seen], wrong: [`operation ${at}`, ...wrong] }
  }
}
