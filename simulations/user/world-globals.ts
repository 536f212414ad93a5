/**
 * What a job's code sees in place of the globals that reach time, chance and the outside. They are parameters of the function that the
 * code is evaluated in, so each process has its own, bound to its own clock, on whichever side of an `await` the code runs, and whoever
 * else runs in this process keeps the real ones.
 *
 * Invariants
 * 1. Time is the process's clock; timers are its timers: none fires in a dead process, those of a paused one wait.
 * 2. Chance is a stream of the process, drawn from the seed.
 * 3. What reaches the outside is refused at its first use, by name.
 */
import { promisify } from 'node:util'
import type { Prng } from '../../runtime/kernel/prng.ts'

/** A process as the code that is evaluated in it sees it. */
export interface CodeHost {
  readonly name: string
  readonly random: Prng
  /** Wall clock, ms since 1970. */
  now(): number
  /** Milliseconds since something; only grows. */
  monotonic(): number
  /** Returns what cancels it. */
  after(delayMs: number, callback: () => void): () => void
  /** The code looked at the clock, or drew a random number, other than through `ctx`. */
  asked(what: Ambient): void
  /** The code reached for something outside of the world: remembers it and throws. */
  refuse(what: string): never
}
export type Ambient = 'clock' | 'chance'

/** By the name that the code uses. */
export function worldGlobals(host: CodeHost): Readonly<Record<string, unknown>> {
  const timers = worldTimers(host)
  const own: Record<string, unknown> = {
    ...timers,
    Date: worldDate(host),
    Math: worldMath(host),
    performance: worldPerformance(host),
    crypto: worldCrypto(host),
    process: worldProcess(host),
    console: silentConsole(),
    AbortSignal: worldAbortSignal(host)
  }
  for (const name of outsiders) own[name] = refusing(name, what => host.refuse(what))
  // What is kept here is gone with the process, as with the real one.
  const scope = Object.create(globalThis) as Record<string, unknown>
  for (const [name, value] of Object.entries({ ...own, globalThis: scope, global: scope }))
    Object.defineProperty(scope, name, { value, writable: true, configurable: true })
  return { ...own, globalThis: scope, global: scope }
}

const outsiders = [
  'fetch',
  'WebSocket',
  'EventSource',
  'XMLHttpRequest',
  'BroadcastChannel',
  'MessageChannel',
  'Worker',
  'SharedWorker'
]

/** Can be named, passed on and extended, not called. */
export function refusing(name: string, refuse: (what: string) => never): unknown {
  return new Proxy(function outside() {}, {
    get: (target, property) =>
      property === 'prototype'
        ? (target.prototype as unknown)
        : typeof property === 'symbol' || property === 'then'
          ? undefined
          : refusing(`${name}.${property}`, refuse),
    apply: () => refuse(name),
    construct: () => refuse(name)
  })
}

function worldDate(host: CodeHost): DateConstructor {
  const now = (): number => {
    host.asked('clock')
    return host.now()
  }
  // The prototype stays the real one: a Date of the job is a Date to the codecs.
  const world: DateConstructor = new Proxy(Date, {
    construct: (target, given: unknown[], newTarget) =>
      Reflect.construct(target, given.length === 0 ? [now()] : given, newTarget === world ? target : newTarget) as Date,
    apply: () => new Date(now()).toString(),
    get: (target, property) => (property === 'now' ? now : (Reflect.get(target, property) as unknown))
  })
  return world
}

function worldMath(host: CodeHost): Math {
  const random = (): number => {
    host.asked('chance')
    return host.random.next()
  }
  return Object.create(Math, { random: { value: random } }) as Math
}

function worldPerformance(host: CodeHost): unknown {
  const now = (): number => {
    host.asked('clock')
    return host.monotonic()
  }
  const nothing = (): void => undefined
  return {
    now,
    get timeOrigin() {
      host.asked('clock')
      return host.now() - host.monotonic()
    },
    mark: nothing,
    measure: nothing,
    clearMarks: nothing,
    clearMeasures: nothing
  }
}

/** A version 4 UUID. */
export function randomUUID(host: CodeHost): string {
  host.asked('chance')
  const digits = Array.from(randomBytes(host, 16), byte => byte.toString(16).padStart(2, '0')).join('')
  const variant = '89ab'[parseInt(digits[16] as string, 16) & 3] as string
  return [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `4${digits.slice(13, 16)}`,
    `${variant}${digits.slice(17, 20)}`,
    digits.slice(20)
  ].join('-')
}

function randomBytes(host: CodeHost, count: number): Uint8Array {
  return Uint8Array.from({ length: count }, () => host.random.int(256))
}

export function fillRandom<T extends ArrayBufferView>(host: CodeHost, view: T): T {
  host.asked('chance')
  new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(randomBytes(host, view.byteLength))
  return view
}

