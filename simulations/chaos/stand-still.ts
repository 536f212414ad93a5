/** SIGSTOP takes a moment to reach all threads of a process: until then it may still answer. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** Stops a process; resolves once all of it stands still, or it is gone. */
export async function standStill(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  while (moves(pid)) await new Promise(resolve => setImmediate(resolve))
}

function moves(pid: number): boolean {
  const threads = `/proc/${pid}/task`
  if (!existsSync('/proc/self/task')) return !/^[TZ]?$/.test(stateOf(pid))
  try {
    return readdirSync(threads).some(thread => !/\) [TZX] /.test(readFileSync(`${threads}/${thread}/stat`, 'utf8')))
  } catch {
    return existsSync(threads)
  }
}

/** Where there is no /proc: its main thread's, first letter. */
const stateOf = (pid: number): string =>
  spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' })
    .stdout.trim()
    .slice(0, 1)
