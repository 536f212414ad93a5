/** A random job, its input, and the answer. A pure function of the seed. */
import type { Job } from '../../actors/stream.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { buildJob } from './build-job.ts'
import { Model } from './model.ts'
import type { Sleep } from './program-actor.ts'
import { randomInputs, type Inputs } from './random-inputs.ts'
import { randomShape } from './random-shape.ts'
import type { Shape } from './shape.ts'

export interface WorkloadOptions {
  /** What a handler waits for: resolved by the world. */
  readonly sleep: Sleep
  /** Source records, about; each makes two or three events. Default 500. */
  readonly records?: number
  /** More records are made until actors have at least so many events to handle. Default 0. */
  readonly events?: number
  /** A small graph, for many runs a second. Default: one in two. */
  readonly small?: boolean
  /** Sends may go in cycles. Default false. */
  readonly cycles?: boolean
  /** Default: drawn. */
  readonly windows?: boolean
  readonly sleeps?: boolean
  readonly alarms?: boolean
  readonly strays?: boolean
  /** Windows of strays take them for a while. Default false, as of the next. */
  readonly lateness?: boolean
  /** An actor with a time to live. */
  readonly fleeting?: boolean
}

export interface Workload {
  readonly seed: string
  readonly shape: Shape
  readonly job: Job<unknown>
  /** Another build of it, whose actors store other fields and migrate what they find. */
  readonly upgraded: Job<unknown>
  /** By source (in the order of the shape), by partition. */
  readonly inputs: Inputs
  /** A model that has been fed nothing; `model().finish()` is the answer. */
  readonly model: () => Model
  /** One line for people. */
  readonly description: string
}

export function makeWorkload(seed: string | number, options: WorkloadOptions): Workload {
  const random = new Prng(seed).fork('workload')
  const draw = (share: number): boolean => random.next() < share
  const features = {
    small: options.small ?? draw(0.5),
    cycles: options.cycles ?? false,
    windows: options.windows ?? draw(0.7),
    sleeps: options.sleeps ?? draw(0.5),
    alarms: options.alarms ?? draw(0.5),
    strays: options.strays ?? draw(0.4),
    lateness: options.lateness ?? false,
    fleeting: options.fleeting ?? false
  }
  const shape = randomShape(random.fork('shape'), 'workload', features)
  const inputs = randomInputs(random.fork('inputs'), shape, {
    records: options.records ?? 500,
    events: options.events ?? 0,
    keys: [1, 3, 10, 40][random.int(4)] as number,
    skew: 1 + random.int(3),
    odd: draw(0.25),
    malformed: draw(0.5) ? 1 : 0,
    throws: draw(0.5) ? 8 : 0,
    repeats: 30
  })
  return {
    seed: String(seed),
    shape,
    job: buildJob(shape, options.sleep),
    upgraded: buildJob(shape, options.sleep, 2),
    inputs,
    model: () => new Model(shape, inputs),
    description: describe(shape, inputs)
  }
}

function describe(shape: Shape, inputs: Inputs): string {
  const sources = shape.sources.map(({ name, partitions }, i) => {
    const records = (inputs[i] ?? []).reduce((sum, each) => sum + each.length, 0)
    return `${name}(${partitions} partitions, ${records} records)`
  })
  const stages = shape.stages.map(stage => (stage.kind === 'window' ? `${stage.name}:${stage.window}` : stage.name))
  return `${sources.join(' ')} → ${stages.join(' ')} → ${shape.sinks.map(({ name }) => name).join(' ')}; parallelism ${shape.parallelism}, ${shape.slots} slots`
}
