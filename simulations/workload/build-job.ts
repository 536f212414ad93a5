/** Builds the job of a shape through the public API. */
import { job, json, session, sliding, sum, count, max, min, topic, tumbling } from '../../actors/index.ts'
import type {
  Aggregate,
  Job,
  JobBuilder,
  KeyedStream,
  Sink,
  Stream,
  Window,
  Windowed,
  WindowStage
} from '../../actors/index.ts'
import type { ActorClass } from '../../actors/actor.ts'
import { addHash, type Item, type Row, type SourceRecord, type StrayWindow } from './program.ts'
import { fleetingActor, fleetingId, fleetingKey, type FleetingEvent, type FleetingRow } from './fleeting.ts'
import { programActor, type Build, type Sleep } from './program-actor.ts'
import {
  enterLeg,
  strayLane,
  isThick,
  rowOf,
  splitItem,
  windowItem,
  type ActorShape,
  type FleetingShape,
  type Leg,
  type Shape,
  type SinkShape,
  type SourceShape,
  type StageShape,
  type StraysShape,
  type WindowShape
} from './shape.ts'

/** No partition ever counts as idle: else what is late would depend on the wall clock. */
const neverIdle = '1000d'

type Built = Record<string, Stream<unknown> | { readonly delivered: string }>

class JobMaker {
  private readonly j: JobBuilder
  private readonly shape: Shape
  private readonly classes: (ActorClass | undefined)[]
  /** What flows into each stage and sink. */
  private readonly intoStage: Stream<Item>[][]
  private readonly intoSink: Stream<Row>[][]
  private readonly rang: Stream<Item>[] = []
  private readonly late: Stream<Item>[] = []
  readonly handles: Built = {}

  constructor(j: JobBuilder, shape: Shape, sleep: Sleep, build: Build) {
    this.j = j
    this.shape = shape
    this.classes = new Array<ActorClass | undefined>(shape.stages.length).fill(undefined)
    shape.stages.forEach((stage, index) => {
      if (stage.kind === 'actor') this.classes[index] = programActor(stage, this.classes as ActorClass[], sleep, build)
    })
    this.intoStage = shape.stages.map(() => [])
    this.intoSink = shape.sinks.map(() => [])
  }

  make(): Built {
    for (const source of this.shape.sources) this.source(source)
    for (const stage of this.shape.stages) this.stage(stage)
    this.shape.sinks.forEach((sink, index) => this.sink(sink, this.intoSink[index] as Stream<Row>[]))
    const { alarmSink, lateSink } = this.shape
    if (alarmSink !== undefined) this.plain(alarmSink, this.rang)
    if (lateSink !== undefined) this.plain(lateSink, this.late)
    return this.handles
  }

  private source(source: SourceShape): void {
    const options = {
      outOfOrder: source.boundMs,
      idleAfter: neverIdle,
      onError: 'dead-letter',
      ...(source.ownTime ? { time: (record: SourceRecord) => record.at } : {})
    } as const
    const from = topic<SourceRecord>(`topic-${source.name}`, { value: json<SourceRecord>(), bounded: true })
    const records = this.j.source(source.name, from, options)
    this.handles[source.name] = records
    const { strays, fleeting } = this.shape
    if (strays !== undefined && this.shape.sources[strays.source] === source) this.strays(records, strays)
    if (fleeting !== undefined && this.shape.sources[fleeting.source] === source) this.fleeting(records, fleeting)
    source.lanes.forEach((legs, lane) => {
      const items = records.filter(record => record.lane === lane).map(record => itemOf(record, source))
      this.legs(items, legs)
    })
  }

  private strays(records: Stream<SourceRecord>, { name, sizeMs, latenessMs, sink, lateSink }: StraysShape): void {
    const windows = records
      .map(({ partition, seq, key }) => ({ id: `${partition}/${seq}`, key, from: '', w: 0 }))
      .keyBy(({ key }) => key)
      .window(tumbling(sizeMs), { name, ...(latenessMs === 0 ? {} : { lateness: latenessMs }) })
      .collect((items, { key, start, end, firing }): StrayWindow => {
        return { key, start, end, firing, ids: items.map(({ id }) => id), from: '', w: 0 }
      })
    this.handles[sink] = windows.to(sink, topic<StrayWindow>(`topic-${sink}`, { value: json<StrayWindow>() }))
    this.handles[lateSink] = windows.late.to(lateSink, topic(`topic-${lateSink}`, { value: json<unknown>() }))
  }

  private fleeting(records: Stream<SourceRecord>, shape: FleetingShape): void {
    const events = records
      .filter(({ lane }) => lane !== strayLane)
      .map((record): FleetingEvent => ({ id: fleetingId(record), key: fleetingKey(record) }))
    const rows = events.keyBy(({ key }) => key).actor(fleetingActor(shape) as never) as unknown as Stream<FleetingRow>
    this.handles[shape.sink] = rows.to(shape.sink, topic(`topic-${shape.sink}`, { value: json<FleetingRow>() }))
  }

  private stage(stage: StageShape): void {
    const inputs = this.intoStage[stage.index] as Stream<Item>[]
    switch (stage.kind) {
      case 'actor':
        return this.actor(stage, inputs)
      case 'window':
        return this.window(stage, keyed(inputs, stage.index))
      case 'dedupe': {
        const passed = merged(inputs).dedupe({ id: item => item.id, within: stage.withinMs, name: stage.name })
        return this.legs(
          passed.map(item => ({ ...item, from: '' })),
          stage.main
        )
      }
    }
  }

