/** A random job graph. */
import type { Prng } from '../../runtime/kernel/prng.ts'
import {
  reachedFrom,
  type ActorShape,
  type DedupeShape,
  type FleetingShape,
  type Leg,
  type Shape,
  type SinkShape,
  type SourceShape,
  type StageShape,
  type StraysShape,
  type WindowShape
} from './shape.ts'

export interface ShapeOptions {
  /** Few stages, one source: about a third of the work for an event. */
  readonly small: boolean
  /** Sends may go back to earlier stages. */
  readonly cycles: boolean
  readonly windows: boolean
  readonly sleeps: boolean
  readonly alarms: boolean
  readonly strays: boolean
  /** Windows of strays may take them for a while. */
  readonly lateness: boolean
  readonly fleeting: boolean
}

type Draft = { -readonly [P in keyof (ActorShape & WindowShape & DedupeShape)]?: unknown } & {
  kind: 'actor' | 'window' | 'dedupe'
  main: Leg[]
  next: Leg[]
  sends: number[]
  window: WindowShape['window']
}

class ShapeMaker {
  private readonly random: Prng
  private readonly options: ShapeOptions
  private readonly drafts: Draft[]
  private readonly sinks: SinkShape[]
  private legs = 0

  constructor(random: Prng, options: ShapeOptions) {
    this.random = random
    this.options = options
    this.drafts = this.draftStages()
    this.sinks = this.draftSinks()
  }

  make(job: string): Shape {
    const { random, drafts, options } = this
    const sources = this.draftSources()
    drafts.forEach((draft, index) => this.connect(draft, index))
    drafts.forEach((draft, index) => this.feed(draft, index, sources))
    if (options.cycles) this.close()
    const stages = drafts.map((draft, index) => this.finish(draft, index))
    const slots = [1, 2, 4, 8][random.int(4)] as number
    return {
      job,
      sources,
      stages,
      sinks: this.sinks,
      alarmSink: stages.some(stage => stage.kind === 'actor' && stage.alarms) ? 'alarms' : undefined,
      lateSink: stages.some(stage => stage.kind === 'window') ? 'late' : undefined,
      strays: options.strays ? this.strays(random.int(sources.length)) : undefined,
      fleeting: options.fleeting ? this.fleeting(sources.length) : undefined,
      parallelism: 1 + random.int(Math.min(4, slots)),
      slots,
      keyGroups: slots * ([3, 15, 240][random.int(3)] as number),
      intervalMs: [50, 200, 1000][random.int(3)] as number,
      lateTimers: options.cycles && random.int(3) === 0
    }
  }

  // Streams of their own: who asks for these gets the same job otherwise.
  private strays(source: number): StraysShape {
    const random = this.random.fork('lateness')
    const latenessMs = this.options.lateness ? ([2, 50, 150][random.int(3)] as number) : 0
    return { name: 'strays', source, sizeMs: 40, latenessMs, sink: 'strayed', lateSink: 'stray-late' }
  }

  private fleeting(sources: number): FleetingShape {
    const random = this.random.fork('fleeting')
    const afterMs = [1, 20, 100, 500][random.int(4)] as number
    const since = random.int(2) === 0 ? 'created' : 'last-event'
    return { name: 'Fleeting', source: random.int(sources), sink: 'fled', afterMs, since }
  }

  private draftStages(): Draft[] {
    const { random, options } = this
    const kinds: Draft['kind'][] = []
    for (let left = 1 + random.int(options.small ? 2 : 4); left > 0; left--) kinds.push('actor')
    if (options.windows) for (let left = random.int(options.small ? 2 : 4); left > 0; left--) kinds.push('window')
    if (random.int(3) === 0) kinds.push('dedupe')
    for (let i = kinds.length - 1; i > 0; i--) {
      const j = random.int(i + 1)
      ;[kinds[i], kinds[j]] = [kinds[j] as Draft['kind'], kinds[i] as Draft['kind']]
    }
    return kinds.map(kind => ({
      kind,
      main: [],
      next: [],
      sends: [],
      window: (['tumbling', 'sliding', 'session'] as const)[random.int(3)] as WindowShape['window']
    }))
  }

  private draftSinks(): SinkShape[] {
    const { random } = this
    const sinks: SinkShape[] = Array.from({ length: 1 + random.int(3) }, (_, i) => ({
      name: `out${i}`,
      delivery: 'exactly-once',
      keyed: random.int(2) === 0,
      partitions: 1 + random.int(3)
    }))
    if (random.int(3) === 0)
      sinks.push({
        name: 'loose',
        delivery: 'at-least-once',
        keyed: random.int(2) === 0,
        partitions: 1 + random.int(2)
      })
    return sinks
  }

  private draftSources(): (SourceShape & { lanes: Leg[][] })[] {
    const { random } = this
    return Array.from({ length: this.options.small ? 1 : 1 + random.int(3) }, (_, i) => ({
      name: `in${i}`,
      partitions: 1 + random.int(6),
      boundMs: [2, 8, 64][random.int(3)] as number,
      ownTime: random.int(2) === 0,
      lanes: Array.from({ length: 1 + random.int(2) }, () => this.output(-1))
    }))
  }

