/** One life of one worker: the built command line as a child process. What it says goes to a file, too. Ends only what it started. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

export interface WorkerChildSettings {
  readonly name: string
  /** Arguments of node: the command line, and what is said to it. */
  readonly args: readonly string[]
  /** The command that runs node, with its arguments; default: node itself. */
  readonly within?: readonly string[]
  readonly folder: string
  /** File for what it says. */
  readonly log: string
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>
}

/** A line of a worker's log. */
export type Said = Readonly<Record<string, unknown>>

const running = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Lines kept; the file has all. */
const keptLines = 200

export class WorkerChild {
  readonly name: string
  readonly log: string
  readonly exited: Promise<number | string>
  readonly said: Said[] = []
  /** Called with each line that is JSON. */
  onSaid: ((line: Said) => void) | undefined
  private readonly child: ChildProcess
  private raw = ''
  private waiters: (() => void)[] = []

  constructor({ name, args, within = [], folder, log, env }: WorkerChildSettings) {
    this.name = name
    this.log = log
    const [command = process.execPath, ...rest] = [...within, process.execPath, ...args]
    this.child = spawn(command, rest, {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
      // Many workers share this machine; files are synced in these threads.
      env: { ...process.env, UV_THREADPOOL_SIZE: '8', NODE_NO_WARNINGS: '1', ...env }
    })
    running.add(this.child)
    const file = createWriteStream(log, { flags: 'a' })
    // Whoever removes the folder first does not want to know.
    file.on('error', () => undefined)
    for (const stream of [this.child.stdout, this.child.stderr]) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', line => {
        file.write(`${line}\n`)
        this.hear(line)
      })
    }
    this.exited = once(this.child, 'exit').then(([code, signal]: unknown[]) => {
      running.delete(this.child)
      file.end()
      this.wake()
      return (code ?? signal) as number | string
    })
  }

  /** 0: it could not be started. */
  get pid(): number {
    return this.child.pid ?? 0
  }

  get isOver(): boolean {
    return !running.has(this.child)
  }

  /** SIGKILL, SIGTERM, SIGSTOP, SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  /** Until it has said so; rejects when it ends before. */
  async says(test: (line: Said) => boolean): Promise<Said> {
    for (;;) {
      const found = this.said.find(test)
      if (found !== undefined) return found
      if (this.isOver) throw new Error(`${this.name} ended without saying so: ${this.text}`)
      await new Promise<void>(resolve => this.waiters.push(resolve))
    }
  }

  /** It runs a generation, `generation` or a later one. */
  runs(generation = 1): Promise<unknown> {
    return this.says(({ state, generation: number }) => state === 'running' && Number(number) >= generation)
  }

  get text(): string {
    return `${this.raw}${this.said.map(line => JSON.stringify(line)).join('\n')}`
  }

  private hear(text: string): void {
    let line: Said | undefined
    try {
      line = JSON.parse(text) as Said
    } catch {
      this.raw = `${this.raw}${text}\n`.slice(-10_000)
    }
    if (line !== undefined) {
      this.said.push(line)
      if (this.said.length > keptLines) this.said.shift()
      this.onSaid?.(line)
    }
    this.wake()
  }

  private wake(): void {
    for (const waiter of this.waiters.splice(0)) waiter()
  }
}
