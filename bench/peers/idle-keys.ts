/** What an idle key takes of Flink's heap, beside `npm run bench -- --memory`. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { locate } from '../../simulations/chaos/installed.ts'
import type { MemoryResult } from '../state.ts'
import { flinkJava, prepareFlink } from './flink.ts'

/** Keys of two numbers each in Flink's state on the Java heap. Undefined: Flink is not installed. Throws what Flink says when it fails. */
export function flinkMemory(keys: number, heapMb: number): MemoryResult | undefined {
  if (locate('flink') === undefined) return undefined
  const folder = mkdtempSync(join(tmpdir(), 'cairn-flink-'))
  try {
    const flink = prepareFlink(join(folder, 'classes'))
    if (flink === undefined) return undefined
    const temporary = join(folder, 'temporary')
    mkdirSync(temporary)
    const options = { heapMb, temporary, brief: false }
    const [program, words] = flinkJava(flink, 'IdleKeys', [String(keys), temporary], options)
    const child = spawnSync(program, words, { encoding: 'utf8', timeout: 600_000, killSignal: 'SIGKILL' })
    if (child.status !== 0)
      throw new Error(`Flink ended with ${child.status ?? child.signal}: ${child.error?.message ?? child.stderr}`)
    return JSON.parse(child.stdout) as MemoryResult
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}
