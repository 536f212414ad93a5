/** Builds a job: records the dataflow, checks it, reports every error together. */
import { formatDuration, parseDuration, parseSize, type Duration } from '../runtime/kernel/durations.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { Actor, ActorClass } from './actor.ts'
import { bestDelivery, type SinkSpec } from './connectors.ts'
import { json } from './codecs.ts'
import { dedupeActor } from './dedupe-actor.ts'
import { resolveInterval } from './interval.ts'
import { checkPlan } from './plan-checks.ts'
import {
  isOnDisk,
  usualQuarantineLimit,
  type ActorNode,
  type JobOptions,
  type NodeId,
  type Plan,
  type PlanNode,
  type Port
} from './plan.ts'
import type {
  ActorStage,
  DedupeOptions,
  Delivered,
  Job,
  JobBuilder,
  KeyByOptions,
  KeyedStream,
  Origin,
  Sink,
  SourceOptions,
  Stream,
  StageOptions,
  WindowedStream
} from './stream.ts'
import { windowActor } from './window-actor.ts'
import {
  aggregateContents,
  checkAggregates,
  collectContents,
  type AggregateSpec,
  type WindowContents
} from './window-contents.ts'
import { describeOptions, describeWindow, resolveWindow, type Window, type WindowOptions } from './window.ts'

type Handle = Plan['handles'][string]
const handles = new WeakMap<object, Handle>()

type Unfinished<N extends PlanNode> = N extends PlanNode ? Omit<N, 'id'> : never

class Recorder {
  readonly nodes: PlanNode[] = []
  readonly problems: string[] = []
  /** Of stages that run functions of the job rather than an actor's. */
  readonly onError: 'fail' | 'dead-letter'

  constructor(onError: 'fail' | 'dead-letter') {
    this.onError = onError
  }

  add(node: Unfinished<PlanNode>): NodeId {
    const id = this.nodes.length
    this.nodes.push({ ...node, id } as PlanNode)
    return id
  }

  size(size: number | string | undefined, what: string): number | undefined {
    try {
      return size === undefined ? undefined : parseSize(size, what)
    } catch (error) {
      this.problems.push((error as Error).message)
      return undefined
    }
  }

  duration(duration: Duration, what: string): number {
    try {
      return parseDuration(duration, what)
    } catch (error) {
      this.problems.push((error as Error).message)
      return 0
    }
  }
}

class StreamNode implements Stream<unknown>, Origin<unknown>, ActorStage<ActorClass> {
  readonly port: Port
  readonly origin: string
  protected readonly recorder: Recorder

  constructor(recorder: Recorder, port: Port, name: string, kind: 'source' | 'stream') {
    this.recorder = recorder
    this.port = port
    this.origin = name
    handles.set(this, { kind, port, name })
  }

