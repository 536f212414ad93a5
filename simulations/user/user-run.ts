/** One run of a user's job: its code in the processes of a world, what it reads, and what is noticed meanwhile. */
import type { Plan, SourceNode } from '../../actors/plan.ts'
import type { Job } from '../../actors/stream.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { LogReader } from '../../runtime/ports/log.ts'
import { PacedLog, type Pace } from '../cluster/paced-log.ts'
import type { SimProcess } from '../world/process.ts'
import type { WorldTime } from '../world/time.ts'
import { processHost, worldHost, type WrongClock } from './code-host.ts'
import { RunWatch } from './run-watch.ts'
import type { Evaluated, Sandbox } from './sandbox.ts'
import { namedService, SimServices } from './sim-services.ts'
import type { Invariant } from './simulation-of.ts'
import type { UserInputs } from './user-inputs.ts'

export interface UserRunOptions {
  readonly sandbox: Sandbox
  readonly time: WorldTime
  readonly inputs: UserInputs
  /** What `Math.random` and its like draw from. */
  readonly chance: Prng
  /** Latency and failures of services. */
  readonly outside: Prng
  /** What is wrong with the clock that the code sees, and not with `ctx.now`. */
  readonly clock?: WrongClock
}

export class UserRun {
  readonly watch: RunWatch
  readonly services: SimServices
  /** As the world has it: what its invariants and stand-ins keep is of this run. */
  readonly plan: Plan
  readonly invariants: readonly Invariant[]
  private readonly options: UserRunOptions

  constructor(options: UserRunOptions) {
    const { sandbox, time, outside } = options
    this.options = options
    this.watch = new RunWatch(stack => sandbox.place(stack))
    const { job, simulation } = evaluateInWorld(sandbox, outside, this.watch)
    this.plan = atFullSpeed(job.plan)
    this.invariants = simulation?.invariants ?? []
    this.services = new SimServices(time, outside, simulation?.services ?? [], this.watch)
  }

  /** Evaluates the job's modules for a new process. */
  job(process: SimProcess): Job<unknown> {
    const { sandbox, chance, clock } = this.options
    const host = processHost(process, this.watch, { random: chance, ...(clock === undefined ? {} : { clock }) })
    const { job } = sandbox.evaluate(host, this.services.connect(process, host))
    host.evaluated = true
    this.watch.watch(job.plan, process, host)
    return { ...job, plan: atFullSpeed(job.plan) }
  }

  reader(node: SourceNode, process: SimProcess, pace: Pace): LogReader {
    return new PacedLog(this.options.inputs.records.get(node.name) ?? [], pace, process)
  }

  broken(): boolean {
    return this.watch.fatal.length > 0
  }
}

/** For the plan, and for what the job file says of its simulation. Services cannot be called there. */
export function evaluateInWorld(sandbox: Sandbox, random: Prng, watch: RunWatch): Evaluated {
  const host = worldHost(watch, random.fork('world'))
  const refuse = (name: string) => (): never => host.refuse(`service "${name}" outside of a handler`)
  return sandbox.evaluate(host, (name, implementation) => namedService(name, implementation, refuse(name)))
}

/** A replay's pace is for people who watch. */
function atFullSpeed(plan: Plan): Plan {
  return {
    ...plan,
    nodes: plan.nodes.map(node => (node.kind === 'source' ? { ...node, paceMsPerSecond: undefined } : node))
  }
}
