/** `npm run bench:cluster`: figures of a cluster of real processes on this machine: throughput, recovery, rescaling, a rolling restart. */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import { quantile } from '../barrier.ts'
import { Crew, sleep } from './crew.ts'
import { accountsByClass, remoteShare } from './remote-share.ts'

interface Flags {
  readonly events: string
  readonly state: string
  readonly rate: string
  readonly rounds: string
  readonly only?: string
  readonly store?: string
  readonly timeline?: boolean
  readonly json?: boolean
}

const accountBytes = 100
const accountsInAll = 10_000
const endless = 1_000_000_000
const fates = {
  away: 'it stays away',
  intact: 'it is back at once, with its disk',
  lost: 'it is back at once, its disk is lost'
}
const progress = (text: string): void => void process.stderr.write(`bench:cluster: ${text}\n`)
const inCrew = async <T>(options: Parameters<typeof Crew.start>[0], work: (crew: Crew) => Promise<T>): Promise<T> => {
  const crew = await Crew.start(options)
  try {
    return await work(crew)
  } finally {
    await crew.close()
  }
}

interface Throughput {
  readonly perSecond: number
  readonly cpuSecondsPerMillion: number
  /** Of the events, to another worker. */
  readonly remote: number
}

/** From when all of them run until the last has ended. Half of the events go to another worker, where there is one. */
const throughput = (workers: number, events: number): Promise<Throughput> => {
  const accounts = accountsByClass(accountsInAll)
  return inCrew({ workers, events, keys: accountsInAll, accounts, interval: '500ms' }, async crew => {
    const began = performance.now()
    await crew.finished()
    const seconds = (performance.now() - began) / 1000
    const remote = await remoteShare(join(crew.storage, 'figures'), accounts)
    return { perSecond: events / seconds, cpuSecondsPerMillion: crew.cpuMs / 1000 / (events / 1e6), remote }
  })
}

interface Disturbance {
  readonly stateBytes: number
  /** Events a second; '': as many as can be. */
  readonly rate: string
  readonly rounds: number
  readonly timeline: boolean
}

/** A crew whose accounts are all there, and whose checkpoints have caught up. */
const filled = <T>(
  workers: number,
  { stateBytes, rate }: Disturbance,
  store: 'memory' | 'level' | 'rocksdb',
  work: (crew: Crew) => Promise<T>
): Promise<T> => {
  const keys = Math.ceil(stateBytes / accountBytes)
  return inCrew({ workers, events: endless, keys, interval: '500ms', rate, store }, async crew => {
    progress(`${stateBytes / 1e6} MB of state are made`)
    while (crew.newest < keys - 1000) await sleep(100)
    await crew.settled()
    return work(crew)
  })
}

const watched = async <T>({ timeline: wanted }: Disturbance, crew: Crew, work: () => Promise<T>): Promise<T> => {
  const timeline = wanted ? crew.timeline() : undefined
  const result = await work()
  timeline?.close()
  for (const { atMs, what } of timeline?.moments ?? []) progress(`${atMs.toFixed(0).padStart(8)} ms  ${what}`)
  return result
}

/**
 * From SIGKILL of a worker that does not lead to the first new output of the next generation, in ms. It stays away, and the others fetch
 * its part; or is started again at once, with its disk or an empty one. In turns, in one crew.
 */
const recovery = <Then extends 'away' | 'intact' | 'lost'>(
  store: 'memory' | 'level' | 'rocksdb',
  thens: readonly Then[],
  disturbance: Disturbance
): Promise<Map<Then, number[]>> =>
  filled(3, disturbance, store, async crew => {
    const all = new Map<Then, number[]>(thens.map(then => [then, []]))
    for (let round = 1; round <= disturbance.rounds; round++)
      for (const then of thens) {
        const victim = [...crew.workers.values()].find(({ name }) => name !== crew.leader)
        if (victim === undefined) throw new Error('every worker leads')
        progress(`recovery, state in ${store}, ${then}, round ${round}`)
        const { generation } = crew
        const took = await watched(disturbance, crew, async () => {
          const began = performance.now()
          victim.signal('SIGKILL')
          await victim.exited
          if (then === 'lost') crew.wipe(victim.name)
          if (then !== 'away') crew.begin(victim.name)
          await crew.outputAfter(generation)
          return performance.now() - began
        })
        all.get(then)?.push(took)
        if (then === 'away') await crew.begin(victim.name).runs(generation + 2)
        await crew.settled()
      }
    return all
  })

const rescale = (disturbance: Disturbance): Promise<number[]> =>
  filled(2, disturbance, 'memory', async crew => {
    const all: number[] = []
    for (let round = 1; round <= disturbance.rounds; round++) {
      progress(`rescale, round ${round}`)
      const { generation } = crew
      const longest = (): Promise<number> =>
        crew.longestGap(async () => {
          await crew.cairn('job', 'rescale', 'figures', '--tasks', round % 2 === 1 ? '2' : '1')
          await crew.outputAfter(generation)
        })
      all.push(await watched(disturbance, crew, longest))
      await crew.settled()
    }
    return all
  })

