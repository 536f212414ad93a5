/** The actor of a workload: runs the programs that come to it, and notes what it must never see. */
import { Actor, type ActorClass, type Context } from '../../actors/actor.ts'
import { output } from '../../actors/actor.ts'
import { durableMap, type DurableMap } from '../../actors/durable-map.ts'
import { addHash, nextRegister, type Item, type Op, type Program } from './program.ts'
import type { ActorShape } from './shape.ts'

export type Sleep = (ms: number) => Promise<void>

export interface Pending {
  readonly at: number
  readonly program: Program
}

/** What failed on purpose says so. */
export const thrown = 'thrown by the program'

const nextOutput = output<Item>()
const rangOutput = output<Item>()

type Ctx = Context<Item>

abstract class ProgramActor extends Actor {
  count = 0
  hash = 0
  emitted = 0
  /** What it must never see, told here because a handler that throws leaves no trace. */
  violation = ''
  readonly last = new Map<string, number>()
  readonly sent = new Map<string, number>()
  readonly registers = new Map<string, number>()
  readonly pending = new Map<string, Pending>()
  readonly alarms = new Map<string, number>()
  readonly rang = new Set<string>()

  /** Weight that went nowhere. */
  abstract kept: number
  abstract get shape(): ActorShape
  abstract get stages(): readonly ActorClass[]
  abstract get sleep(): Sleep
  protected abstract put(name: string, w: number): void
  protected abstract take(name: string): number

  override receive(item: Item, ctx: Ctx): void | Promise<void> {
    this.count++
    this.hash = addHash(this.hash, item.id)
    this.kept += item.w
    if (item.key !== ctx.key) this.note(`"${item.id}" for key ${item.key} came to key ${ctx.key}`)
    if (item.from !== '') {
      const last = this.last.get(item.from)
      if (last !== undefined && item.seq <= last)
        this.note(`"${item.id}" has number ${item.seq} from ${item.from}, after ${last}`)
      this.last.set(item.from, item.seq)
    }
    return this.run(item, 0, ctx)
  }

  override onTimer(name: string, ctx: Ctx): void | Promise<void> {
    const armed = this.pending.get(name)
    if (armed === undefined) return this.note(`timer ${name} fired at ${ctx.time} though it was not armed`)
    if (armed.at !== ctx.time) this.note(`timer ${name} of ${armed.at} fired at ${ctx.time}`)
    this.pending.delete(name)
    return this.runArmed(armed.program, ctx)
  }

  override onAlarm(name: string, ctx: Ctx): void {
    const w = this.alarms.get(name)
    if (w === undefined) return this.note(`alarm ${name} rang though it was not armed`)
    this.alarms.delete(name)
    this.rang.add(name)
    this.kept += w
    const { name: stage } = this.shape
    ctx.emitTo(rangOutput, { id: name, from: '', seq: 0, key: ctx.key, owner: stage, w: 0, v: 0, ops: [] })
  }

  private runArmed(program: Program, ctx: Ctx): void | Promise<void> {
    this.count++
    this.hash = addHash(this.hash, program.id)
    this.kept += program.w
    return this.run(program, 0, ctx)
  }

  private run(program: Program, from: number, ctx: Ctx): void | Promise<void> {
    for (let i = from; i < program.ops.length; i++) {
      const op = program.ops[i] as Op
      if (op.op === 'sleep') return this.sleep(op.ms).then(() => this.run(program, i + 1, ctx))
      this.perform(op, program, `${program.id}.${i}`, ctx)
    }
  }

