/** Random programs, each legal for what its owner did before. */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Op, Program } from './program.ts'
import { realLeg, sendsInLoops, type ActorShape, type Leg, type Shape } from './shape.ts'

export interface ProgramOptions {
  /** Keys in the job. */
  readonly keys: number
  /** Keys that a careless encoding would mix up. */
  readonly odd: boolean
  /** 1 = all keys alike; more: fewer keys get most. */
  readonly skew: number
  /** In how many of a hundred events. */
  readonly throws: number
}

const deepest = 2
const oddKeys = ['', '\u0000', '\u0000["k0"]', 'k', '\ud800', '\ufffd', 'ключ/:#', '\u00ff\u0001'] as const

/**
 * The stage at the end of a real leg, through dedupes; whether order is kept on the way; whether nothing else of the item may come
 * there.
 */
export function programTarget(
  shape: Shape,
  legs: readonly Leg[]
): { stage: ActorShape; ordered: boolean; alone: boolean } | undefined {
  let ordered = true
  let alone = legs.length === 1
  let split = false
  for (let leg = realLeg(legs); leg?.to.kind === 'stage';) {
    const stage = shape.stages[leg.to.stage]
    if (stage === undefined || stage.kind === 'window') return undefined
    split ||= leg.step === 'split'
    // The parts of one item may change places behind a dedupe.
    if (stage.kind === 'actor') return { stage, ordered, alone: alone && (ordered || !split) }
    ordered = false
    alone &&= stage.main.length === 1
    leg = realLeg(stage.main)
  }
  return undefined
}

/** Makes programs; remembers which timers and map entries an owner has, so that what it does to them is legal. */
export class Programs {
  private readonly random: Prng
  private readonly shape: Shape
  private readonly options: ProgramOptions
  /** By stage, key and owner: where each timer stands. */
  private readonly timers = new Map<string, Map<string, number>>()
  private readonly entries = new Map<string, Set<string>>()
  private readonly loops: ReadonlySet<string>
  private names = 0

  constructor(random: Prng, shape: Shape, options: ProgramOptions) {
    this.loops = sendsInLoops(shape)
    this.random = random
    this.shape = shape
    this.options = options
  }

  key(): string {
    const { keys, skew, odd } = this.options
    const n = Math.floor(keys * this.random.next() ** skew)
    return (odd ? oddKeys[n] : undefined) ?? `k${n}`
  }

  /** Is made by one program, and forgotten by it or by its timer. */
  private onceOps(stage: ActorShape, program: Omit<Program, 'ops'>, back: boolean): Op[] {
    const { random } = this
    const ops: Op[] = []
    let left = program.w
    const entries = stage.maps ? Array.from({ length: random.int(3) }, (_, i) => `m${i}`) : []
    for (const name of entries) {
      const w = random.int(left + 1)
      left -= w
      ops.push({ op: 'put', name, w })
    }
    const close = { op: 'close', v: random.int(1000), entries } as const
    if (random.int(3) === 0 || (back && !this.shape.lateTimers)) return [...ops, close]
    const { id, key } = program
    const later = { id: `${id}.t`, key, owner: '', w: random.int(left + 1), v: 0, ops: [close] }
    return [...ops, { op: 'arm', name: `t${this.names++}`, after: this.after(), program: later }]
  }

  /** What an event of a source does. */
  first(found: ReturnType<typeof programTarget>, made: Omit<Program, 'key' | 'ops'>, at: number): Program {
    if (found?.alone === true && this.random.int(12) === 0) {
      const program = { ...made, key: `once ${made.id}` }
      return { ...program, ops: this.onceOps(found.stage, program, false) }
    }
    const program = { ...made, key: this.key() }
    return { ...program, ops: found === undefined ? [] : this.ops(found.stage, program, at, 0, false, false) }
  }

  /** `dry`: it will be undone, so nothing counts. `back`: it came through a loop, so its time may be over. */
  ops(stage: ActorShape, program: Omit<Program, 'ops'>, at: number, depth: number, dry: boolean, back: boolean): Op[] {
    const { random } = this
    const throws = !dry && depth === 0 && stage.onError === 'dead-letter' && random.int(100) < this.options.throws
    const ops: Op[] = []
    let left = program.w
    const spend = (): number => {
      const w = random.int(left + 1)
      left -= w
      return w
    }
    const count = random.int(depth === 0 ? 4 : 3)
    for (let i = 0; i < count; i++)
      ops.push(this.op(stage, program, `${program.id}.${i}`, at, depth, dry || throws, back, spend))
    if (throws) ops.push({ op: 'throw' })
    return ops
  }