  private next(id: NodeId): StreamNode {
    return new StreamNode(this.recorder, { node: id, output: 'main' }, this.origin, 'stream')
  }
  map(f: (value: never) => unknown): never {
    return this.next(this.recorder.add({ kind: 'map', input: this.port, f })) as never
  }
  flatMap(f: (value: never) => Iterable<unknown>): never {
    return this.next(this.recorder.add({ kind: 'flatMap', input: this.port, f })) as never
  }
  filter(f: (value: never) => boolean): never {
    return this.next(this.recorder.add({ kind: 'filter', input: this.port, f })) as never
  }
  union(...others: Stream<unknown>[]): never {
    const inputs = [this.port, ...others.map(other => (other as unknown as StreamNode).port)]
    return this.next(this.recorder.add({ kind: 'union', inputs })) as never
  }
  keyBy(f: (value: never) => unknown, { aligned = false }: KeyByOptions = {}): never {
    const keyed = this.recorder.add({ kind: 'keyBy', input: this.port, f, ...(aligned ? { aligned } : {}) })
    return new KeyedNode(this.recorder, this.origin, [keyed]) as never
  }
  dedupe(options: DedupeOptions<never>): never {
    const name = options.name ?? builtInName(this.origin, 'dedupe')
    const withinMs = this.recorder.duration(options.within, `stage "${name}": within`)
    if (withinMs === 0) this.recorder.problems.push(`stage "${name}": within is 0; it must be longer`)
    const keyed = this.recorder.add({ kind: 'keyBy', input: this.port, f: options.id })
    const describe = `within ${formatDuration(withinMs)}`
    return addBuiltIn(this.recorder, 'dedupe', name, dedupeActor({ withinMs }), describe, [keyed]) as never
  }
  to(
    name: string,
    target: Sink<never>,
    options: { delivery?: 'exactly-once' | 'at-least-once' } = {}
  ): Delivered<never> {
    const best = bestDelivery[target.sink.connector]
    const delivery = options.delivery ?? best
    if (delivery === 'exactly-once' && best !== 'exactly-once')
      this.recorder.problems.push(
        `sink "${name}": ${target.sink.connector} cannot deliver exactly once; leave \`delivery\` out`
      )
    this.recorder.add({ kind: 'sink', name, input: this.port, sink: target.sink, delivery })
    const delivered = Object.freeze({ delivered: name })
    handles.set(delivered, { kind: 'sink', port: this.port, name })
    return delivered
  }
  output(name: string): never {
    return new StreamNode(
      this.recorder,
      { node: this.port.node, output: name },
      `${this.origin}.${name}`,
      'stream'
    ) as never
  }
}

class KeyedNode implements KeyedStream<unknown, string> {
  private readonly recorder: Recorder
  private readonly origin: string
  readonly inputs: readonly NodeId[]

  constructor(recorder: Recorder, origin: string, inputs: readonly NodeId[]) {
    this.recorder = recorder
    this.origin = origin
    this.inputs = inputs
  }
  union(...others: KeyedStream<unknown, string>[]): never {
    return new KeyedNode(
      this.recorder,
      this.origin,
      [this.inputs, ...others.map(other => (other as unknown as KeyedNode).inputs)].flat()
    ) as never
  }
  actor(actor: ActorClass<Actor>, options: StageOptions = {}): never {
    return addActor(this.recorder, actor, this.inputs, options) as never
  }
  window(window: Window, options: WindowOptions = {}): never {
    const name = options.name ?? builtInName(this.origin, 'window')
    return new WindowedNode(this.recorder, this.inputs, name, window, options) as never
  }
}

class WindowedNode implements WindowedStream<unknown, string> {
  private readonly recorder: Recorder
  private readonly inputs: readonly NodeId[]
  private readonly name: string
  private readonly window: Window
  private readonly options: WindowOptions

  constructor(recorder: Recorder, inputs: readonly NodeId[], name: string, window: Window, options: WindowOptions) {
    this.recorder = recorder
    this.inputs = inputs
    this.name = name
    this.window = window
    this.options = options
  }
  aggregate(spec: AggregateSpec): never {
    return this.add(aggregateContents(spec), checkAggregates(spec))
  }
  collect(f: (events: readonly never[], window: never) => unknown): never {
    return this.add(collectContents(f as Parameters<typeof collectContents>[0]), [])
  }

  private add(contents: WindowContents, mistakes: readonly string[]): never {
    const { problems, ...resolved } = resolveWindow(this.window, this.options)
    for (const problem of [...problems, ...mistakes]) this.recorder.problems.push(`stage "${this.name}": ${problem}`)
    const actor = windowActor(this.window, resolved, contents)
    const describe = describeWindow(this.window) + describeOptions(resolved)
    const stage = addBuiltIn(this.recorder, 'window', this.name, actor, describe, this.inputs)
    return Object.assign(stage, { late: stage.output('late') as unknown }) as never
  }
}

