/**
 * Where the time of a query goes: a CPU profile from the first event to the last, each sample put down to the stage that the innermost
 * known file on its stack belongs to. A process of its own: `node dist/bench/nexmark/profile.js '<spec as JSON>'` prints it as JSON.
 */
import { Session } from 'node:inspector/promises'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { loadQuery, queryOf } from './catalogue.ts'
import { Discard, usage } from './discard.ts'
import { NexmarkBytes } from './generator.ts'
import type { MeasureSpec } from './measure.ts'
import { runQuery } from './run.ts'
import { stageNames, stageOf } from './stages.ts'

export interface Profiled {
  /** CPU of the whole process by events, without what hashing the results costs. */
  readonly nsPerEvent: number
  /** By name of the stage; they sum up to all. */
  readonly stages: Readonly<Record<string, number>>
}

async function profile({
  query,
  path,
  events: count
}: Pick<MeasureSpec, 'query' | 'path' | 'events'>): Promise<Profiled> {
  const discard = new Discard(queryOf(query))
  const take = (records: readonly OutputRecord[]): void => discard.take(discard.valuesOf(records))
  const job = await loadQuery(query)
  const events = NexmarkBytes.read(path, count)
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: 500 })
  await session.post('Profiler.start')
  const before = usage()
  await runQuery(job, events, { take })
  const nsPerEvent = ((usage().cpuMs - before.cpuMs - discard.cpuMs) * 1e6) / count
  const { nodes, samples = [], timeDeltas = [] } = (await session.post('Profiler.stop')).profile
  const byId = new Map(nodes.map(node => [node.id, node]))
  // Parents come before their children.
  const stageById = new Map<number, string>()
  for (const { id, callFrame, children = [] } of nodes) {
    const inherited = stageById.get(id)
    const dropped = inherited === 'dropped' || /nexmark\/discard\.js/.test(callFrame.url)
    const own = dropped ? 'dropped' : (stageOf(callFrame) ?? inherited ?? 'other')
    stageById.set(id, own)
    for (const child of children) stageById.set(child, own)
  }
  const times = new Map<string, number>()
  samples.forEach((id, i) => {
    const name = byId.get(id)?.callFrame.functionName
    if (name === '(idle)' || name === '(program)') return
    const stage = name === '(garbage collector)' ? 'garbage collection' : (stageById.get(id) ?? 'other')
    if (stage !== 'dropped') times.set(stage, (times.get(stage) ?? 0) + (timeDeltas[i + 1] ?? 0))
  })
  const total = [...times.values()].reduce((a, b) => a + b, 0)
  return {
    nsPerEvent,
    stages: Object.fromEntries(stageNames.map(stage => [stage, (nsPerEvent * (times.get(stage) ?? 0)) / total]))
  }
}

const [, , text = '{}'] = process.argv
process.stdout.write(`${JSON.stringify(await profile(JSON.parse(text) as MeasureSpec))}\n`)
process.exit(0)
