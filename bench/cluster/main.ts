/** `npm run bench:cluster`: figures of a cluster of real processes on this machine: throughput, recovery, rescaling, a rolling restart. */
import { cpus } from 'node:os'
import { Command } from 'commander'
import { quantile } from '../barrier.ts'
import { Crew } from './crew.ts'

interface Flags {
  readonly events: string
  readonly state: string
  readonly rounds: string
  readonly only?: string
  readonly json?: boolean
}

const accountBytes = 100
const endless = 1_000_000_000
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
}

/** From when all of them run until the last has ended. Keys are spread evenly: of n workers, (n-1)/n of the events go to another one. */
const throughput = (workers: number, events: number): Promise<Throughput> =>
  inCrew({ workers, events, keys: 10_000, interval: '500ms' }, async crew => {
    const began = performance.now()
    await crew.finished()
    const seconds = (performance.now() - began) / 1000
    return { perSecond: events / seconds, cpuSecondsPerMillion: crew.cpuMs / 1000 / (events / 1e6) }
  })

/** A crew whose accounts are all there. */
const filled = <T>(
  workers: number,
  stateBytes: number,
  work: (crew: Crew) => Promise<T>,
  store: 'memory' | 'level' = 'memory'
): Promise<T> => {
  const keys = Math.ceil(stateBytes / accountBytes)
  return inCrew({ workers, events: endless, keys, interval: '500ms', store }, async crew => {
    while (crew.newest < keys) await new Promise(resolve => setTimeout(resolve, 100))
    return work(crew)
  })
}

/**
 * From SIGKILL of a worker that does not lead to the first checkpoint, and so the first new output, of the next generation. It stays
 * away, and the others fetch its part; or is started again at once, with its disk or an empty one.
 */
const recovery = (stateBytes: number, store: 'memory' | 'level', then: 'away' | 'intact' | 'lost'): Promise<number> =>
  filled(
    3,
    stateBytes,
    async crew => {
      const victim = [...crew.workers.values()].find(({ name }) => name !== crew.leader)
      if (victim === undefined) throw new Error('every worker leads')
      const { generation } = crew
      const began = performance.now()
      victim.signal('SIGKILL')
      await victim.exited
      if (then === 'lost') crew.wipe(victim.name)
      if (then !== 'away') crew.begin(victim.name)
      await crew.decidedAfter(generation)
      return performance.now() - began
    },
    store
  )

const rescale = (stateBytes: number): Promise<number> =>
  filled(2, stateBytes, crew => {
    const { generation } = crew
    return crew.longestGap(async () => {
      await crew.cairn('job', 'rescale', 'figures', '--tasks', '2')
      await crew.decidedAfter(generation)
    })
  })

/** Each of four workers is told to end and started again. */
const rollingRestart = (stateBytes: number): Promise<number> =>
  filled(4, stateBytes, crew =>
    crew.longestGap(async () => {
      for (const [name, worker] of [...crew.workers]) {
        worker.signal('SIGTERM')
        await worker.exited
        const { generation } = crew
        await crew.begin(name).runs(generation + 1)
        await crew.decidedAfter(generation)
      }
    })
  )

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
  .option('--rounds <n>', 'of each measurement', '3')
  .option('--only <what>', 'throughput, recovery, rescale or rolling')
  .option('--json', 'all results, for programs')
  .addHelpText(
    'after',
    '\nNeeds nats-server: npm run services -- install.\n\nExample:\n  npm run bench:cluster -- --state 1000 --rounds 5'
  )
  .action(async ({ events, state, rounds: count, only, json }: Flags) => {
    const bytes = Number(state) * 1e6
    const lines: { readonly name: string; readonly median: string; readonly all: readonly number[] }[] = []
    const add = (name: string, all: readonly number[], show: (value: number) => string): void =>
      void lines.push({ name, median: show(quantile(all, 0.5)), all })
    const ms = (value: number): string => `${(value / 1000).toFixed(2)} s`
    const wanted = (what: string): boolean => only === undefined || only === what
    for (const workers of wanted('throughput') ? [1, 2, 4] : []) {
      const got = await rounds(`throughput of ${workers}`, Number(count), () => throughput(workers, Number(events)))
      const remote = `${workers} workers, ${Math.round((100 * (workers - 1)) / workers)} % of events to another one`
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
    const recoveries = [
      ['memory', 'away', 'state in memory; it stays away'],
      ['level', 'intact', 'state in LevelDB; it is back at once, with its disk'],
      ['level', 'lost', 'state in LevelDB; it is back at once, its disk is lost']
    ] as const
    for (const [store, then, text] of wanted('recovery') ? recoveries : [])
      add(
        `SIGKILL of one of 3, ${state} MB, ${text}: until new output`,
        await rounds(`recovery: ${text}`, Number(count), () => recovery(bytes, store, then)),
        ms
      )
    if (wanted('rescale'))
      add(
        `rescale of 2 workers to 2 tasks each, ${state} MB: longest time without output`,
        await rounds('rescale', Number(count), () => rescale(bytes)),
        ms
      )
    if (wanted('rolling'))
      add(
        `rolling restart of 4, ${state} MB: longest time without output`,
        await rounds('rolling restart', Number(count), () => rollingRestart(bytes)),
        ms
      )
    const machine = `${cpus().length} cores (${cpus()[0]?.model ?? '?'}), Node ${process.version}`
    if (json === true) process.stdout.write(`${JSON.stringify({ machine, lines })}\n`)
    else
      process.stdout.write(
        `${machine}\n${lines.map(({ name, median }) => `${median.padStart(14)}  ${name}`).join('\n')}\n`
      )
  })
await program.parseAsync()
