/**
 * The answer of a workload, computed one event after the other, with nothing of the runtime: what each sink gets, what each key
 * holds, what fails.
 *
 * `feed` takes the records of a prefix of the input; `settle` fires the timers and windows that watermarks have reached. Since the
 * answer does not depend on the interleaving, `feed` and `settle` with the positions and watermarks of a checkpoint give precisely
 * the state that it must hold, and its outputs so far; called for one checkpoint after another they do the work of one run.
 */
import { DueHeap } from './due-heap.ts'
import { ModelWindows } from './model-windows.ts'
import { normalActor, normalDedupe, normalWindow } from './normal-state.ts'
import { addHash, nextRegister, type Item, type Op, type Program, type Row } from './program.ts'
import type { Pending } from './program-actor.ts'
import type { Inputs } from './random-inputs.ts'
import {
  rowOf,
  strayLane,
  throughLeg,
  windowItem,
  type ActorShape,
  type DedupeShape,
  type Leg,
  type Shape,
  type StageShape,
  type WindowShape
} from './shape.ts'

export interface ModelLetter {
  readonly stage: string
  readonly key: string | undefined
  /** Of the event, or the malformed text. */
  readonly event: string
  readonly w: number
  readonly trace: string
}

class ModelActor {
  count = 0
  hash = 0
  kept = 0
  emitted = 0
  readonly violation = ''
  readonly sent = new Map<string, number>()
  readonly registers = new Map<string, number>()
  readonly pending = new Map<string, Pending>()
  readonly alarms = new Map<string, number>()
  readonly rang: ReadonlySet<string> = new Set()
  readonly map = new Map<string, number>()
}

type KeyState = ModelActor | ModelWindows | { until: number }

interface Work {
  readonly stage: number
  readonly item: Item
  readonly time: number
  /** Of the record that it comes from; '' = a timer or window. */
  readonly trace: string
}
/** What a handler runs for. */
type Cause = Pick<Work, 'time' | 'trace'>

interface DueTimer {
  readonly at: number
  /** Index of the stage: upstream first. */
  readonly order: number
  readonly key: string
  /** Of a timer; '' = a window or an id to forget. */
  readonly name: string
}

/** Up to where event time has got at a stage for a key. */
export type WatermarkOf = (stage: StageShape, key: string) => number

export class Model {
  readonly rows = new Map<string, Row[]>()
  /** Trace contexts of the rows. */
  readonly traces = new Map<string, string[]>()
  readonly letters: ModelLetter[] = []
  private readonly shape: Shape
  private readonly inputs: Inputs
  private readonly positions: number[][]
  private readonly states: Map<string, KeyState>[]
  private readonly touched: Set<string>[]
  private readonly queue: Work[] = []
  private readonly due = new DueHeap<DueTimer>()

  constructor(shape: Shape, inputs: Inputs) {
    this.shape = shape
    this.inputs = inputs
    this.positions = inputs.map(partitions => partitions.map(() => 0))
    this.states = shape.stages.map(() => new Map<string, KeyState>())
    this.touched = shape.stages.map(() => new Set<string>())
  }

  /** Takes the records before `upTo` that were not taken yet. */
  feed(upTo: (source: number, partition: number) => number): void {
    this.inputs.forEach((partitions, source) => {
      partitions.forEach((records, partition) => {
        const from = this.positions[source]?.[partition] ?? 0
        const to = Math.min(records.length, upTo(source, partition))
        for (let i = from; i < to; i++) this.take(source, partition, i)
        ;(this.positions[source] as number[])[partition] = Math.max(from, to)
      })
    })
  }

  settle(watermarkOf: WatermarkOf): void {
    const waiting: DueTimer[] = []
    for (let next = this.due.pop(); next !== undefined; next = this.due.pop()) {
      const stage = this.shape.stages[next.order] as StageShape
      if (next.at <= watermarkOf(stage, next.key)) this.fire(stage, next)
      else waiting.push(next)
    }
    for (const each of waiting) this.due.push(each)
  }

