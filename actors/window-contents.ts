/** What a window keeps of its events, and what it makes of them when it fires. */
import { ByteWriter } from '../runtime/kernel/bytes.ts'
import type { Aggregate } from './aggregates.ts'
import { copyValue } from './copy-value.ts'
import { encodeValue } from './state-codec.ts'
import type { Windowed } from './window.ts'

export interface WindowContents {
  /** Part of the stored identity: what the accumulators are of. */
  readonly describe: string
  create(): unknown
  add(acc: unknown, value: unknown, time: number): unknown
  /** May change `a`, never `b`; `a` is of the earlier times. */
  merge(a: unknown, b: unknown): unknown
  result(acc: unknown, window: Windowed<unknown>): unknown
}

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- aggregates of any types stand side by side
export type AggregateSpec = Readonly<Record<string, Aggregate<any, any, any>>>

/** One accumulator per aggregate, in the order of the spec. */
export function aggregateContents(spec: AggregateSpec): WindowContents {
  const names = Object.keys(spec)
  const aggregates = Object.values(spec) as Aggregate<unknown, unknown, unknown>[]
  return {
    describe: names.map((name, i) => `${name} ${aggregates[i]?.name ?? 'aggregate'}`).join(', '),
    create: () => aggregates.map(aggregate => aggregate.create()),
    add(acc, value, time) {
      const accs = acc as unknown[]
      for (let i = 0; i < aggregates.length; i++)
        accs[i] = (aggregates[i] as Aggregate<unknown, unknown, unknown>).add(accs[i], value, time)
      return accs
    },
    merge(a, b) {
      const [into, from] = [a as unknown[], b as unknown[]]
      for (let i = 0; i < aggregates.length; i++) {
        const merged = (aggregates[i] as Aggregate<unknown, unknown, unknown>).merge(into[i], from[i])
        // The next merge may change what this one returned: `b` must not be it.
        into[i] = merged === from[i] ? copyValue(merged, names[i] as string) : merged
      }
      return into
    },
    result(acc, window) {
      const row: Record<string, unknown> = {
        key: window.key,
        start: window.start,
        end: window.end,
        firing: window.firing
      }
      for (let i = 0; i < aggregates.length; i++)
        row[names[i] as string] = (aggregates[i] as Aggregate<unknown, unknown, unknown>).result((acc as unknown[])[i])
      return row
    }
  }
}

/** One sentence per mistake. */
export function checkAggregates(spec: AggregateSpec): string[] {
  const problems: string[] = []
  const names = Object.keys(spec)
  if (names.length === 0) problems.push('aggregate({}) has nothing to compute')
  for (const name of names) {
    if (['key', 'start', 'end', 'firing', '__proto__'].includes(name))
      problems.push(`aggregate "${name}" has the name of a field that every result has`)
    try {
      const made: unknown = spec[name]?.create()
      encodeValue(made, new ByteWriter(), `aggregate "${name}": create()`)
      if (typeof made === 'object' && made !== null && made === spec[name]?.create())
        problems.push(`aggregate "${name}": create() gives the same object each time; windows would share it`)
    } catch (error) {
      problems.push(error instanceof TypeError ? `aggregate "${name}": ${error.message}` : (error as Error).message)
    }
  }
  return problems
}

interface Collected {
  readonly times: number[]
  readonly values: unknown[]
}

/** All events, given in order of their times; of equal times, in order of arrival. */
export function collectContents(f: (events: readonly unknown[], window: Windowed<unknown>) => unknown): WindowContents {
  return {
    describe: 'events',
    create: (): Collected => ({ times: [], values: [] }),
    add(acc, value, time) {
      const { times, values } = acc as Collected
      times.push(time)
      values.push(value)
      return acc
    },
    merge(a, b) {
      const { times, values } = b as Collected
      for (let i = 0; i < times.length; i++) {
        ;(a as Collected).times.push(times[i] as number)
        ;(a as Collected).values.push(values[i])
      }
      return a
    },
    result: (acc, window) => f(inOrder(acc as Collected), window)
  }
}

function inOrder({ times, values }: Collected): readonly unknown[] {
  if (times.every((time, i) => i === 0 || (times[i - 1] as number) <= time)) return values.slice()
  return times
    .map((_, i) => i)
    .sort((a, b) => (times[a] as number) - (times[b] as number) || a - b)
    .map(i => values[i])
}