function addActor(
  recorder: Recorder,
  actor: ActorClass<Actor>,
  inputs: readonly NodeId[],
  options: StageOptions
): StreamNode {
  const name = options.name ?? actor.actorName ?? actor.name
  const node: Unfinished<ActorNode> = {
    kind: 'actor',
    name,
    actor,
    builtIn: undefined,
    describe: '',
    inputs,
    onError: options.onError ?? 'fail',
    ...(options.quarantineLimit === undefined
      ? {}
      : { quarantineLimit: { ...usualQuarantineLimit, ...options.quarantineLimit } }),
    sends: options.sends ?? []
  }
  return new StreamNode(recorder, { node: recorder.add(node), output: 'main' }, name, 'stream')
}

/** The origin of a side output is `stage.output`, and names hold no dots. */
function builtInName(origin: string, builtIn: 'window' | 'dedupe'): string {
  return `${origin.replace('.', '-')}-${builtIn}`
}

function addBuiltIn(
  recorder: Recorder,
  builtIn: 'window' | 'dedupe',
  name: string,
  actor: ActorClass<Actor>,
  describe: string,
  inputs: readonly NodeId[]
): StreamNode {
  const { onError } = recorder
  const id = recorder.add({ kind: 'actor', name, actor, builtIn, describe, inputs, onError, sends: [] })
  return new StreamNode(recorder, { node: id, output: 'main' }, name, 'stream')
}

function builder(recorder: Recorder): JobBuilder {
  return {
    source<T>(name: string, from: { readonly source: never }, options: SourceOptions<T> = {}) {
      const id = recorder.add({
        kind: 'source',
        name,
        source: from.source,
        time: options.time as never,
        outOfOrderMs: recorder.duration(options.outOfOrder ?? 0, `source "${name}": outOfOrder`),
        idleAfterMs: recorder.duration(options.idleAfter ?? '30s', `source "${name}": idleAfter`),
        onError: options.onError ?? 'fail',
        paceMsPerSecond:
          options.pace === undefined ? undefined : recorder.duration(options.pace, `source "${name}": pace`)
      })
      return new StreamNode(recorder, { node: id, output: 'main' }, name, 'source') as never
    },
    actor: (actor, options = {}) => addActor(recorder, actor, [], options) as never
  } as JobBuilder
}

/**
 * Defines a job. `build` runs at once; what it returns are the names under which the test driver addresses sources and sinks.
 * Throws one PLAN_INVALID that lists every mistake.
 */
export function job<H>(name: string, build: (j: JobBuilder) => H, options: JobOptions = {}): Job<H> {
  const recorder = new Recorder(options.onError ?? 'fail')
  const built = build(builder(recorder))
  const named: Record<string, Handle> = {}
  for (const [key, value] of Object.entries(built ?? {})) {
    const handle = typeof value === 'object' && value !== null ? handles.get(value) : undefined
    if (handle === undefined) recorder.problems.push(`handle "${key}" is not a source, stream or sink of this job`)
    else named[key] = handle.kind === 'stream' ? { ...handle, name: key } : handle
  }
  const plan: Plan = {
    job: name,
    nodes: recorder.nodes,
    parallelism: options.parallelism ?? 1,
    ...resolveInterval(options.interval ?? '1s', (given, what) => recorder.duration(given, what), recorder.problems),
    keyGroups: options.keyGroups ?? 1920,
    slots: options.slots ?? 8,
    store: options.store ?? 'memory',
    cacheBytes: recorder.size(options.cache ?? (isOnDisk(options.store) ? '256MiB' : undefined), 'cache'),
    onError: options.onError ?? 'fail',
    deadLetters: options.deadLetters ?? defaultDeadLetters(name),
    handles: named,
    warnings: []
  }
  const problems = [...recorder.problems, ...checkPlan(plan)]
  if (problems.length > 0) throw new CodedError('PLAN_INVALID', `job "${name}":\n  - ${problems.join('\n  - ')}`)
  return { name, handles: built, plan }
}

function defaultDeadLetters(name: string): SinkSpec {
  return { connector: 'log', topic: `${name}-dead-letters`, partitions: undefined, codec: json(), key: undefined }
}
