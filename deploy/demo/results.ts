/** What the demo's job has put out: read back from its folders and topics. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock } from '../../runtime/ports/clock.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'

export interface Results {
  readonly quiet: readonly Quiet[]
  readonly routes: readonly Worst[]
  readonly rush: readonly Rush[]
  readonly delays: readonly Delays[]
  readonly stranded: readonly Flown[]
  readonly late: readonly Flown[]
  readonly deadLetters: readonly { readonly error: string; readonly event: unknown }[]
  /** Of every record: equal for equal output, in whatever files and order it came. */
  readonly fingerprint: string
}
export interface Quiet {
  readonly airport: string
  readonly since: string
  readonly flights: number
  readonly meanDelay: number
  readonly deviation: number
}
export interface Worst {
  readonly route: string
  readonly delay: number
  readonly date: string
}
export interface Rush {
  readonly key: string
  readonly start: number
  readonly flights: number
  readonly meanDelay: number
}
export interface Delays {
  readonly key: string
  readonly start: number
  readonly end: number
  readonly flights: number
  readonly worst: number
}
interface Flown {
  readonly date: string
  readonly delay: number
  readonly origin: string
  readonly destination: string
}

/** `folder`: that of the job. `out`: that of its output. Throws LOCKED while the job runs. */
export async function readResults(folder: string, out: string, clock: Clock): Promise<Results> {
  const log = await EmbeddedLog.open(join(folder, 'log'), clock)
  const all: string[] = []
  const take = <T>(name: string, lines: readonly string[]): T[] => {
    for (const line of lines) all.push(`${name} ${line}`)
    return lines.map(line => JSON.parse(line) as T)
  }
  const fromFolder = <T>(name: string): T[] => take<T>(name, linesIn(join(out, name)))
  try {
    const quiet = take<Quiet>('quiet', await linesOf(log, 'quiet'))
    const deadLetters = take<Results['deadLetters'][number]>('dead', await linesOf(log, 'airports-dead-letters'))
    const rest = {
      routes: fromFolder<Worst>('routes'),
      rush: fromFolder<Rush>('rush'),
      delays: fromFolder<Delays>('delays'),
      stranded: fromFolder<Flown>('stranded'),
      late: fromFolder<Flown>('late')
    }
    const fingerprint = createHash('sha256').update(all.sort().join('\n')).digest('hex').slice(0, 12)
    return { quiet, deadLetters, ...rest, fingerprint }
  } finally {
    await log.close()
  }
}

function linesIn(folder: string): string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder)
    .filter(name => name.endsWith('.ndjson'))
    .flatMap(name => readFileSync(join(folder, name), 'utf8').split('\n'))
    .filter(line => line !== '')
}

async function linesOf(log: EmbeddedLog, topic: string): Promise<string[]> {
  const lines: string[] = []
  if (log.topic(topic) === undefined) return lines
  const reader = log.reader(topic, { bounded: true })
  const partitions = await reader.partitions()
  for (const partition of partitions.keys())
    for (let position = 0; ;) {
      const fetched = await reader.fetch(partition, position, 1 << 20, 0)
      if (fetched.kind !== 'records') break
      for (let i = 0; i < fetched.batch.count; i++) lines.push(new TextDecoder().decode(fetched.batch.value(i)))
      position = fetched.next
    }
  await reader.close()
  return lines
}
