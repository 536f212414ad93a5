/** Runs scenarios in processes of their own, as many at once as there are cores: a seed that hangs or dies takes nothing else along. */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { Scenario } from '../../simulations/cluster/scenario.ts'
import type { SeedAnswer, SeedTask } from './messages.ts'

const program = fileURLToPath(new URL('./seed-process.js', import.meta.url))
/** Real time of one run: a handler that never returns would hold up everything else. */
const longestMs = 900_000

export class SeedPool {
  private readonly idle: ChildProcess[] = []
  private readonly all = new Set<ChildProcess>()
  private waiting: ((child: ChildProcess) => void)[] = []

  private readonly arguments: readonly string[]

  /** @param job path of a job file to be simulated; undefined: random jobs, whose answer is known */
  constructor(processes: number, job?: string) {
    this.arguments = job === undefined ? [] : [job]
    for (let i = 0; i < processes; i++) this.idle.push(this.spawn())
  }

  /** Never rejects: a process that dies is a run that crashed. */
  async run(task: SeedTask): Promise<RunResult> {
    const child = this.idle.pop() ?? (await new Promise<ChildProcess>(resolve => this.waiting.push(resolve)))
    const { result, usable } = await ask(child, task)
    if (!usable) {
      child.kill('SIGKILL')
      this.all.delete(child)
    }
    const free = usable ? child : this.spawn()
    const next = this.waiting.shift()
    if (next === undefined) this.idle.push(free)
    else next(free)
    return result
  }

  close(): void {
    this.waiting = []
    for (const child of this.all) child.kill('SIGKILL')
  }

  private spawn(): ChildProcess {
    // Runs leave much garbage: threads of the collector would take the cores from the other processes, and with little room for what is
    // young it would run all the time.
    const child = fork(program, this.arguments, {
      execArgv: ['--single-threaded-gc', '--max-semi-space-size=64'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.all.add(child)
    child.once('exit', () => this.all.delete(child))
    return child
  }
}

function ask(child: ChildProcess, task: SeedTask): Promise<{ readonly result: RunResult; readonly usable: boolean }> {
  return new Promise(resolve => {
    const end = (result: RunResult, usable: boolean): void => {
      clearTimeout(timer)
      child.off('message', answered)
      child.off('exit', exited)
      resolve({ result, usable })
    }
    const answered = (answer: SeedAnswer): void =>
      answer.kind === 'result' ? end(answer.result, true) : end(crashed(task.scenario, answer.message), true)
    const exited = (code: number | null, signal: string | null): void =>
      end(crashed(task.scenario, `the process of the run ended (${signal ?? code ?? 'unknown'})`), false)
    const timer = setTimeout(
      () => end(crashed(task.scenario, `the run took more than ${longestMs / 1000} s of real time`), false),
      longestMs
    )
    child.on('message', answered)
    child.on('exit', exited)
    child.send(task)
  })
}

function crashed({ seed }: Scenario, message: string): RunResult {
  return {
    seed,
    outcome: 'crashed',
    findings: [],
    waitingFor: [],
    crashes: [message],
    description: '',
    events: 0,
    recoveries: 0,
    checkpoints: 0,
    republished: 0,
    simulatedMs: 0,
    worldEvents: 0,
    effects: 0,
    hits: {},
    marks: {},
    traceHash: ''
  }
}