  private actor(stage: ActorShape, inputs: readonly Stream<Item>[]): void {
    const Class = this.classes[stage.index] as ActorClass
    const sends = stage.sends.map(to => this.classes[to] as ActorClass)
    const options = { onError: stage.onError, sends } as const
    // The class is made at run time, so what it takes and gives is not read off it.
    const made =
      inputs.length === 0
        ? this.j.actor(Class, options)
        : keyed(inputs, stage.index).actor(Class as never, options as never)
    const outputs = made as unknown as Stream<Item> & { output(name: string): Stream<Item> }
    this.legs(outputs, stage.main)
    if (stage.next.length > 0) this.legs(outputs.output('next'), stage.next)
    if (this.shape.alarmSink !== undefined) this.rang.push(outputs.output('rang'))
  }

  private window(stage: WindowShape, input: KeyedStream<Item, string>): void {
    const windowed = input.window(windowOf(stage), { name: stage.name })
    const result = stage.contents === 'aggregate' ? windowed.aggregate(totals) : windowed.collect(collectTotals)
    const { late } = result as WindowStage<Item, TotalsRow>
    this.late.push(late)
    this.legs(
      (result as Stream<TotalsRow>).map(row => windowItem(stage.name, row.key, row, row)),
      stage.main
    )
  }

  private legs(items: Stream<Item>, legs: readonly Leg[]): void {
    for (const leg of legs) {
      const entered = items.map(item => enterLeg(item, leg))
      const stepped =
        leg.step === 'split' ? entered.flatMap(splitItem) : leg.step === 'thin' ? entered.filter(isThick) : entered
      if (leg.to.kind === 'stage') (this.intoStage[leg.to.stage] as Stream<Item>[]).push(stepped)
      else (this.intoSink[leg.to.sink] as Stream<Row>[]).push(stepped.map(item => rowOf(item, leg)))
    }
  }

  private sink(sink: SinkShape, inputs: readonly Stream<Row>[]): void {
    if (inputs.length === 0) return
    const { name, delivery, partitions } = sink
    const key = sink.keyed ? { key: (row: Row) => row.key } : {}
    const into = topic<Row>(`topic-${name}`, { value: json<Row>(), partitions, ...key })
    this.handles[name] = merged(inputs).to(name, into, { delivery })
  }

  private plain(name: string, inputs: readonly Stream<Item>[]): void {
    const into: Sink<Item> = topic<Item>(`topic-${name}`, { value: json<Item>() })
    this.handles[name] = merged(inputs).to(name, into)
  }
}

function itemOf(record: SourceRecord, source: SourceShape): Item {
  const { id, key, owner, w, v, ops, seq, partition } = record
  return { id, key, owner, w, v, ops, seq, from: `${source.name}/${partition}` }
}

function merged<T>(streams: readonly Stream<T>[]): Stream<T> {
  const [first, ...rest] = streams as [Stream<T>, ...Stream<T>[]]
  return rest.length === 0 ? first : first.union(...rest)
}

/** Streams joined before they are keyed, or after: both are written in jobs. */
function keyed(streams: readonly Stream<Item>[], index: number): KeyedStream<Item, string> {
  if (index % 2 === 0) return merged(streams).keyBy(item => item.key)
  const [first, ...rest] = streams.map(stream => stream.keyBy(item => item.key)) as [
    KeyedStream<Item, string>,
    ...KeyedStream<Item, string>[]
  ]
  return rest.length === 0 ? first : first.union(...rest)
}

function windowOf(stage: WindowShape): Window {
  switch (stage.window) {
    case 'tumbling':
      return tumbling(stage.sizeMs, { offset: stage.offsetMs })
    case 'sliding':
      return sliding(stage.sizeMs, stage.everyMs, { offset: stage.offsetMs })
    case 'session':
      return session(stage.sizeMs)
  }
}

interface TotalsRow extends Windowed<string> {
  readonly n: number
  readonly w: number
  readonly h: number
  readonly top: number
  readonly low: number
}

const hashes: Aggregate<Item, number, number> = {
  name: 'hashes',
  create: () => 0,
  add: (acc, item) => addHash(acc, item.id),
  merge: (a, b) => (a + b) >>> 0,
  result: acc => acc
}

/** In this order in the stored accumulators; `checkpoint-state.ts` of the checkers reads them. */
const totals = {
  n: count(),
  w: sum((item: Item) => item.w),
  h: hashes,
  top: max((item: Item) => item.v),
  low: min((item: Item) => item.v)
}

function collectTotals(items: readonly Item[], window: Windowed<string>): TotalsRow {
  let [w, h, top, low] = [0, 0, -Infinity, Infinity]
  for (const item of items) {
    w += item.w
    h = addHash(h, item.id)
    top = Math.max(top, item.v)
    low = Math.min(low, item.v)
  }
  return { ...window, n: items.length, w, h, top, low }
}

export function buildJob(shape: Shape, sleep: Sleep, build: Build = 1): Job<unknown> {
  const { parallelism, slots, keyGroups, intervalMs } = shape
  return job(shape.job, j => new JobMaker(j, shape, sleep, build).make(), {
    parallelism,
    slots,
    keyGroups,
    interval: intervalMs,
    onError: 'dead-letter'
  })
}
