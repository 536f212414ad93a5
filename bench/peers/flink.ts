/** Flink as a peer of the Nexmark benchmark: its SQL for the same queries, in a cluster of its own, over the same bytes. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import { queryOf, type Row } from '../nexmark/catalogue.ts'
import { Discard } from '../nexmark/discard.ts'
import { hashOfLast, lastRows, linesOf } from '../nexmark/hash.ts'
import type { Measured } from '../nexmark/measure.ts'
import { peerFolder, type JavaCommand } from './java-peer.ts'

interface Setup {
  readonly flinkVersion: string
  compileForFlink(folder: string, sources: string, classes: string, factories: readonly string[]): void
  readonly flinkCommand: JavaCommand
}

const setup = (await import(pathToFileURL(join(root, 'deploy/setup/flink.mjs')).href)) as Setup
const sources = join(root, 'bench', 'peers', 'flink')
const heapMb = 4096
/** One that takes longer hangs. */
const timeoutMs = 20 * 60_000

export const { flinkVersion } = setup

/** Flink on this machine, with the programs of this folder. */
export interface Flink {
  /** Of Flink's jars. */
  readonly folder: string
  /** Of what was compiled. */
  readonly classes: string
}

/** Undefined: Flink is not here, and could not be had; why was told on standard error. @param classes a new folder */
export function prepareFlink(classes: string): Flink | undefined {
  const folder = peerFolder('flink')
  if (folder === undefined) return undefined
  mkdirSync(classes)
  setup.compileForFlink(folder, sources, classes, ['NexmarkEvents', 'NexmarkResults'])
  return { folder, classes }
}

/** How one of its programs is started. */
export const flinkJava = (
  { folder, classes }: Flink,
  mainClass: string,
  args: readonly string[],
  options: Parameters<JavaCommand>[4]
): readonly [program: string, args: readonly string[]] => setup.flinkCommand(folder, classes, mainClass, args, options)

export type StateBackend = 'heap' | 'rocksdb'

export interface FlinkSpec {
  readonly backend: StateBackend
  readonly query: number
  /** File of the events, and how many are in it. */
  readonly path: string
  readonly events: number
}

const sqlOf = (query: number): string => join(sources, 'queries', `q${query}.sql`)

/** Whether its query is written down here. */
export const hasFlinkQuery = (query: number): boolean => existsSync(sqlOf(query))

/** What Flink is told. A checkpoint every second, exactly once, one slot; objects are handed from one operator to the next as they are. */
function settings(backend: StateBackend, folder: string): Readonly<Record<string, string>> {
  return {
    'execution.checkpointing.interval': '1 s',
    'execution.checkpointing.mode': 'EXACTLY_ONCE',
    'execution.checkpointing.dir': pathToFileURL(join(folder, 'checkpoints')).href,
    'execution.checkpointing.incremental': 'true',
    'pipeline.object-reuse': 'true',
    'parallelism.default': '1',
    'state.backend.type': backend === 'heap' ? 'hashmap' : 'rocksdb',
    'taskmanager.memory.managed.size': '1 gb',
    'io.tmp.dirs': join(folder, 'temporary'),
    'table.local-time-zone': 'UTC',
    // Updates of a key come in order here; Flink would else keep a list of rows for each key of a sink.
    'table.exec.sink.upsert-materialize': 'NONE'
  }
}

/**
 * What NexmarkRun.java prints: from the first event on, but for `laterCpuMs`, which is from the middle of the events on, and `wholeCpuMs`, which is
 * since the process began.
 */
interface Printed {
  readonly cpuMs: number
  readonly laterCpuMs: number
  readonly wallMs: number
  readonly wholeCpuMs: number
  readonly sinkCpuMs: number
  readonly sinkWallMs: number
  readonly peakMiB: number
  readonly rows: number
  readonly barriers: number
}

