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

/** Where a program runs. */
interface Place {
  readonly stage: ActorShape
  /** Its event time. */
  readonly at: number
  readonly depth: number
  /** It will be undone, so nothing counts. */
  readonly dry: boolean
  /** It came through a loop, so its time may be over. */
  readonly back: boolean
}

/** Where one op is made. */
interface Spot extends Place {
  readonly key: string
  /** In whose order it stands; '' = in no order. */
  readonly owner: string
  readonly id: string
  /** Takes some of what the program has to give away. */
  readonly spend: () => number
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
    if (found === undefined) return { ...program, ops: [] }
    return { ...program, ops: this.ops(program, { stage: found.stage, at, depth: 0, dry: false, back: false }) }
  }

  private ops(program: Omit<Program, 'ops'>, place: Place): Op[] {
    const { random } = this
    const { stage, depth, dry } = place
    const throws = !dry && depth === 0 && stage.onError === 'dead-letter' && random.int(100) < this.options.throws
    const ops: Op[] = []
    let left = program.w
    const spend = (): number => {
      const w = random.int(left + 1)
      left -= w
      return w
    }
    const { key, owner } = program
    const count = random.int(depth === 0 ? 4 : 3)
    for (let i = 0; i < count; i++)
      ops.push(this.op({ ...place, key, owner, id: `${program.id}.${i}`, dry: dry || throws, spend }))
    if (throws) ops.push({ op: 'throw' })
    return ops
  }

  private op(spot: Spot): Op {
    const { random } = this
    const { stage, owner, id, dry, back, spend } = spot
    const emit = (): Op => ({ op: 'emit', w: spend(), v: random.int(1000) })
    const mine = owner !== '' && !dry && !back
    switch (random.int(16)) {
      case 0:
      case 1:
        return owner === '' || dry ? emit() : { op: 'set', v: random.int(1000) }
      case 2:
      case 3:
      case 4:
        return this.send(spot) ?? emit()
      case 5:
      case 6:
        return back ? emit() : (this.next(spot) ?? emit())
      case 7:
      case 8:
        return back && !this.shape.lateTimers ? emit() : this.arm(mine ? spot : { ...spot, owner: '' })
      case 9:
        return (mine ? this.rearm(spot) : undefined) ?? emit()
      case 10:
        return stage.maps ? this.put(mine ? spot : { ...spot, owner: '' }) : emit()
      case 11:
        return (stage.maps && mine ? this.take(spot) : undefined) ?? emit()
      case 12:
        return stage.alarms ? { op: 'alarm', name: `!${id}`, after: 1 + random.int(2000), w: spend() } : emit()
      case 13:
        return stage.sleeps && random.int(4) === 0 ? { op: 'sleep', ms: 1 + random.int(20) } : emit()
      default:
        return emit()
    }
  }

  private send(spot: Spot): Op | undefined {
    const { stage, key, owner, back } = spot
    const to = stage.sends[this.random.int(stage.sends.length)]
    if (to === undefined) return undefined
    const target = { stage: this.shape.stages[to] as ActorShape, alone: true }
    const path = owner && `${owner}>${stage.index}${key}`
    const goesBack = back || this.loops.has(`${stage.index}>${to}`)
    return { op: 'send', to, item: this.child({ ...spot, owner: path, back: goesBack }, target) }
  }

  private next(spot: Spot): Op | undefined {
    const { stage, key, owner } = spot
    if (stage.next.length === 0) return undefined
    const found = programTarget(this.shape, stage.next)
    const path = owner !== '' && found?.ordered === true ? `${owner}~${stage.index}${key}` : ''
    return { op: 'next', item: this.child({ ...spot, owner: path, back: false }, found) }
  }

  /** What the item sent from a spot does at its target; its owner and whether it goes back are the spot's. */
  private child(
    { owner, id, at, depth, dry, back, spend }: Spot,
    target: { readonly stage: ActorShape; readonly alone: boolean } | undefined
  ): Program {
    const made = { id, owner, w: spend(), v: this.random.int(1000) }
    const runs = target !== undefined && depth < deepest && !dry
    if (runs && target.alone && this.random.int(12) === 0) {
      const program = { ...made, key: `once ${id}` }
      return { ...program, ops: this.onceOps(target.stage, program, back) }
    }
    const program = { ...made, key: this.key() }
    return {
      ...program,
      ops: runs ? this.ops(program, { stage: target.stage, at, depth: depth + 1, dry, back }) : []
    }
  }

  private arm(spot: Spot): Op {
    const after = this.after()
    const name = `t${this.names++}`
    const at = spot.at + after
    if (spot.owner !== '') this.timersOf(spot).set(name, at)
    return { op: 'arm', name, after, program: this.later({ ...spot, at }) }
  }

  /** Arms again or cancels a timer that cannot have fired when a program of the spot's time comes. */
  private rearm(spot: Spot): Op | undefined {
    const timers = this.timersOf(spot)
    for (const [name, due] of timers) if (due <= spot.at - 1000) timers.delete(name)
    const live = [...timers].filter(([, due]) => due > spot.at)
    const [name] = live[this.random.int(live.length)] ?? []
    if (name === undefined) return undefined
    if (this.random.int(2) === 0) {
      timers.delete(name)
      return { op: 'cancel', name }
    }
    const after = this.after()
    const at = spot.at + after
    timers.set(name, at)
    return { op: 'arm', name, after, program: this.later({ ...spot, at }) }
  }

  /** What a timer does: its programs have no owner, since they are in no order with those of events. */
  private later({ stage, key, id, at, depth, dry, back, spend }: Spot): Program {
    const program = { id, key, owner: '', w: spend(), v: 0 }
    const runs = depth < deepest && !dry
    return { ...program, ops: runs ? this.ops(program, { stage, at, depth: depth + 1, dry, back }) : [] }
  }

  private put(spot: Spot): Op {
    const { owner, spend } = spot
    if (owner === '' || this.random.int(2) === 0) return { op: 'put', name: `shared${this.random.int(3)}`, w: spend() }
    const name = `${owner}/${this.random.int(3)}`
    this.entriesOf(spot).add(name)
    return { op: 'put', name, w: spend() }
  }

  private take(spot: Spot): Op | undefined {
    const entries = this.entriesOf(spot)
    const name = [...entries][this.random.int(entries.size)]
    if (name === undefined) return undefined
    entries.delete(name)
    return { op: 'take', name }
  }

  /** Even, as all event times. */
  private after(): number {
    return 2 * (1 + this.random.int(60))
  }
  private timersOf(spot: Spot): Map<string, number> {
    return of(this.timers, ownerAt(spot), () => new Map<string, number>())
  }
  private entriesOf(spot: Spot): Set<string> {
    return of(this.entries, ownerAt(spot), () => new Set<string>())
  }
}

const ownerAt = ({ stage, key, owner }: Spot): string => `${stage.index}|${key}|${owner}`

function of<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) map.set(key, (value = make()))
  return value
}
