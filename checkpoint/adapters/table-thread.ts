/** A thread of `table-check.ts`. What it cannot read, or finds damaged, it leaves to whoever has started it. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { workerData } from 'node:worker_threads'
import { unfilledBytes } from '../../runtime/kernel/bytes.ts'
import { verifyTable } from '../../runtime/kernel/level-format.ts'
import { loadNativeCrc32c } from '../../runtime/packages/native-crc32c.ts'
import { nextTable, type TableWork } from './table-check.ts'

const work = workerData as TableWork
loadNativeCrc32c()
/** Kept from table to table: new memory costs as much as reading. */
let memory = unfilledBytes(4 * 1024 * 1024)

function read(path: string): Uint8Array {
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    if (size > memory.length) memory = unfilledBytes(size)
    return memory.subarray(0, readSync(file, memory, 0, size, 0))
  } finally {
    closeSync(file)
  }
}

for (let table = nextTable(work); table !== undefined; table = nextTable(work))
  try {
    verifyTable(read(join(work.folder, table.name)))
    table.whole()
  } catch {
    continue
  }
