/**
 * Machines and the processes on them. Everything that enters a process (a timer, a message, the completion of I/O) goes through
 * `deliver`, everything that leaves it through `effect`.
 *
 *   alive ⇄ paused          paused: what arrives waits and is run, in order and one event each, upon resume: the zombie that wakes up
 *     └──→ dead ←──┘        dead: what arrives is dropped; a restart is another process of the same machine
 *
 * Invariants
 * 1. A dead process runs no code and has no effects; it never comes back.
 * 2. What is delivered to a process runs in the order of delivery.
 * 3. One event enters one process: until the next event everything that runs belongs to it (`time.running`).
 */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Files } from '../../runtime/ports/files.ts'
import { ForgetfulFiles, type Fault } from '../forgetful-files.ts'
import { HostClock, SimClock, type HostClockOptions } from './clock.ts'
import { LocalDisk } from './local-disk.ts'
import { StoredEntries } from './local-store.ts'
import type { WorldTime } from './time.ts'

export interface SimHostOptions {
  readonly clock?: HostClockOptions
  /** Asked before each effect of each process here: dies just before it, just after it, or neither. */
  readonly crashAt?: (process: SimProcess, label: string) => 'before' | 'after' | undefined
}

const usualDiskMs = 0.1

/** A machine: a name in the network, a disk, a clock, and at most one process that is not dead. */
export class SimHost {
  readonly name: string
  readonly time: WorldTime
  readonly clock: HostClock
  /** The disk. Another object after each crash and wipe: what an old process still does to its own is done to nothing. */
  files: ForgetfulFiles
  /** What the local state store left on the disk; another object after each death and wipe, as `files`. */
  stored: StoredEntries
  private readonly diskSlowness = new Set<{ readonly diskMs: number }>()
  /** False: vanished from the network without a word. */
  up = true
  crashAt: SimHostOptions['crashAt']
  process: SimProcess | undefined
  private incarnation = 0
  private disks = 1
  private readonly random: Prng
  private readonly diskFaults = new Set<DiskFault>()

  constructor(time: WorldTime, name: string, random: Prng, options: SimHostOptions = {}) {
    this.time = time
    this.name = name
    this.random = random.fork(`host ${name}`)
    this.clock = new HostClock(time, options.clock)
    this.crashAt = options.crashAt
    this.replace((this.files = new ForgetfulFiles()))
    this.stored = new StoredEntries(this.random.fork('store'))
  }

  /** The one before must be dead. */
  start(): SimProcess {
    if (this.process !== undefined && this.process.state !== 'dead')
      throw new TypeError(`${this.process.name} is ${this.process.state}: two processes on one machine`)
    this.up = true
    return (this.process = new SimProcess(this, ++this.incarnation))
  }

  /** The process dies; the machine and its page cache stay. Its sockets are closed by the machine. */
  kill(): void {
    if (this.process?.state !== 'dead') this.process?.kill()
    this.replace(this.files.restart())
    this.stored = this.stored.restart()
  }

  /** Power loss: what was not synced is lost in any part; nobody is told. Up again with the next `start`. */
  crash(): void {
    this.up = false
    this.process?.kill()
    this.replace(this.files.crash(this.random))
    this.stored = this.stored.crash()
  }

  /** The disk is another, empty one. The process, if there is one, dies. */
  wipe(): void {
    this.process?.kill()
    this.files.restart()
    this.replace(new ForgetfulFiles())
    this.stored = new StoredEntries(this.random.fork(`store of disk ${++this.disks}`))
  }

  /** Asked before each change of the disk, by whichever process. Returns what ends it. */
  disturbDisk(fault: DiskFault): () => void {
    this.diskFaults.add(fault)
    return () => void this.diskFaults.delete(fault)
  }

  /** Each operation takes that long. */
  slowDisk(diskMs: number): () => void {
    const slowness = { diskMs }
    this.diskSlowness.add(slowness)
    return () => void this.diskSlowness.delete(slowness)
  }

  /** Of one operation. */
  get diskMs(): number {
    let slowest = usualDiskMs
    for (const { diskMs } of this.diskSlowness) slowest = Math.max(slowest, diskMs)
    return slowest
  }

  /** What becomes of the next change of the disk. */
  diskFault(path: string): Fault | undefined {
    for (const decide of this.diskFaults) {
      const fault = decide(path)
      if (fault !== undefined) return fault
    }
    return undefined
  }