  private perform(op: Exclude<Op, { op: 'sleep' }>, program: Program, id: string, ctx: Ctx): void {
    const { registers, pending } = this
    switch (op.op) {
      case 'set':
        registers.set(program.owner, nextRegister(registers.get(program.owner) ?? 0, op.v))
        return
      case 'emit':
        this.kept -= op.w
        ctx.emit(this.item({ id, key: ctx.key, owner: '', w: op.w, v: op.v, ops: [] }, '', this.emitted++, ctx))
        return
      case 'send':
        this.kept -= op.item.w
        ctx.send(
          this.stages[op.to] as ActorClass,
          op.item.key,
          this.item(op.item, '>', this.numberOf(`${op.to}:${op.item.key}`), ctx) as never
        )
        return
      case 'next':
        this.kept -= op.item.w
        ctx.emitTo(nextOutput, this.item(op.item, '~', this.numberOf(`~${op.item.key}`), ctx))
        return
      case 'arm':
        this.kept += (pending.get(op.name)?.program.w ?? 0) - op.program.w
        pending.set(op.name, { at: ctx.time + op.after, program: op.program })
        ctx.timer(op.name, ctx.time + op.after)
        return
      case 'cancel': {
        const armed = pending.get(op.name)
        if (armed === undefined) return this.note(`timer ${op.name} is gone before it is cancelled`)
        this.kept += armed.program.w
        pending.delete(op.name)
        ctx.cancel(op.name)
        return
      }
      case 'alarm':
        this.kept -= op.w
        this.alarms.set(op.name, op.w)
        ctx.alarm(op.name, ctx.now + op.after)
        return
      case 'put':
        this.kept -= op.w
        this.put(op.name, op.w)
        return
      case 'take':
        this.kept += this.take(op.name)
        return
      case 'close': {
        let w = this.kept
        for (const name of op.entries) w += this.take(name)
        for (const armed of pending.values()) w += armed.program.w
        ctx.emit(this.item({ id, key: ctx.key, owner: '', w, v: op.v, ops: [] }, '', this.emitted++, ctx))
        ctx.forget()
        return
      }
      case 'throw':
        throw new Error(thrown)
    }
  }

  private item(program: Program, way: string, seq: number, ctx: Ctx): Item {
    return { ...program, from: `${this.shape.name}:${ctx.key}${way}`, seq }
  }

  private numberOf(receiver: string): number {
    const n = this.sent.get(receiver) ?? 0
    this.sent.set(receiver, n + 1)
    return n
  }

  private note(violation: string): void {
    if (this.violation === '') this.violation = violation
  }
}

abstract class PlainActor extends ProgramActor {
  protected override put(): void {
    throw new TypeError('no map')
  }
  protected override take(): number {
    throw new TypeError('no map')
  }
}

abstract class MapActor extends ProgramActor {
  readonly map: DurableMap<string, number> = durableMap()

  protected override put(name: string, w: number): void {
    this.map.update(name, before => (before ?? 0) + w)
  }
  protected override take(name: string): number {
    const w = this.map.get(name) ?? 0
    this.map.delete(name)
    return w
  }
}

/** Of which build of the job: the second stores one field otherwise, and under another name. */
export type Build = 1 | 2

/** `stages`: by index of the stage; filled before anything runs. */
export function programActor(shape: ActorShape, stages: readonly ActorClass[], sleep: Sleep, build: Build): ActorClass {
  const outputs = { next: nextOutput, rang: rangOutput }
  const base = (shape.maps ? MapActor : PlainActor) as typeof PlainActor
  abstract class Placed extends base {
    static readonly actorName = shape.name
    static readonly outputs = outputs
    override get shape(): ActorShape {
      return shape
    }
    override get stages(): readonly ActorClass[] {
      return stages
    }
    override get sleep(): Sleep {
      return sleep
    }
  }
  const placed = Placed as unknown as Unbuilt
  return build === 1 ? firstBuild(placed) : secondBuild(placed)
}

/** What a build adds its stored field to. */
type Unbuilt = new () => { [K in Exclude<keyof ProgramActor, 'kept'>]: ProgramActor[K] }

function firstBuild(base: Unbuilt): ActorClass {
  return class extends base {
    kept = 0
  }
}

function secondBuild(base: Unbuilt): ActorClass {
  return class extends base {
    static readonly version = 2
    static migrate(old: { readonly kept: number }, from: number): object {
      if (from !== 1) throw new RangeError(`migrated from version ${from}`)
      return { doubled: 2 * old.kept }
    }
    doubled = 0
    get kept(): number {
      return this.doubled / 2
    }
    set kept(w: number) {
      this.doubled = 2 * w
    }
  }
}