  /** Everything, to the end. */
  finish(): this {
    this.feed(() => Infinity)
    this.settle(() => Infinity)
    return this
  }

  /** A key's state as text; undefined: it has none. */
  stateOf(stage: number, key: string): string | undefined {
    const state = this.states[stage]?.get(key)
    if (state === undefined) return undefined
    if (state instanceof ModelActor) return normalActor(state, state.map)
    if (!(state instanceof ModelWindows)) return normalDedupe(state.until)
    const { holds } = state
    return holds === undefined ? undefined : normalWindow(holds)
  }

  keysOf(stage: number): Iterable<string> {
    return this.states[stage]?.keys() ?? []
  }

  /** Keys that changed since the last call. */
  takeTouched(stage: number): ReadonlySet<string> {
    const touched = this.touched[stage] ?? new Set()
    this.touched[stage] = new Set()
    return touched
  }

  private take(source: number, partition: number, index: number): void {
    const { name, lanes } = this.shape.sources[source] as Shape['sources'][number]
    const input = this.inputs[source]?.[partition]?.[index] as Inputs[number][number][number]
    const { record, value, trace } = input
    if (record === undefined) {
      this.letters.push({ stage: name, key: undefined, event: new TextDecoder().decode(value), w: 0, trace })
      return
    }
    const { id, key, owner, w, v, ops, seq, lane, at } = record
    if (lane === strayLane) return
    this.leave(
      lanes[lane] as readonly Leg[],
      { id, key, owner, w, v, ops, seq, from: `${name}/${partition}` },
      at,
      trace
    )
    this.drain()
  }

  private leave(legs: readonly Leg[], item: Item, time: number, trace: string): void {
    for (const leg of legs)
      for (const out of throughLeg(item, leg))
        if (leg.to.kind === 'stage') this.queue.push({ stage: leg.to.stage, item: out, time, trace })
        else {
          const { name } = this.shape.sinks[leg.to.sink] as Shape['sinks'][number]
          append(this.rows, name, rowOf(out, leg))
          append(this.traces, name, trace)
        }
  }

  private drain(): void {
    for (let i = 0; i < this.queue.length; i++) this.deliver(this.queue[i] as Work)
    this.queue.length = 0
  }

  private deliver(work: Work): void {
    const { stage, item } = work
    const shape = this.shape.stages[stage] as StageShape
    this.touched[stage]?.add(shape.kind === 'dedupe' ? item.id : item.key)
    switch (shape.kind) {
      case 'actor':
        return this.receive(shape, work)
      case 'window':
        return this.collect(shape, work)
      case 'dedupe':
        return this.dedupe(shape, work)
    }
  }

  private receive(shape: ActorShape, { item, time, trace }: Work): void {
    if (item.ops.some(({ op }) => op === 'throw')) {
      this.letters.push({ stage: shape.name, key: item.key, event: item.id, w: item.w, trace })
      return
    }
    const states = this.states[shape.index] as Map<string, KeyState>
    let state = states.get(item.key) as ModelActor | undefined
    if (state === undefined) states.set(item.key, (state = new ModelActor()))
    this.run(shape, state, item.key, item, { time, trace })
  }

  private run(shape: ActorShape, state: ModelActor, key: string, program: Program, cause: Cause): void {
    state.count++
    state.hash = addHash(state.hash, program.id)
    state.kept += program.w
    program.ops.forEach((op, i) => this.perform(shape, state, key, program, op, `${program.id}.${i}`, cause))
  }

