/**
 * One chaos run: writes the input, starts the cluster, carries out the plan, heals everything, lets the job finish, and compares what it
 * has put out, and the state it left, with the model.
 *
 * The plan's times are the experiment's own; nothing is concluded from a time but that a run which no longer moves is stuck, and then
 * the answer is what it waits for.
 */
import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { connectCluster, type ClusterConnection } from '../../deploy/cluster/connection.ts'
import { listen } from '../../deploy/cluster/look.ts'
import { usualTiming } from '../../deploy/cluster/timing.ts'
import { partitions, writeCommands, type Commands } from './commands.ts'
import { root } from './installed.ts'
import { expected } from './model.ts'
import type { NetworkName } from './network.ts'
import { countsFor, drawPlan, type Counts, type Fault, type FaultKind } from './plan.ts'
import { strike, type Battlefield } from './strike.ts'
import { judge } from './verdict.ts'
import { Watch, type Phase, type Recovery } from './watch.ts'
import { World, type Unasked } from './world.ts'

export interface ChaosOptions {
  /** Empty; what the run leaves stays there. */
  readonly folder: string
  readonly seed: number
  readonly durationMs: number
  readonly workers: number
  /** Events in all. */
  readonly events: number
  readonly natsProgram: string
  /** Default: proxies. */
  readonly network?: NetworkName
  /** The command line: arguments of node before those of the command. Default: that of this build. */
  readonly cairn?: readonly string[]
  readonly counts?: Partial<Counts>
  /** Nothing decided and nobody gone for so long: it is stuck. Default 150 s. */
  readonly stillMs?: number
  /** Still not finished so long after healing: it is stuck, whatever it decides. Default: no limit. */
  readonly finishMs?: number
  readonly say: (text: string) => void
  /** Called at each fault and twice a minute, for people. */
  readonly progress?: (text: string) => void
}

export interface Struck {
  readonly kind: FaultKind
  readonly what: string
  readonly phase: Phase
}

export interface ChaosReport {
  readonly seed: number
  readonly events: number
  readonly chaosMs: number
  readonly totalMs: number
  readonly planned: Counts
  readonly struck: readonly Struck[]
  /** Faults that met nobody. */
  readonly missed: number
  readonly recoveries: readonly Recovery[]
  readonly generations: number
  readonly checkpoints: number
  readonly lives: number
  readonly unasked: readonly Unasked[]
  readonly lines: number
  readonly keys: number
  /** Undefined: it finished. Else what it waited for. */
  readonly stuck: string | undefined
  /** [] = output and state are the model's. */
  readonly findings: readonly string[]
}

const ownCommandLine = [join(root, 'deploy', 'bin', 'cairn.cjs')]
const lostAfter = '2s'
/** The leader gives up a generation that is stuck only after two checkpoints of 60 s each. */
const usualStillMs = 150_000
const lookMs = 50
/** A burst waits no longer for the job to have recovered from the one before. */
const calmMs = 30_000
const newsMs = 30_000

const deadly: readonly FaultKind[] = ['kill', 'kill-all', 'kill-leader', 'wipe-disk']

const sleep = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

export async function chaosRun(options: ChaosOptions): Promise<ChaosReport> {
  const { folder, seed, durationMs, workers, say } = options
  const commands: Commands = {
    seed,
    perPartition: Math.ceil(options.events / partitions),
    // One second of event time a second: the job cannot end before the plan does.
    spanMs: durationMs
  }
  mkdirSync(folder, { recursive: true })
  copyFileSync(join(root, 'simulations', 'chaos', 'job.ts'), join(folder, 'job.ts'))
  writeCommands(commands, folder)
  const plan = drawPlan({
    seed,
    durationMs,
    workers,
    ...(options.counts === undefined ? {} : { counts: options.counts })
  })
  writeFileSync(join(folder, 'plan.json'), `${plan.map(fault => JSON.stringify(fault)).join('\n')}\n`)

  const cairn = options.cairn ?? ownCommandLine
  const { natsProgram, network = 'proxies' } = options
  const world = await World.start({ folder, cairn, natsProgram, job: 'job.ts', lostAfter, network, say })
  const run = new Run(options, world, cairn)
  try {
    return await run.go(commands, plan)
  } finally {
    await run.close()
  }
}

class Run {
  private readonly options: ChaosOptions
  private readonly world: World
  private readonly cairnArgs: readonly string[]
  private readonly began = performance.now()
  private readonly struck: Struck[] = []
  private missed = 0
  private cluster: ClusterConnection | undefined
  private watch: Watch | undefined
  private endLook: () => void = () => undefined

  constructor(options: ChaosOptions, world: World, cairnArgs: readonly string[]) {
    this.options = options
    this.world = world
    this.cairnArgs = cairnArgs
  }

  async go(commands: Commands, plan: readonly Fault[]): Promise<ChaosReport> {
    const { world, options } = this
    for (let n = 0; n < options.workers; n++) await world.add()
    const watch = await this.observe()
    const missed = await this.fight(plan, watch)
    const chaosMs = performance.now() - this.began
    this.progress(`healed after ${this.struck.length} faults; the job is to finish now`)
    const early = watch.isOver
    const stuck = await this.finish(watch)
    const totalMs = performance.now() - this.began
    const verdict =
      stuck === undefined
        ? await judge(options.folder, world.storage, expected(commands))
        : { findings: [], lines: 0, keys: 0 }
    const tooSoon = early ? ['the job was over before the plan was: the rest of the faults struck nobody'] : []
    return {
      seed: options.seed,
      events: commands.perPartition * partitions,
      chaosMs,
      totalMs,
      planned: { ...countsFor(options.durationMs), ...options.counts },
      struck: this.struck,
      missed,
      recoveries: watch.recoveries,
      generations: watch.generations,
      checkpoints: watch.checkpoints,
      lives: world.workers.reduce((sum, { lives }) => sum + lives, 0),
      unasked: world.unasked,
      lines: verdict.lines,
      keys: verdict.keys,
      stuck,
      findings: [...tooSoon, ...verdict.findings]
    }
  }

