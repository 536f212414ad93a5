/** Every branch that exists for a fault, by its mark, as the build has them. */
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const build = new URL('../../', import.meta.url)

const noParking = 'no stage of a random job parks keys: test/runtime/core/quarantine'

/** Why the swarm does not take a branch, or hardly ever, and what takes it instead. */
export const untaken: ReadonlyMap<string, string> = new Map([
  ['cluster leader: a worker that does not start', 'needs a worker that is heard for 15 s and neither runs nor fails'],
  [
    'cluster worker: a message that is no command',
    'the made-up bus changes no bytes, and what is not signed is dropped before: test/runtime/adapters/signed-bus'
  ],
  [
    'cluster worker: a message that is no directive',
    'the made-up bus changes no bytes, and what is not signed is dropped before: test/runtime/adapters/signed-bus'
  ],
  [
    'cluster worker: a message that is no report',
    'the made-up bus changes no bytes, and what is not signed is dropped before: test/runtime/adapters/signed-bus'
  ],
  [
    'connections: an older generation refused',
    'needs a connection that takes longer than the change of a generation: test/runtime/shell/connections'
  ],
  ['exchange: a gap in a channel', 'a stream loses nothing in the middle: test/runtime/core/frames'],
  ['handlers: a key is parked', noParking],
  ['kafka: a malformed reply', 'made-up brokers answer as they should: test/runtime/kafka-protocol/connection'],
  [
    'kafka: a reply to another question',
    'made-up brokers answer as they should: test/runtime/kafka-protocol/connection'
  ],
  ['kafka: authenticates again', 'made-up brokers ask for no password: test/runtime/adapters/kafka/kafka-secure'],
  [
    'kafka: makes the ledger topic',
    'made-up clusters have one from the beginning: test/runtime/adapters/kafka/kafka-publisher'
  ],
  ['kafka: records are refused', 'random jobs write small records: test/runtime/kafka-protocol/transaction'],
  [
    'kafka: the ledger has another leader than the one that was asked',
    'needs a change of leader between two requests: test/simulations/broker'
  ],
  [
    'local state: a store that is not kept',
    'needs a damaged store, or one of another job: test/runtime/shell/local-state'
  ],
  ['quarantine: a key is free again', noParking],
  ['quarantine: a released event fails again', noParking],
  ['source: a partition joins', 'made-up topics keep their partitions: test/deploy/kafka-away'],
  ['spill: the disk takes nothing', 'needs a full disk while a loop holds too much: test/runtime/core/loop-spill']
])

/** Run on real servers and sockets only; their tests take these. */
const real =
  /^(runtime\/adapters\/(?!kafka)|runtime\/adapters\/kafka\/(shared-consumer|direct-consumer|kafka-reader|kafka-appender|forget-ledger)|checkpoint\/adapters\/level)/

/** Of the rooms that run in production and in the simulator. One that is made of parts has `*` for what is put in. */
export function allMarks(): string[] {
  const marks = new Set<string>()
  for (const room of ['runtime', 'checkpoint'])
    for (const text of texts(new URL(`${room}/`, build), `${room}/`))
      for (const [, mark] of text.matchAll(/^[^*\n]*\breached\(['"`]([^'"`]+)['"`]\)/gm))
        if (mark !== undefined) marks.add(mark.replaceAll(/\$\{[^}]*\}/g, '*'))
  return [...marks].sort()
}

/** Whether a mark that was counted is this one. */
export const isMark = (mark: string, counted: string): boolean =>
  mark.includes('*')
    ? mark
        .split('*')
        .every((part, i, all) => (i === 0 ? counted.startsWith(part) : i < all.length - 1 || counted.endsWith(part)))
    : mark === counted

function* texts(folder: URL, path: string): Generator<string> {
  for (const entry of readdirSync(fileURLToPath(folder), { withFileTypes: true })) {
    const inner = `${path}${entry.name}`
    if (entry.isDirectory()) yield* texts(new URL(`${entry.name}/`, folder), `${inner}/`)
    else if (entry.name.endsWith('.js') && !real.test(inner)) yield readFileSync(new URL(entry.name, folder), 'utf8')
  }
}
