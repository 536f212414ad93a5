/** Random records, each a program for the stages that its lane leads to. */
import type { Prng } from '../../runtime/kernel/prng.ts'
import type { Op, Program, SourceRecord } from './program.ts'
import { realLeg, sendsInLoops, type ActorShape, type Leg, type Shape, type SourceShape } from './shape.ts'

export interface InputRecord {
  readonly timestamp: number
  readonly value: Uint8Array
  /** What the bytes hold; undefined: they are malformed. */
  readonly record: SourceRecord | undefined
}
/** By source, by partition. */
export type Inputs = readonly (readonly (readonly InputRecord[])[])[]

export interface InputOptions {
  readonly records: number
  /** Keys in the job. */
  readonly keys: number
  /** 1 = all keys alike; more: fewer keys get most. */
  readonly skew: number
  /** In how many of a hundred records. */
  readonly malformed: number
  readonly throws: number
  readonly repeats: number
}

const encoder = new TextEncoder()
const firstTime = 1_000_000
const deepest = 2

/** The stage at the end of a real leg, through dedupes, and whether order is kept on the way. */
function programTarget(shape: Shape, legs: readonly Leg[]): { stage: ActorShape; ordered: boolean } | undefined {
  let ordered = true
  for (let leg = realLeg(legs); leg?.to.kind === 'stage';) {
    const stage = shape.stages[leg.to.stage]
    if (stage === undefined || stage.kind === 'window') return undefined
    if (stage.kind === 'actor') return { stage, ordered }
    ordered = false
    leg = realLeg(stage.main)
  }
  return undefined
}

/** Makes programs; remembers which timers and map entries an owner has, so that what it does to them is legal. */
class Programs {
  private readonly random: Prng
  private readonly shape: Shape
  private readonly options: InputOptions
  /** By stage, key and owner: where each timer stands. */
  private readonly timers = new Map<string, Map<string, number>>()
  private readonly entries = new Map<string, Set<string>>()
  private readonly loops: ReadonlySet<string>
  private names = 0

  constructor(random: Prng, shape: Shape, options: InputOptions) {
    this.loops = sendsInLoops(shape)
    this.random = random
    this.shape = shape
    this.options = options
  }

  key(): string {
    const { keys, skew } = this.options
    return `k${Math.floor(keys * this.random.next() ** skew)}`
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
        return this.arm(stage, key, mine ? owner : '', id, at, depth, dry, back, spend)
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
    const target = this.shape.stages[to] as ActorShape
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
    return { op: 'next', item: this.child(found?.stage, path, id, at, depth, dry, false, spend) }
  }

  private child(
    target: ActorShape | undefined,
    owner: string,
    id: string,
    at: number,
    depth: number,
    dry: boolean,
    back: boolean,
    spend: () => number
  ): Program {
    const program = { id, key: this.key(), owner, w: spend(), v: this.random.int(1000) }
    const runs = target !== undefined && depth < deepest && !dry
    return { ...program, ops: runs ? this.ops(target, program, at, depth + 1, dry, back) : [] }
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

interface PartitionDraft {
  readonly source: number
  readonly partition: number
  readonly records: InputRecord[]
  greatest: number
  /** Time between two records, about. */
  readonly step: number
}

export function randomInputs(random: Prng, shape: Shape, options: InputOptions): Inputs {
  const programs = new Programs(random.fork('programs'), shape, options)
  const drafts = shape.sources.map((source, s) =>
    Array.from({ length: source.partitions }, (_, partition): PartitionDraft => {
      const step = 2 + random.int(12)
      return { source: s, partition, records: [], greatest: firstTime + 2 * random.int(20), step }
    })
  )
  const all = drafts.flat()
  for (let made = 0; made < options.records;) {
    // The one that is furthest behind, mostly: partitions cover about the same times.
    const behind = all.reduce((a, b) => (b.greatest < a.greatest ? b : a))
    const draft = random.int(4) === 0 ? (all[random.int(all.length)] as PartitionDraft) : behind
    made += addRecords(draft, random, shape, programs, options)
  }
  return drafts.map(partitions => partitions.map(({ records }) => records))
}

/** One record, or one that comes twice. */
function addRecords(
  draft: PartitionDraft,
  random: Prng,
  shape: Shape,
  programs: Programs,
  options: InputOptions
): number {
  const source = shape.sources[draft.source] as SourceShape
  const { records, partition } = draft
  draft.greatest += 2 * random.int(draft.step)
  const at = draft.greatest - 2 * random.int(source.boundMs / 2)
  if (random.int(100) < options.malformed) {
    records.push({ timestamp: at, value: encoder.encode(`{"malformed ${records.length}`), record: undefined })
    return 1
  }
  const lane = random.int(source.lanes.length)
  const legs = source.lanes[lane] as readonly Leg[]
  const id = `${source.name}/${partition}/${records.length}`
  const found = programTarget(shape, legs)
  const owner = found?.ordered === true ? `${draft.source}/${partition}/${lane}` : ''
  const program = { id, key: programs.key(), owner, w: 1 + random.int(100), v: random.int(1000) }
  const ops = found === undefined ? [] : programs.ops(found.stage, program, at, 0, false, false)
  const add = (record: SourceRecord): void => {
    records.push({ timestamp: record.at, value: encoder.encode(JSON.stringify(record)), record })
  }
  const record = { ...program, ops, at, partition, seq: records.length, lane }
  add(record)
  const to = realLeg(legs)?.to
  const deduped = to?.kind === 'stage' && shape.stages[to.stage]?.kind === 'dedupe'
  if (!deduped || random.int(100) >= options.repeats) return 1
  add({ ...record, w: 0, ops: [], seq: records.length, at: draft.greatest - 2 * random.int(source.boundMs / 2) })
  return 2
}
