/** The engine around a job with so much state: filled a piece at a time, then changed as widely as is asked. */
import { files, job, json, lines, type Context } from '../actors/index.ts'
import type { StoreKind } from '../actors/plan.ts'
import { chooseTextBytes, Document } from './document.ts'
import { handled, startEngine, type Engine } from './engine.ts'
import { EventBytes, EventReader, type Events, type Payment } from './events.ts'

export interface SizedState {
  readonly keys: number
  /** Of text in each actor, beside two numbers; default: none. */
  readonly textBytes?: number
  /** Default: memory. */
  readonly store?: StoreKind
}

/** What a document takes in a checkpoint without its text, roughly: key, two numbers, frame. */
export const restBytes = 40
/** Of state, between two checkpoints while it is filled. */
const stepBytes = 40 * 1024 * 1024
/** Nothing but the bench is to ask for a checkpoint. */
const pendingLimitBytes = 16 * 1024 ** 3
const sayEveryMs = 2000

export class Account extends Document {
  receive(payment: Payment, _ctx: Context<never>): void {
    this.add(payment)
  }
}

export function documents(
  actor: typeof Account,
  options: { readonly store?: StoreKind; readonly cache?: number; readonly interval?: number } = {}
) {
  return job(
    'documents',
    j => ({
      out: j
        .source('payments', lines('unused', json<Payment>()))
        .keyBy(payment => payment.account)
        .actor(actor)
        .to('out', files('unused', json<never>()))
    }),
    { interval: 3_600_000, ...options }
  )
}

/** Every key once, in order, then `changed` of them over and over, spread out over all. Never ends. */
class ChangingEvents implements Events {
  readonly count = Number.MAX_SAFE_INTEGER
  private readonly keys: number
  private from = 0
  private changes: EventBytes | undefined

  constructor(keys: number) {
    this.keys = keys
  }

  change(from: number, changed: number, round: number): void {
    const stride = Math.max(1, Math.floor(this.keys / changed))
    this.from = from
    this.changes = new EventBytes(changed, this.keys, 'uniform', undefined, i => i * stride + (round % stride))
  }

  value(i: number): Uint8Array {
    if (i < this.keys || this.changes === undefined)
      return Buffer.from(`{"account":"acc-${i}","amount":${i % 1000}}`, 'latin1')
    return this.changes.value((i - this.from) % this.changes.count)
  }
}

export class Filled {
  readonly engine: Engine
  private readonly events: ChangingEvents
  private readonly reader: EventReader

  private constructor(engine: Engine, events: ChangingEvents, reader: EventReader) {
    this.engine = engine
    this.events = events
    this.reader = reader
  }

  /** `begun` is told before the first event. */
  static async start(
    { keys, textBytes = 0, store = 'memory' }: SizedState,
    actor = Account,
    begun?: (engine: Engine) => void
  ): Promise<Filled> {
    chooseTextBytes(textBytes)
    const events = new ChangingEvents(keys)
    const reader = new EventReader(events, 0)
    const engine = await startEngine(documents(actor, { store }), reader, { limits: { pendingLimitBytes } })
    begun?.(engine)
    engine.shell.start()
    const filled = new Filled(engine, events, reader)
    const step = Math.ceil(stepBytes / (textBytes + restBytes))
    let said = performance.now()
    // A few first, so that no later checkpoint is the first ever.
    for (let n = Math.min(1000, keys); ; n = Math.min(keys, n + step)) {
      await filled.handle(n)
      await engine.shell.checkpoint()
      await engine.applied()
      if (performance.now() - said > sayEveryMs) {
        said = performance.now()
        process.stderr.write(`bench: ${n} of ${keys} keys are filled\n`)
      }
      if (n === keys) break
    }
    await engine.quiet()
    return filled
  }

  /** Handles `changed` events, each of another key; other keys in each of a few following rounds. */
  async change(changed: number, round: number): Promise<void> {
    const from = this.reader.hold()
    this.events.change(from, changed, round)
    await this.handle(from + changed)
  }

  /** The same keys are changed over and over, as fast as can be. */
  release(): void {
    this.reader.release(this.events.count)
  }

  /** Resolves when all that was read is handled, and no more is read. */
  async hold(): Promise<void> {
    await handled(this.engine, this.reader.hold())
  }

  private async handle(count: number): Promise<void> {
    this.reader.release(count)
    await handled(this.engine, count)
  }
}