  async close(): Promise<void> {
    this.watch?.close()
    this.endLook()
    await this.cluster?.bus.close()
    await this.world.close()
  }

  /** Listens once the first worker has made the job's key. */
  private async observe(): Promise<Watch> {
    const { world } = this
    const flags = { storage: world.storage, nats: [world.natsAddress] }
    await Promise.race(world.workers.flatMap(({ child }) => (child === undefined ? [] : [child.runs()])))
    this.cluster = await connectCluster('chaos', flags, usualTiming.leaseMs, false)
    const look = listen('chaos', this.cluster.bus)
    this.endLook = () => look.close()
    this.watch = new Watch(look)
    while (this.watch.checkpoints === 0) await sleep(lookMs)
    return this.watch
  }

  /** Answers how many faults met nobody. */
  private async fight(plan: readonly Fault[], watch: Watch): Promise<number> {
    const { world, options } = this
    const begin = performance.now()
    const field: Battlefield = {
      world,
      watch,
      workers: options.workers,
      sleep,
      cairn: (...args) => this.cairn(...args),
      strikes: ({ kind }, what) => {
        const { phase } = watch
        this.struck.push({ kind, what, phase })
        watch.struck(kind, deadly.includes(kind))
        this.progress(`${kind} ${what} (${phase}, generation ${watch.generation}, checkpoint ${watch.epoch})`)
      }
    }
    const underWay: Promise<void>[] = []
    let late = 0
    let burst = 0
    for (const fault of plan) {
      await sleep(Math.max(0, begin + late + fault.at - performance.now()))
      if (fault.burst > burst) late += await this.calm(watch)
      burst = fault.burst
      if (watch.isOver) break
      const striking = strike(fault, field).then(
        met => {
          if (!met) this.missed++
        },
        (error: unknown) => options.say(`${fault.kind} could not be done: ${String(error)}`)
      )
      underWay.push(striking)
    }
    await sleep(Math.max(0, begin + late + options.durationMs - performance.now()))
    await Promise.all(underWay)
    world.network.heal()
    for (const worker of world.workers) if (worker.state === 'down') world.begin(worker)
    return this.missed
  }

  /** Until the job has got on since the last burst; it may be that it cannot. Answers how long that took. */
  private async calm(watch: Watch): Promise<number> {
    const from = performance.now()
    while (watch.phase === 'during recovery' && performance.now() - from < calmMs) await sleep(lookMs)
    return performance.now() - from
  }

  /** Undefined: every worker has ended with exit code 0. Else why it is taken for stuck. */
  private async finish(watch: Watch): Promise<string | undefined> {
    const { world } = this
    const stillMs = this.options.stillMs ?? usualStillMs
    const end = performance.now() + (this.options.finishMs ?? Infinity)
    let left = -1
    let newsAt = performance.now() + newsMs
    for (let quietSince = performance.now(); ; await sleep(lookMs)) {
      const now = performance.now()
      const there = world.workers.filter(({ state }) => state !== 'over')
      if (there.length === 0) return undefined
      if (there.length !== left) quietSince = now
      left = there.length
      if (now > newsAt) {
        this.progress(`generation ${watch.generation}, checkpoint ${watch.epoch}; ${left} workers are there`)
        newsAt = now + newsMs
      }
      if (now > end || now - Math.max(quietSince, watch.movedAt) > stillMs)
        return this.diagnose(
          there.map(({ name }) => name),
          stillMs
        )
    }
  }

  private async diagnose(names: readonly string[], stillMs: number): Promise<string> {
    const { world, options } = this
    const status = await this.ask('cluster', 'status', 'chaos', '--nats', world.natsAddress, '--storage', world.storage)
    const tails = names.map(name => {
      const { child } = world.called(name) ?? {}
      return `--- ${name} (${child?.log})\n${(child?.text ?? '').split('\n').slice(-8).join('\n')}`
    })
    const text = `${names.join(', ')} did not end in time, or nothing was decided for ${stillMs / 1000} s\n${status}\n${tails.join('\n')}`
    writeFileSync(join(options.folder, 'stuck.txt'), text)
    return text
  }

  private async cairn(...args: string[]): Promise<void> {
    await promisify(execFile)(process.execPath, [...this.cairnArgs, ...args], {
      cwd: this.options.folder,
      timeout: 60_000
    })
  }

  private async ask(...args: string[]): Promise<string> {
    try {
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [...this.cairnArgs, ...args], {
        cwd: this.options.folder,
        timeout: 30_000
      })
      return `${stdout}${stderr}`
    } catch (error) {
      return String(error)
    }
  }

  private progress(text: string): void {
    const seconds = ((performance.now() - this.began) / 1000).toFixed(1)
    this.options.progress?.(`[${seconds.padStart(6)} s] ${text}`)
  }
}