  private op(
    stage: ActorShape,
    { key, owner }: Omit<Program, 'ops'>,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Op {
    const { random } = this
    const emit = (): Op => ({ op: 'emit', w: spend(), v: random.int(1000) })
    const mine = owner !== '' && !dry && !back
    switch (random.int(16)) {
      case 0:
      case 1:
        return owner === '' || dry ? emit() : { op: 'set', v: random.int(1000) }
      case 2:
      case 3:
      case 4:
        return this.send(stage, key, owner, id, at, depth, dry, back, spend) ?? emit()
      case 5:
      case 6:
        return back ? emit() : (this.next(stage, key, owner, id, at, depth, dry, spend) ?? emit())
      case 7:
      case 8:
        return back && !this.shape.lateTimers
          ? emit()
          : this.arm(stage, key, mine ? owner : '', id, at, depth, dry, back, spend)
      case 9:
        return (mine ? this.rearm(stage, key, owner, id, at, depth, spend) : undefined) ?? emit()
      case 10:
        return stage.maps ? this.put(stage, key, mine ? owner : '', spend) : emit()
      case 11:
        return (stage.maps && mine ? this.take(stage, key, owner) : undefined) ?? emit()
      case 12:
        return stage.alarms ? { op: 'alarm', name: `!${id}`, after: 1 + random.int(2000), w: spend() } : emit()
      case 13:
        return stage.sleeps && random.int(4) === 0 ? { op: 'sleep', ms: 1 + random.int(20) } : emit()
      default:
        return emit()
    }
  }

  private send(
    stage: ActorShape,
    key: string,
    owner: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Op | undefined {
    const to = stage.sends[this.random.int(stage.sends.length)]
    if (to === undefined) return undefined
    const target = { stage: this.shape.stages[to] as ActorShape, alone: true }
    const goesBack = back || this.loops.has(`${stage.index}>${to}`)
    return {
      op: 'send',
      to,
      item: this.child(target, owner && `${owner}>${stage.index}${key}`, id, at, depth, dry, goesBack, spend)
    }
  }

  private next(
    stage: ActorShape,
    key: string,
    owner: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    spend: () => number
  ): Op | undefined {
    if (stage.next.length === 0) return undefined
    const found = programTarget(this.shape, stage.next)
    const path = owner !== '' && found?.ordered === true ? `${owner}~${stage.index}${key}` : ''
    return { op: 'next', item: this.child(found, path, id, at, depth, dry, false, spend) }
  }

  private child(
    target: { readonly stage: ActorShape; readonly alone: boolean } | undefined,
    owner: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Program {
    const made = { id, owner, w: spend(), v: this.random.int(1000) }
    const runs = target !== undefined && depth < deepest && !dry
    if (runs && target.alone && this.random.int(12) === 0) {
      const program = { ...made, key: `once ${id}` }
      return { ...program, ops: this.onceOps(target.stage, program, back) }
    }
    const program = { ...made, key: this.key() }
    return { ...program, ops: runs ? this.ops(target.stage, program, at, depth + 1, dry, back) : [] }
  }

  private arm(
    stage: ActorShape,
    key: string,
    owner: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Op {
    const after = this.after()
    const name = `t${this.names++}`
    if (owner !== '') this.timersOf(stage, key, owner).set(name, at + after)
    return { op: 'arm', name, after, program: this.later(stage, key, id, at + after, depth, dry, back, spend) }
  }

  /** Arms again or cancels a timer that cannot have fired when a program of time `at` comes. */
  private rearm(
    stage: ActorShape,
    key: string,
    owner: string,
    id: string,
    at: number,
    depth: number,
    spend: () => number
  ): Op | undefined {
    const timers = this.timersOf(stage, key, owner)
    for (const [name, due] of timers) if (due <= at - 1000) timers.delete(name)
    const live = [...timers].filter(([, due]) => due > at)
    const [name] = live[this.random.int(live.length)] ?? []
    if (name === undefined) return undefined
    if (this.random.int(2) === 0) {
      timers.delete(name)
      return { op: 'cancel', name }
    }
    const after = this.after()
    timers.set(name, at + after)
    return { op: 'arm', name, after, program: this.later(stage, key, id, at + after, depth, false, false, spend) }
  }

  /** What a timer does: its programs have no owner, since they are in no order with those of events. */
  private later(
    stage: ActorShape,
    key: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Program {
    const program = { id, key, owner: '', w: spend(), v: 0 }
    const runs = depth < deepest && !dry
    return { ...program, ops: runs ? this.ops(stage, program, at, depth + 1, dry, back) : [] }
  }

  private put(stage: ActorShape, key: string, owner: string, spend: () => number): Op {
    if (owner === '' || this.random.int(2) === 0) return { op: 'put', name: `shared${this.random.int(3)}`, w: spend() }
    const name = `${owner}/${this.random.int(3)}`
    this.entriesOf(stage, key, owner).add(name)
    return { op: 'put', name, w: spend() }
  }

  private take(stage: ActorShape, key: string, owner: string): Op | undefined {
    const entries = this.entriesOf(stage, key, owner)
    const name = [...entries][this.random.int(entries.size)]
    if (name === undefined) return undefined
    entries.delete(name)
    return { op: 'take', name }
  }

  /** Even, as all event times. */
  private after(): number {
    return 2 * (1 + this.random.int(60))
  }
  private timersOf(stage: ActorShape, key: string, owner: string): Map<string, number> {
    return of(this.timers, `${stage.index}|${key}|${owner}`, () => new Map<string, number>())
  }
  private entriesOf(stage: ActorShape, key: string, owner: string): Set<string> {
    return of(this.entries, `${stage.index}|${key}|${owner}`, () => new Set<string>())
  }
}

function of<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