/** Runs a query to its end, in a process of its own. Throws what Flink says when it fails. */
export function measureFlink(flink: Flink, { backend, query, path, events }: FlinkSpec): Promise<Measured> {
  const { result } = queryOf(query)
  const input = { path, events, waitMs: result === 'total' ? windowWaitMs : 0 }
  return inFlink(flink, { ...input, backend, queries: [query] }, async (printed, rowsOf) => ({
    perCpuSecond: (events * 1000) / (printed.cpuMs - printed.sinkCpuMs),
    perSecond: (events * 1000) / (printed.wallMs - printed.sinkWallMs),
    wholePerCpuSecond: (events * 1000) / (printed.wholeCpuMs - printed.sinkCpuMs),
    laterPerCpuSecond: ((events / 2) * 1000) / (printed.laterCpuMs - printed.sinkCpuMs / 2),
    peakMiB: printed.peakMiB,
    rows: printed.rows,
    checkpoints: printed.barriers,
    ...(result === 'updates'
      ? { hash: '', last: await hashOfLast(queryOf(query), rowsOf(query)) }
      : { hash: await hashOf(query, rowsOf(query)) })
  }))
}

/** Results of queries on event time, of updates what is left in the end; all queries are one job, which starts once. */
export function flinkResults(
  flink: Flink,
  backend: StateBackend,
  queries: readonly number[],
  { path, events }: Pick<FlinkSpec, 'path' | 'events'>
): Promise<ReadonlyMap<number, readonly Row[]>> {
  return inFlink(flink, { path, events, waitMs: 0, backend, queries, brief: true }, async (_, rowsOf) => {
    const results = new Map<number, readonly Row[]>()
    for (const query of queries) {
      const texts: string[] = []
      if (queryOf(query).result === 'updates') texts.push(...(await lastRows(queryOf(query), rowsOf(query))))
      else for await (const text of keptRows(query, rowsOf(query))) texts.push(text)
      results.set(
        query,
        texts.map(text => JSON.parse(text) as Row)
      )
    }
    return results
  })
}

interface Job {
  readonly path: string
  readonly events: number
  /** Between the last event and the end of the source. */
  readonly waitMs: number
  readonly backend: StateBackend
  readonly queries: readonly number[]
  /** It is over before a better compiler would pay. */
  readonly brief?: boolean
}

/** @param take gets what was printed, and where the rows of each query are; they are gone when it has ended */
async function inFlink<T>(
  flink: Flink,
  { path, events, waitMs, backend, queries, brief = false }: Job,
  take: (printed: Printed, rowsOf: (query: number) => string) => Promise<T>
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-flink-'))
  try {
    const temporary = join(folder, 'temporary')
    mkdirSync(temporary)
    const file = join(folder, 'settings')
    const rowsOf = (query: number): string => join(folder, `rows-${query}`)
    const lines = Object.entries(settings(backend, folder)).map(([name, value]) => `${name}: ${value}\n`)
    writeFileSync(file, lines.join(''))
    const input = [file, path, String(events), join(sources, 'tables.sql'), String(waitMs)]
    const args = [...input, ...queries.flatMap(query => [sqlOf(query), rowsOf(query)])]
    const options = { heapMb, temporary, brief }
    const [program, words] = flinkJava(flink, 'NexmarkRun', args, options)
    const child = spawnSync(program, words, { encoding: 'utf8', timeout: timeoutMs, killSignal: 'SIGKILL' })
    if (child.status !== 0)
      throw new Error(`Flink ended with ${child.status ?? child.signal}: ${child.error?.message ?? child.stderr}`)
    return await take(JSON.parse(child.stdout) as Printed, rowsOf)
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Until windows of 10 s on the wall clock have fired: those that are open when its source ends never do in Flink. */
const windowWaitMs = 11_000

async function hashOf(query: number, path: string): Promise<string> {
  const discard = new Discard(queryOf(query))
  let rows: Uint8Array[] = []
  for await (const text of keptRows(query, path)) {
    rows.push(Buffer.from(text))
    if (rows.length < 8192) continue
    discard.take(rows)
    rows = []
  }
  discard.take(rows)
  return discard.hash
}

async function* keptRows(query: number, path: string): AsyncIterable<string> {
  for await (const { text, deleted } of linesOf(path)) {
    if (deleted) throw new Error(`query ${query} of Flink takes back a row`)
    yield text
  }
}