  private replace(files: ForgetfulFiles): void {
    this.files = files
    files.fault = path => this.diskFault(path)
  }
}

export type DiskFault = (path: string) => Fault | undefined

export type ProcessState = 'alive' | 'paused' | 'dead'

export class SimProcess {
  readonly host: SimHost
  /** Counts the starts of its host, from 1. */
  readonly incarnation: number
  /** `host#incarnation` */
  readonly name: string
  /** Its own clock, as its machine has it. */
  readonly clock: SimClock
  /** The machine's disk, for as long as this process lives. */
  readonly files: Files
  private status: ProcessState = 'alive'
  private readonly held: { readonly callback: () => void; readonly label: string }[] = []
  private readonly deathWatch = new Set<() => void>()
  private draining = false

  constructor(host: SimHost, incarnation: number) {
    this.host = host
    this.incarnation = incarnation
    this.name = `${host.name}#${incarnation}`
    this.clock = new SimClock(this)
    this.files = new LocalDisk(this, host.files)
  }

  get state(): ProcessState {
    return this.status
  }
  get time(): WorldTime {
    return this.host.time
  }
  /** What arrived while it was paused and has not run yet. */
  get backlog(): number {
    return this.held.length
  }

  pause(): void {
    if (this.status === 'alive') this.status = 'paused'
  }

  resume(): void {
    if (this.status !== 'paused') return
    this.status = 'alive'
    this.drain()
  }

  kill(): void {
    if (this.status === 'dead') return
    this.status = 'dead'
    this.held.length = 0
    for (const told of this.deathWatch) told()
    this.deathWatch.clear()
  }

  /** What the world does when it dies (close its sockets). Returns what takes it back. */
  onDeath(callback: () => void): () => void {
    this.deathWatch.add(callback)
    return () => this.deathWatch.delete(callback)
  }

  /** To be called in an event: runs it in the process now, later, or never. */
  deliver(callback: () => void, label: string): void {
    if (this.status === 'dead') return
    if (this.status === 'paused' || this.held.length > 0 || this.time.running !== undefined) {
      this.held.push({ callback, label })
      if (this.status === 'alive') this.drain()
      return
    }
    this.time.running = this
    callback()
  }

  /** `deliver` after a delay. Returns what cancels it, also while it is held. */
  after(delayMs: number, callback: () => void, label: string): () => void {
    let cancelled = false
    const unless = (): void => {
      if (!cancelled) callback()
    }
    const cancel = this.time.schedule(delayMs, () => this.deliver(unless, label), label, this.name)
    return () => {
      cancelled = true
      cancel()
    }
  }

  /** Something that the process does to the world; nothing when it is dead, or dies at this very point. */
  effect(label: string, perform: () => void): void {
    if (this.status === 'dead') return
    const dies = this.host.crashAt?.(this, label)
    if (dies === 'before') return this.host.kill()
    perform()
    if (dies === 'after') this.host.kill()
  }

  /** A promise of an answer from the world, which reaches the process by `deliver`. Never settles for the dead. */
  ask<T>(label: string, perform: (answer: (outcome: Outcome<T>) => void) => void): Promise<T> {
    return new Promise((resolve, reject) =>
      this.effect(label, () => {
        let answered = false
        perform(outcome => {
          if (answered) return
          answered = true
          this.deliver(() => ('error' in outcome ? reject(outcome.error) : resolve(outcome.value)), label)
        })
      })
    )
  }

  /** `ask` of the machine's disk: each operation takes as long as the disk does at the moment. */
  onDisk<T>(label: string, work: () => Promise<T>): Promise<T> {
    return this.ask<T>(label, answer => {
      const perform = (): void =>
        void work().then(
          value => answer({ value }),
          (error: unknown) => answer({ error: error as Error })
        )
      this.time.schedule(this.host.diskMs, perform, label, this.name)
    })
  }

  private drain(): void {
    if (this.draining || this.held.length === 0) return
    this.draining = true
    this.time.schedule(
      0,
      () => {
        this.draining = false
        if (this.status !== 'alive') return
        const next = this.held.shift()
        if (next === undefined) return
        this.time.running = this
        next.callback()
        this.drain()
      },
      'goes on',
      this.name
    )
  }
}

export type Outcome<T> = { readonly value: T } | { readonly error: Error }