  private perform(
    shape: ActorShape,
    state: ModelActor,
    key: string,
    { owner }: Program,
    op: Op,
    id: string,
    { time, trace }: Cause
  ): void {
    const out = (program: Program, seq: number, way: string): Item => ({
      ...program,
      from: `${shape.name}:${key}${way}`,
      seq
    })
    const sent = (receiver: string): void => void state.sent.set(receiver, (state.sent.get(receiver) ?? 0) + 1)
    switch (op.op) {
      case 'set':
        state.registers.set(owner, nextRegister(state.registers.get(owner) ?? 0, op.v))
        return
      case 'emit':
        state.kept -= op.w
        this.leave(shape.main, out({ id, key, owner: '', w: op.w, v: op.v, ops: [] }, state.emitted++, ''), time, trace)
        return
      case 'send':
        state.kept -= op.item.w
        sent(`${op.to}:${op.item.key}`)
        this.queue.push({ stage: op.to, item: out(op.item, 0, '>'), time, trace })
        return
      case 'next':
        state.kept -= op.item.w
        sent(`~${op.item.key}`)
        this.leave(shape.next, out(op.item, 0, '~'), time, trace)
        return
      case 'arm':
        state.kept += (state.pending.get(op.name)?.program.w ?? 0) - op.program.w
        state.pending.set(op.name, { at: time + op.after, program: op.program })
        this.due.push({ at: time + op.after, order: shape.index, key, name: op.name })
        return
      case 'cancel':
        state.kept += state.pending.get(op.name)?.program.w ?? 0
        state.pending.delete(op.name)
        return
      case 'alarm':
        state.kept -= op.w
        state.alarms.set(op.name, op.w)
        return
      case 'put':
        state.kept -= op.w
        state.map.set(op.name, (state.map.get(op.name) ?? 0) + op.w)
        return
      case 'take':
        state.kept += state.map.get(op.name) ?? 0
        state.map.delete(op.name)
        return
      case 'close': {
        let w = state.kept
        for (const name of op.entries) w += state.map.get(name) ?? 0
        for (const armed of state.pending.values()) w += armed.program.w
        this.states[shape.index]?.delete(key)
        this.leave(shape.main, out({ id, key, owner: '', w, v: op.v, ops: [] }, state.emitted++, ''), time, trace)
        return
      }
      case 'sleep':
      case 'throw':
        return
    }
  }

  private collect(shape: WindowShape, { item, time }: Work): void {
    const states = this.states[shape.index] as Map<string, KeyState>
    let state = states.get(item.key) as ModelWindows | undefined
    if (state === undefined) states.set(item.key, (state = new ModelWindows(shape)))
    for (const at of state.add(item, time)) this.due.push({ at, order: shape.index, key: item.key, name: '' })
  }

  private dedupe(shape: DedupeShape, { item, time, trace }: Work): void {
    const states = this.states[shape.index] as Map<string, KeyState>
    const state = states.get(item.id) as { until: number } | undefined
    if (state !== undefined && time < state.until) return
    const until = time + shape.withinMs
    states.set(item.id, { until })
    this.due.push({ at: until, order: shape.index, key: item.id, name: '' })
    this.leave(shape.main, { ...item, from: '' }, time, trace)
  }

  private fire(shape: StageShape, due: DueTimer): void {
    const states = this.states[shape.index] as Map<string, KeyState>
    const state = states.get(due.key)
    this.touched[shape.index]?.add(due.key)
    if (state instanceof ModelActor) {
      const armed = state.pending.get(due.name)
      if (armed?.at !== due.at) return
      state.pending.delete(due.name)
      this.run(shape as ActorShape, state, due.key, armed.program, { time: due.at, trace: '' })
    } else if (state instanceof ModelWindows) {
      for (const { start, end, totals } of state.close(due.at))
        this.leave(shape.main, windowItem(shape.name, due.key, { start, end }, totals), end - 1, '')
    } else if (state?.until === due.at) states.delete(due.key)
    this.drain()
  }
}

function append<T>(lists: Map<string, T[]>, name: string, value: T): void {
  const list = lists.get(name)
  if (list === undefined) lists.set(name, [value])
  else list.push(value)
}
