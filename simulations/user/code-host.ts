/** What a job's code stands on: a simulated process, or, for what the simulation itself asks the job file, nobody's. */
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Prng } from '../../runtime/kernel/prng.ts'
import { worldEpochMs } from '../world/clock.ts'
import type { SimProcess } from '../world/process.ts'
import type { Outstanding, RunWatch } from './run-watch.ts'
import type { CodeHost } from './world-globals.ts'

export interface HostOptions {
  readonly random: Prng
  /** What is wrong with the clock that the code sees, and not with `ctx.now`. Default: nothing. */
  readonly clock?: WrongClock
}

export interface WrongClock {
  readonly aheadMs: number
  /** It runs so many times too fast. */
  readonly factor: number
}

const rightClock: WrongClock = { aheadMs: 0, factor: 1 }

export interface ProcessHost extends CodeHost, Outstanding {
  /** What is asked counts from now on: while modules are evaluated it does not. */
  evaluated: boolean
}

export function processHost(
  process: SimProcess,
  watch: RunWatch,
  { random, clock = rightClock }: HostOptions
): ProcessHost {
  const host: ProcessHost = {
    name: process.host.name,
    random: random.fork(process.name),
    outstanding: 0,
    evaluated: false,
    now: () => process.clock.now() + clock.aheadMs + Math.floor(process.time.now() * (clock.factor - 1)),
    monotonic: () => process.time.now() * clock.factor,
    after(delayMs, callback) {
      let over = false
      const end = (): void => {
        if (!over) host.outstanding--
        over = true
      }
      host.outstanding++
      const cancel = process.clock.after(delayMs, () => {
        end()
        callback()
      })
      return () => {
        end()
        cancel()
      }
    },
    asked(what) {
      if (host.evaluated) watch.ask(what)
    },
    refuse: what => refuse(watch, what)
  }
  return host
}

/** For the events, stand-ins and invariants of the job file: time stands still, and there is no outside either. */
export function worldHost(watch: RunWatch, random: Prng): CodeHost {
  return {
    name: 'world',
    random,
    now: () => worldEpochMs,
    monotonic: () => 0,
    after: () => refuse(watch, 'a timer in the events, stand-ins or invariants of the simulation'),
    asked: () => undefined,
    refuse: what => refuse(watch, what)
  }
}

function refuse(watch: RunWatch, what: string): never {
  throw new CodedError('SIMULATION_OUTSIDE', watch.refused(what))
}
