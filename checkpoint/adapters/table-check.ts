/**
 * Checks LevelDB's tables on several threads: a process that starts again waits for nothing else as long. Threads only take work away: a table is left to
 * this one unless a thread has said that it is whole, so that one that ends early costs time and nothing else.
 */
import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** Fewer tables, of 2 MB, are checked before a thread has started. */
const fewTables = 24
const mostThreads = 4

/** What threads share: the number of the table that is next, and for each table 1 once it is known to be whole. */
export interface TableWork {
  readonly folder: string
  readonly tables: readonly string[]
  readonly shared: Int32Array
}

/** The next table for whoever asks; undefined when there is none left. */
export function nextTable({ tables, shared }: TableWork): { readonly name: string; whole(): void } | undefined {
  const i = Atomics.add(shared, 0, 1)
  const name = tables[i]
  return name === undefined ? undefined : { name, whole: () => void Atomics.store(shared, i + 1, 1) }
}

/** @param check throws what is damaged @param threads besides this one; default: one for each further core, if there is enough to do */
export async function checkTables(
  folder: string,
  tables: readonly string[],
  check: (table: string) => Promise<void>,
  threads = tables.length < fewTables ? 0 : Math.min(mostThreads, availableParallelism()) - 1
): Promise<void> {
  const shared = new Int32Array(new SharedArrayBuffer(4 * (tables.length + 1)))
  const work = { folder, tables, shared }
  const workers = Array.from({ length: threads }, () => startThread(work)).filter(worker => worker !== undefined)
  try {
    for (let table = nextTable(work); table !== undefined; table = nextTable(work)) {
      await check(table.name)
      table.whole()
    }
    // What they are at is checked twice: less than waiting for them.
    for (const [i, table] of tables.entries()) if (Atomics.load(shared, i + 1) === 0) await check(table)
  } finally {
    await Promise.all(workers.map(worker => worker.terminate()))
  }
}

/** Undefined: it cannot be had. */
function startThread(workerData: TableWork): Worker | undefined {
  try {
    const worker = new Worker(new URL('table-thread.js', import.meta.url), { workerData })
    worker.on('error', () => undefined)
    return worker
  } catch {
    return undefined
  }
}
