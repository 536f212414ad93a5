/**
 * The outside of a simulated run: stand-ins that live in the world, not in any worker, and remember what was called.
 *
 *   handler ──call──► (latency) ──► stand-in: carried out, remembered ──► (latency) ──answer──► handler, if it still lives
 *                         └ refused: not carried out                 └ lost: carried out, the caller is told it failed
 */
import { inspect } from 'node:util'
import { serviceName } from '../../actors/service.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Outcome, SimProcess } from '../world/process.ts'
import type { WorldTime } from '../world/time.ts'
import type { Outstanding, RunWatch } from './run-watch.ts'
import type { MakeService } from './sandbox.ts'
import type { StandIn } from './simulation-of.ts'

export interface ServiceCall {
  readonly method: string
  readonly args: readonly unknown[]
  readonly result: unknown
  readonly by: string
  readonly atMs: number
  /** The caller lived to hear of it. */
  readonly answered: boolean
}

type Writable<T> = { -readonly [P in keyof T]: T[P] }

/** Shares of the calls. */
export interface ServiceFault {
  /** Told a failure, and not carried out. */
  readonly refuse?: number
  /** Carried out, and told a failure. */
  readonly lose?: number
  /** Longer, at most. */
  readonly lateMs?: number
}

const latencyMs = 15
const fewCalls = 60

export class SimServices {
  /** What was carried out, by service. */
  readonly calls = new Map<string, ServiceCall[]>()
  /** Calls that failed though the stand-in did not. */
  failures = 0
  private readonly time: WorldTime
  private readonly random: Prng
  private readonly watch: RunWatch
  private readonly standIns: ReadonlyMap<string, Record<string, unknown>>
  private readonly faults = new Set<ServiceFault>()

  constructor(time: WorldTime, random: Prng, standIns: readonly StandIn[], watch: RunWatch) {
    this.time = time
    this.random = random
    this.watch = watch
    this.standIns = new Map(
      standIns.map(({ service, make }) => [service, make(random.fork(service)) as Record<string, unknown>])
    )
  }

  get names(): readonly string[] {
    return [...this.standIns.keys()]
  }

  /** For people: all calls if they are few, else those whose callers do not know of them, which a replay repeats. */
  get story(): { readonly atMs: number; readonly text: string }[] {
    const made = [...this.calls].flatMap(([name, calls]) => calls.map(call => ({ name, ...call })))
    return made
      .filter(({ answered }) => made.length <= fewCalls || !answered)
      .map(({ name, method, args, by, atMs, answered }) => {
        const given = args.map(each => inspect(each, { breakLength: Infinity })).join(', ')
        const heard = answered ? '' : ', which never hears of it'
        return { atMs, text: `service ${name} carries out ${method}(${given}) for ${by}${heard}` }
      })
  }

  /** Returns what ends it. */
  disturb(fault: ServiceFault): () => void {
    this.faults.add(fault)
    return () => this.faults.delete(fault)
  }

  /** `service` as the code of one process has it. */
  connect(process: SimProcess, host: Outstanding): MakeService {
    return (name, implementation) => {
      this.calls.set(name, this.calls.get(name) ?? [])
      return namedService(name, implementation, (method, args) => this.call(process, host, name, method, args))
    }
  }

  private async call(
    process: SimProcess,
    host: Outstanding,
    name: string,
    method: string,
    args: readonly unknown[]
  ): Promise<unknown> {
    const answering = this.standIns.get(name)?.[method]
    if (typeof answering !== 'function') throw new TypeError(this.watch.missingStandIn(name))
    // What the caller changes later does not show.
    const given = structuredClone(args)
    const { refused, lost, there, back } = this.draw()
    if (refused || lost) this.failures++
    host.outstanding++
    let made: Writable<ServiceCall> | undefined
    try {
      return await process.ask<unknown>(`call ${name}.${method}`, answer => {
        const failed = { error: new Error(`service "${name}": ${method} did not answer`) }
        const arrive = async (): Promise<void> => {
          if (refused) return answer(failed)
          const atMs = this.time.now()
          made = { method, args: given, result: undefined, by: process.name, atMs, answered: false }
          this.calls.get(name)?.push(made)
          let outcome: Outcome<unknown>
          try {
            made.result = structuredClone(await (answering as (...args: readonly unknown[]) => unknown)(...given))
            outcome = { value: structuredClone(made.result) }
          } catch (error) {
            outcome = { error: error instanceof Error ? error : new Error(String(error)) }
          }
          this.time.schedule(back, () => answer(lost ? failed : outcome), `${name} answers`, process.name)
        }
        this.time.schedule(there, () => void arrive(), `${name}.${method}`, process.name)
      })
    } finally {
      if (made !== undefined) made.answered = !lost
      host.outstanding--
    }
  }

  /** The same draws whatever the faults are. */
  private draw(): { refused: boolean; lost: boolean; there: number; back: number } {
    const [refuse, lose, late, there, back] = Array.from({ length: 5 }, () => this.random.next()) as number[]
    const share = (of: 'refuse' | 'lose'): number => Math.max(0, ...[...this.faults].map(fault => fault[of] ?? 0))
    const lateMs = Math.max(0, ...[...this.faults].map(fault => fault.lateMs ?? 0))
    return {
      refused: (refuse as number) < share('refuse'),
      lost: (lose as number) < share('lose'),
      there: 1 + (there as number) * latencyMs + (late as number) * lateMs,
      back: 1 + (back as number) * latencyMs
    }
  }
}

/** Looks like the implementation; its methods are `call`. */
export function namedService(
  name: string,
  implementation: object,
  call: (method: string, args: readonly unknown[]) => unknown
): object {
  return new Proxy(implementation, {
    has: (target, property) => property === serviceName || Reflect.has(target, property),
    get: (target, property) => {
      if (property === serviceName) return name
      const real: unknown = Reflect.get(target, property)
      if (typeof real !== 'function' || typeof property === 'symbol') return real
      return (...args: unknown[]) => call(property, args)
    }
  })
}
