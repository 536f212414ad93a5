/** The job of a measurement as a process of its own. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import type { ByStage } from '../profiles.ts'

export interface JobProcess {
  /** Whom to name when it ends. */
  readonly who: string
  readonly command: readonly [program: string, args: readonly string[]]
  /** Where it runs. */
  readonly folder: string
  /** Beside what this process has. */
  readonly environment?: Readonly<Record<string, string>>
  /** Whether it says nothing on standard error unless something is wrong. */
  readonly isQuiet: boolean
  /** Only Cairn: it can be profiled. Default: no. */
  readonly profiled?: boolean
}

export interface StartedJob {
  readonly pid: number
  /** What it gives, or a rejection when the job ends meanwhile. */
  while<T>(work: Promise<T>): Promise<T>
  /** Of one that is `profiled`: from now on. */
  startProfile(): void
  /** ByStage of the stages since then. */
  stopProfile(): Promise<ByStage>
  /** At once, without a last commit. */
  stop(): Promise<void>
}

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export function startProcess({ who, command, folder, environment, isQuiet, profiled }: JobProcess): StartedJob {
  const stdio: StdioOptions & unknown[] = ['ignore', 'ignore', isQuiet ? 'inherit' : 'ignore']
  if (profiled === true) stdio.push('ipc')
  const child = spawn(...command, { cwd: folder, stdio, env: { ...process.env, ...environment } })
  running.add(child)
  const exited = once(child, 'exit')
  const ended = exited.then(() => Promise.reject(new Error(`${who} ended by itself`)))
  ended.catch(() => undefined)
  return {
    pid: child.pid as number,
    while: work => Promise.race([work, ended]),
    startProfile: () => void child.send('start'),
    async stopProfile() {
      child.send('stop')
      const [shares] = (await once(child, 'message')) as [ByStage]
      return shares
    },
    async stop() {
      child.kill('SIGKILL')
      await exited
      running.delete(child)
    }
  }
}