/** Each of four workers is told to end and started again. */
const rollingRestart = (store: 'memory' | 'level' | 'rocksdb', disturbance: Disturbance): Promise<number[]> =>
  filled(4, disturbance, store, async crew => {
    const all: number[] = []
    for (let round = 1; round <= disturbance.rounds; round++) {
      progress(`rolling restart, state in ${store}, round ${round}`)
      const longest = (): Promise<number> =>
        crew.longestGap(async () => {
          for (const [name, worker] of [...crew.workers]) {
            worker.signal('SIGTERM')
            await worker.exited
            const { generation } = crew
            await crew.begin(name).runs(generation + 1)
            await crew.outputAfter(generation)
          }
        })
      all.push(await watched(disturbance, crew, longest))
      await crew.settled()
    }
    return all
  })

async function rounds<T>(what: string, count: number, measure: () => Promise<T>): Promise<T[]> {
  const results: T[] = []
  for (let round = 1; round <= count; round++) {
    progress(`${what}, round ${round} of ${count}`)
    results.push(await measure())
  }
  return results
}

const program = new Command('bench:cluster')
  .description('Figures of a cluster of real processes on this machine; medians of several rounds.')
  .option('--events <n>', 'events of a throughput round', '2000000')
  .option('--state <MB>', 'state of the job while it is disturbed', '100')
  .option(
    '--rate <n>',
    'events a second while it is disturbed, once the state is there; max: as many as can be',
    '10000'
  )
  .option('--rounds <n>', 'of each measurement', '3')
  .option('--only <what>', 'throughput, recovery, rescale or rolling')
  .option('--store <store>', 'memory, level or rocksdb: only with the state there; without it memory and level')
  .option('--timeline', 'tell what happens while the job is disturbed, and when')
  .option('--json', 'all results, for programs')
  .addHelpText(
    'after',
    '\nNeeds nats-server: npm run services -- install.\n\nExample:\n  npm run bench:cluster -- --only recovery --state 1000 --rounds 5 --timeline'
  )
  .action(async ({ events, state, rate, rounds: count, only, store, timeline, json }: Flags) => {
    const disturbance = {
      stateBytes: Number(state) * 1e6,
      rate: rate === 'max' ? '' : rate,
      rounds: Number(count),
      timeline: timeline === true
    }
    const lines: { readonly name: string; readonly median: string; readonly all: readonly number[] }[] = []
    const add = (name: string, all: readonly number[], show: (value: number) => string): void =>
      void lines.push({ name, median: show(quantile(all, 0.5)), all })
    const seconds = (value: number): string => `${(value / 1000).toFixed(2)} s`
    const wanted = (what: string): boolean => only === undefined || only === what
    const stores = (['memory', 'level', 'rocksdb'] as const).filter(
      each => store === each || (store === undefined && each !== 'rocksdb')
    )
    for (const workers of wanted('throughput') ? [1, 2, 4] : []) {
      const got = await rounds(`throughput of ${workers}`, Number(count), () => throughput(workers, Number(events)))
      const share = quantile(
        got.map(each => each.remote),
        0.5
      )
      const remote = `${workers} workers, ${Math.round(100 * share)} % of events to another one`
      add(
        `${remote}: events a second`,
        got.map(each => each.perSecond),
        value => Math.round(value).toLocaleString('en-US')
      )
      add(
        `${remote}: CPU seconds a million`,
        got.map(each => each.cpuSecondsPerMillion),
        value => value.toFixed(2)
      )
    }
    const what = `${state} MB, ${rate} events a second`
    for (const each of wanted('recovery') ? stores : []) {
      const thens = each === 'memory' ? (['away'] as const) : (['intact', 'lost'] as const)
      for (const [then, all] of await recovery(each, thens, disturbance))
        add(`SIGKILL of one of 3, ${what}, state in ${each}; ${fates[then]}: until new output`, all, seconds)
    }
    if (wanted('rescale') && (store === undefined || store === 'memory'))
      add(
        `rescale of 2 workers between 1 and 2 tasks each, ${what}, state in memory: longest time without output`,
        await rescale(disturbance),
        seconds
      )
    for (const each of wanted('rolling') ? stores : [])
      add(
        `rolling restart of 4, ${what}, state in ${each}: longest time without output`,
        await rollingRestart(each, disturbance),
        seconds
      )
    const machine = `${cpus().length} cores (${cpus()[0]?.model ?? '?'}), Node ${process.version}`
    if (json === true) process.stdout.write(`${JSON.stringify({ machine, lines })}\n`)
    else
      process.stdout.write(
        `${machine}\n${lines.map(({ name, median }) => `${median.padStart(14)}  ${name}`).join('\n')}\n`
      )
  })
await program.parseAsync()
