/**
 * Where the time of a query goes, or what it allocates, from the first event to the last. A process of its own:
 * `node dist/bench/nexmark/profile.js '<spec as JSON>'` prints it as JSON.
 */
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { AllocationProfile, CpuProfile, type ByStage } from '../profiles.ts'
import { loadQuery, queryOf } from './catalogue.ts'
import { Discard, usage } from './discard.ts'
import { NexmarkBytes } from './generator.ts'
import type { MeasureSpec } from './measure.ts'
import { runQuery } from './run.ts'

export interface ProfileSpec extends Pick<MeasureSpec, 'query' | 'path' | 'events'> {
  readonly of: 'time' | 'memory'
}

/** Of an event: ns of CPU of the whole process, without what hashing the results costs; or bytes that were allocated. */
export interface Profiled {
  readonly perEvent: number
  /** They sum up to all. */
  readonly stages: ByStage
}

async function profile({ query, path, events: count, of }: ProfileSpec): Promise<Profiled> {
  const discard = new Discard(queryOf(query))
  const take = (records: readonly OutputRecord[]): void => discard.take(discard.valuesOf(records))
  const job = await loadQuery(query)
  const events = NexmarkBytes.read(path, count)
  const running = await (of === 'time' ? CpuProfile : AllocationProfile).start()
  const before = usage()
  await runQuery(job, events, { take })
  const cpuNs = (usage().cpuMs - before.cpuMs - discard.cpuMs) * 1e6
  const found = await running.stop(({ url }) => /nexmark\/discard\.js/.test(url))
  const total = of === 'time' ? cpuNs : Object.values(found).reduce((a, b) => a + b, 0)
  const unit = (of === 'time' ? cpuNs : 1) / count
  return {
    perEvent: total / count,
    stages: Object.fromEntries(Object.entries(found).map(([stage, n]) => [stage, n * unit]))
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await profile(JSON.parse(text) as ProfileSpec))}\n`)
process.exit(0)
