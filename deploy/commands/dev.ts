import { Command } from 'commander'
import { describePlan, diffPlans, type PlanDescription } from '../../actors/plan-print.ts'
import type { Job } from '../../actors/stream.ts'
import { explain } from '../explain.ts'
import { onInterrupts } from '../interrupts.ts'
import { CompileError, compileJob, evaluateJob } from '../load-job.ts'
import { Progress, stderrScreen } from '../progress.ts'
import { startOptions, writesToStdout } from '../run-flags.ts'
import type { RunningJob } from '../running-job.ts'
import { SaveWatcher } from '../save-watcher.ts'
import { settingsOf, withSettings } from '../settings/command-settings.ts'
import { devProblems, runSettings, type RunValues } from '../settings/tables.ts'
import { startJob } from '../start-job.ts'
import { finishedText } from './run.ts'

export function devCommand(): Command {
  return withSettings(new Command('dev'), runSettings)
    .description('Run a job and restart it whenever its file, or one that it imports, is saved. State is kept.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .addHelpText(
      'after',
      `
Example:
  cairn dev job.ts

Each restart drains the running job and says what changed in its plan. A file that does not compile, or a plan that is wrong, leaves
the running job alone. --fresh holds for the first start only. Ctrl-C drains and ends.`
    )
    .action((path: string, _flags: unknown, command: Command) =>
      new DevSession(path, settingsOf(command, runSettings, devProblems)).run()
    )
}

class DevSession {
  private readonly path: string
  private flags: RunValues
  private readonly watcher = new SaveWatcher()
  private running: { readonly job: RunningJob; readonly ended: Promise<void> } | undefined
  private progress: Progress | undefined
  private code = ''
  private plan: PlanDescription | undefined
  private over = false

  constructor(path: string, flags: RunValues) {
    this.path = path
    this.flags = flags
  }

  async run(): Promise<void> {
    const release = onInterrupts(() => {
      this.over = true
      this.say('draining; interrupt again to stop at once')
      this.watcher.close()
    })
    try {
      while (!this.over) {
        await this.reload()
        await this.watcher.saved()
      }
      await this.drain()
    } finally {
      this.watcher.close()
      release()
    }
  }

  /** Goes on with the running job where the new file cannot run. */
  private async reload(): Promise<void> {
    let job: Job<unknown>
    try {
      const { code, files } = await compileJob(this.path)
      this.watcher.watch(files)
      if (code === this.code) return
      job = await evaluateJob(this.path, code)
      this.code = code
    } catch (error) {
      this.watcher.watch(error instanceof CompileError ? error.files : [this.path])
      this.say(explain(error))
      if (this.running !== undefined) this.say('the job goes on as it was')
      return
    }
    const plan = describePlan(job.plan)
    if (this.plan !== undefined) this.sayChanges(diffPlans(this.plan, plan))
    this.plan = plan
    await this.drain()
    if (!this.over) await this.start(job)
  }

  private sayChanges(changes: readonly string[]): void {
    this.say(changes.length === 0 ? 'saved; the plan is the same' : 'saved; the plan has changed:')
    for (const change of changes) this.say(`  ${change}`)
  }

  private async drain(): Promise<void> {
    const { running } = this
    if (running === undefined) return
    running.job.drain().catch(() => undefined)
    await running.ended
  }

  private async start(job: Job<unknown>): Promise<void> {
    try {
      const started = await startJob(job, { ...startOptions(this.flags), check: true })
      const { fresh: _first, ...flags } = this.flags
      this.flags = flags
      if (started.kind === 'finished') {
        this.say(finishedText(job.name, started.epoch))
        return
      }
      const running = started.job
      this.progress = new Progress(stderrScreen(writesToStdout(job.plan)), () => running.status())
      this.running = { job: running, ended: this.follow(job.name, running) }
    } catch (error) {
      this.say(explain(error))
      this.say('waiting for the next save')
    }
  }

  private async follow(name: string, running: RunningJob): Promise<void> {
    let text: string | undefined
    try {
      const how = await running.ended
      if (how === 'finished')
        text = `${finishedText(name, running.status().checkpoint?.epoch)}; waiting for the next save`
    } catch (error) {
      text = `${explain(error)}\nwaiting for the next save`
    }
    this.progress?.close()
    this.progress = undefined
    this.running = undefined
    if (text !== undefined) this.say(text)
  }

  private say(text: string): void {
    if (this.progress !== undefined) this.progress.say(text)
    else process.stderr.write(`${text}\n`)
  }
}