  /** A real leg, and now and then a copy. `after`: index of the stage. */
  private output(after: number): Leg[] {
    const { random } = this
    const legs = [this.leg(after, false)]
    if (random.int(3) === 0) legs.push(this.leg(after, true))
    return legs
  }

  private leg(after: number, copy: boolean, to?: Leg['to']): Leg {
    const { random } = this
    const step = (['pass', 'pass', 'split', copy ? 'thin' : 'pass'] as const)[random.int(4)] as Leg['step']
    return { id: this.legs++, copy, step, to: to ?? this.target(after, copy) }
  }

  private target(after: number, copy: boolean): Leg['to'] {
    const { random } = this
    // A loop does not hold the watermark: what comes out of one may be late for a window, or for what forgets ids.
    const timeless = this.options.cycles && after >= 0
    const stages = this.drafts.flatMap(({ kind, window }, index) =>
      index > after && (!timeless || kind === 'actor') && (copy || kind !== 'window' || window !== 'sliding')
        ? [index]
        : []
    )
    if (stages.length > 0 && random.int(4) !== 0)
      return { kind: 'stage', stage: stages[random.int(stages.length)] as number }
    const sinks = this.sinks.flatMap(({ delivery }, index) => (copy || delivery === 'exactly-once' ? [index] : []))
    return { kind: 'sink', sink: sinks[random.int(sinks.length)] as number }
  }

  private connect(draft: Draft, index: number): void {
    const { random, options } = this
    if (draft.kind !== 'actor') {
      draft.main = this.output(index)
      return
    }
    draft.main = [this.leg(this.drafts.length, false)]
    // What came on a back edge may be late: no window may see it.
    if (random.int(3) === 0) draft.main.push(this.leg(options.cycles ? this.drafts.length : index, true))
    if (random.int(2) === 0) draft.next = this.output(index)
    draft.sends = this.drafts.flatMap(({ kind }, other) =>
      kind === 'actor' && other > index && random.int(2) === 0 ? [other] : []
    )
  }

  /** Sends that go back. A loop holds nothing but sends: what comes through one may be late, and no window may see that. */
  private close(): void {
    const { random, drafts } = this
    drafts.forEach((draft, from) => {
      if (draft.kind !== 'actor') return
      for (let to = 0; to <= from; to++) {
        if (drafts[to]?.kind !== 'actor' || random.int(2) === 0) continue
        const edges = drafts.map(edgesOf)
        const loop = reachedFrom(edges, to).filter(stage => reachedFrom(edges, stage).includes(from))
        const legs = loop.flatMap(stage => legTargets(drafts[stage] as Draft))
        if (!legs.some(stage => loop.includes(stage))) draft.sends.push(to)
      }
    })
  }

  /** A stage that nothing feeds gets a lane of its own. */
  private feed(draft: Draft, index: number, sources: readonly { readonly lanes: Leg[][] }[]): void {
    const lanes = sources.flatMap(source => source.lanes)
    const legs = [...lanes, ...this.drafts.flatMap(({ main, next }) => [main, next])].flat()
    const fed = legs.some(({ to }) => to.kind === 'stage' && to.stage === index)
    if (fed || this.drafts.some(({ sends }, other) => other < index && sends.includes(index))) return
    const source = sources[this.random.int(sources.length)] as { readonly lanes: Leg[][] }
    const copy = draft.kind === 'window' && draft.window === 'sliding'
    const made = [this.leg(-1, copy, { kind: 'stage', stage: index })]
    if (copy) made.unshift(this.leg(this.drafts.length, false))
    source.lanes.push(made)
  }

  private finish(draft: Draft, index: number): StageShape {
    const { random, options } = this
    const base = { index, main: draft.main }
    switch (draft.kind) {
      case 'actor':
        return {
          ...base,
          kind: 'actor',
          name: `Actor${index}`,
          onError: random.int(2) === 0 ? 'fail' : 'dead-letter',
          sends: draft.sends,
          next: draft.next,
          maps: random.int(2) === 0,
          alarms: options.alarms && random.int(3) === 0,
          sleeps: options.sleeps && random.int(3) === 0
        }
      case 'window': {
        // Windows begin, and sessions end, at odd times, and events have even ones: whether two touch is never a question.
        const everyMs = [10, 40, 100][random.int(3)] as number
        const sizeMs = draft.window === 'session' ? everyMs + 1 : draft.window === 'sliding' ? 3 * everyMs : everyMs
        return {
          ...base,
          kind: 'window',
          name: `window${index}`,
          window: draft.window,
          contents: random.int(2) === 0 ? 'aggregate' : 'collect',
          sizeMs,
          everyMs,
          offsetMs: 1 + 2 * random.int(4)
        }
      }
      case 'dedupe':
        return { ...base, kind: 'dedupe', name: `dedupe${index}`, withinMs: 200 + random.int(200) }
    }
  }
}

function legTargets({ main, next }: Pick<Draft, 'main' | 'next'>): number[] {
  return [...main, ...next].flatMap(({ to }) => (to.kind === 'stage' ? [to.stage] : []))
}

function edgesOf(draft: Draft): number[] {
  return [...legTargets(draft), ...draft.sends]
}

export function randomShape(random: Prng, job: string, options: ShapeOptions): Shape {
  return new ShapeMaker(random, options).make(job)
}
