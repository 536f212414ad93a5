/** Worker processes of a test: the built command line, each with a local folder of its own. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

export const cairnBin = fileURLToPath(new URL('../../../deploy/bin/cairn.cjs', import.meta.url))

export interface ClusterPlace {
  /** Of the whole test. */
  readonly folder: string
  readonly job: string
  readonly nats: string
  /** Default: a folder in `folder`. */
  readonly storage?: string
  /** Added to that of the test. */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

export const storageOf = ({ folder, storage }: ClusterPlace): string => storage ?? join(folder, 'storage')

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export class WorkerProcess {
  readonly name: string
  readonly said: Record<string, unknown>[] = []
  readonly exited: Promise<number | string>
  private readonly child: ChildProcess
  private waiters: (() => void)[] = []
  private raw = ''

  constructor(t: Test, place: ClusterPlace, name: string, ...flags: string[]) {
    const { folder, job, nats } = place
    this.name = name
    const args = ['worker', 'start', job, '--nats', nats, '--storage', storageOf(place), '--name', name]
    this.child = spawn(process.execPath, [cairnBin, ...args, '--local', join(folder, 'local', name), ...flags], {
      cwd: folder,
      env: { ...process.env, ...place.environment },
      stdio: ['ignore', 'inherit', 'pipe']
    })
    running.add(this.child)
    createInterface({ input: this.child.stderr as NodeJS.ReadableStream }).on('line', line => this.hear(line))
    this.exited = once(this.child, 'exit').then(([code, signal]: unknown[]) => {
      running.delete(this.child)
      this.wake()
      return (code ?? signal) as number | string
    })
    t.teardown(async () => {
      this.child.kill('SIGKILL')
      await this.exited
    })
  }

  private hear(line: string): void {
    try {
      this.said.push(JSON.parse(line) as Record<string, unknown>)
    } catch {
      this.raw += `${line}\n`
    }
    this.wake()
  }
  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter()
  }

  get isOver(): boolean {
    return !running.has(this.child)
  }

  /** Until it has said so; rejects when it ends before. */
  async says(test: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.said.find(test)
      if (found !== undefined) return found
      if (this.isOver) throw new Error(`${this.name} ended without saying so: ${this.text}`)
      await new Promise<void>(resolve => this.waiters.push(resolve))
    }
  }

  runs(generation = 1): Promise<Record<string, unknown>> {
    return this.says(({ state, generation: number }) => state === 'running' && Number(number) >= generation)
  }

  /** Until all of them run one generation; one that came late begins another. */
  static async runTogether(workers: readonly WorkerProcess[]): Promise<void> {
    for (let newest = 1; ;) {
      const lines = await Promise.all(workers.map(worker => worker.runs(newest)))
      const generations = lines.map(({ generation }) => Number(generation))
      newest = Math.max(...generations)
      if (generations.every(each => each === newest)) return
    }
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.child.kill(signal)
  }

  get text(): string {
    return `${this.raw}${this.said.map(line => JSON.stringify(line)).join('\n')}`
  }
}
