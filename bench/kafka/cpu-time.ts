/** Of processes, by Linux's own account. */
import { readFileSync } from 'node:fs'

/** Of a second, in /proc. */
const ticksPerSecond = 100

/** Seconds of CPU that a process has used; none by one that there is not. */
export function cpuOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return (Number(user) + Number(system)) / ticksPerSecond
}