function worldCrypto(host: CodeHost): unknown {
  return {
    randomUUID: () => randomUUID(host),
    getRandomValues: (view: ArrayBufferView) => fillRandom(host, view),
    subtle: refusing('crypto.subtle', what => host.refuse(what))
  }
}

// ---- timers

interface WorldTimeout {
  ref(): WorldTimeout
  unref(): WorldTimeout
  hasRef(): boolean
  refresh(): WorldTimeout
  close(): void
  [Symbol.toPrimitive](): number
}
type Callback = (...args: unknown[]) => void

function worldTimers(host: CodeHost): Record<string, unknown> {
  const running = new Map<number, () => void>()
  let numbers = 0
  const start = (callback: Callback, delay: unknown, args: unknown[], again: boolean): WorldTimeout => {
    if (typeof callback !== 'function') throw new TypeError('a timer takes a function')
    const delayMs = Math.max(1, Number(delay) || 1)
    const number = ++numbers
    const ring = (): void => {
      if (again) running.set(number, host.after(delayMs, ring))
      else running.delete(number)
      callback(...args)
    }
    const timeout: WorldTimeout = {
      ref: () => timeout,
      unref: () => timeout,
      hasRef: () => true,
      refresh: () => {
        running.get(number)?.()
        running.set(number, host.after(delayMs, ring))
        return timeout
      },
      close: () => clear(number),
      [Symbol.toPrimitive]: () => number
    }
    running.set(number, host.after(delayMs, ring))
    return timeout
  }
  const clear = (timeout: unknown): void => {
    const number = Number(timeout)
    running.get(number)?.()
    running.delete(number)
  }
  const later = (delayMs: number, value: unknown): Promise<unknown> =>
    new Promise(resolve => host.after(Math.max(1, delayMs || 1), () => resolve(value)))
  const setTimeout = (callback: Callback, delay?: unknown, ...args: unknown[]): unknown =>
    start(callback, delay, args, false)
  const setImmediate = (callback: Callback, ...args: unknown[]): unknown => start(callback, 0, args, false)
  return {
    setTimeout: Object.assign(setTimeout, { [promisify.custom]: later }),
    setInterval: (callback: Callback, delay?: unknown, ...args: unknown[]) => start(callback, delay, args, true),
    setImmediate: Object.assign(setImmediate, { [promisify.custom]: (value: unknown) => later(0, value) }),
    clearTimeout: clear,
    clearInterval: clear,
    clearImmediate: clear
  }
}

function worldAbortSignal(host: CodeHost): unknown {
  const timeout = (delayMs: number): AbortSignal => {
    const controller = new AbortController()
    host.after(delayMs, () => controller.abort(new DOMException('The operation timed out', 'TimeoutError')))
    return controller.signal
  }
  return new Proxy(AbortSignal, {
    get: (target, property) => (property === 'timeout' ? timeout : (Reflect.get(target, property) as unknown))
  })
}

// ---- process and console

function worldProcess(host: CodeHost): unknown {
  const nanoseconds = (): bigint => {
    host.asked('clock')
    return BigInt(Math.floor(host.monotonic() * 1e6))
  }
  const hrtime = (before?: readonly [number, number]): [number, number] => {
    const now = nanoseconds() - (before === undefined ? 0n : BigInt(before[0]) * 1_000_000_000n + BigInt(before[1]))
    return [Number(now / 1_000_000_000n), Number(now % 1_000_000_000n)]
  }
  const stream = { write: () => true, isTTY: false, columns: 80, on: () => stream, once: () => stream, end() {} }
  const listening = (): unknown => known
  const known: Record<string, unknown> = {
    env: { ...process.env },
    argv: ['node', 'job'],
    execArgv: [],
    platform: process.platform,
    arch: process.arch,
    version: process.version,
    versions: process.versions,
    release: process.release,
    title: 'cairn',
    pid: 1,
    stdout: stream,
    stderr: stream,
    cwd: () => process.cwd(),
    uptime: () => Number(nanoseconds()) / 1e9,
    hrtime: Object.assign(hrtime, { bigint: nanoseconds }),
    memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), {
      rss: () => 0
    }),
    // A tick of Node would come before microtasks that the world waits for.
    nextTick: (callback: Callback, ...args: unknown[]) => queueMicrotask(() => callback(...args)),
    emitWarning: () => undefined,
    on: listening,
    once: listening,
    off: listening,
    addListener: listening,
    removeListener: listening
  }
  return new Proxy(known, {
    get: (target, property) =>
      property in target || typeof property === 'symbol'
        ? (Reflect.get(target, property) as unknown)
        : property in process
          ? refusing(`process.${property}`, what => host.refuse(what))
          : undefined
  })
}

/** Of thousands of runs nobody reads the log. */
function silentConsole(): unknown {
  return new Proxy({}, { get: () => () => undefined })
}
