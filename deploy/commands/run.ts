import { hostname } from 'node:os'
import { Command } from 'commander'
import type { Job } from '../../actors/stream.ts'
import { nodeClock } from '../../runtime/adapters/node-clock.ts'
import { isCodedError, type CodedError } from '../../runtime/kernel/errors.ts'
import { onInterrupts } from '../interrupts.ts'
import { killProbe } from '../kill-probe.ts'
import { loadJob } from '../load-job.ts'
import type { HealthServer } from '../metrics/health-server.ts'
import { JobMeters } from '../metrics/job-meters.ts'
import type { Observed } from '../metrics/observed.ts'
import { serveMetrics } from '../metrics/serve-metrics.ts'
import { Progress, stderrScreen } from '../progress.ts'
import { beginAt, replayed } from '../replay.ts'
import { restoredText } from '../restored-text.ts'
import { startOptions, writesToStdout } from '../run-flags.ts'
import type { RunningJob, StartOptions } from '../running-job.ts'
import { settingsHelp, settingsOf, withSettings } from '../settings/command-settings.ts'
import { runAloneSettings, runProblems, type RunAloneValues } from '../settings/tables.ts'
import { startJob, type Started } from '../start-job.ts'

export function runCommand(): Command {
  return withSettings(new Command('run'), runAloneSettings)
    .description('Run a job; it resumes from its last checkpoint by itself.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .addHelpText(
      'after',
      `
Examples:
  cairn run examples/orders.ts
  cairn run examples/orders.ts --fresh --interval 100ms
  cairn run examples/orders.ts --restore before-upgrade --fork
  cairn run orders.ts --as backfill --from 2026-11-20T08:00:00Z
  cairn run orders.ts --as what-if --from savepoint:before-upgrade

--restore --fork goes back to an older checkpoint in a new lineage of the job: state and input positions are those of then. What was
published since stays published, and what the job now makes of the same input is published again. The old lineage ends. Both flags are
for one start: left out, the next one goes on in the newest lineage.

Ctrl-C drains: it finishes what was read, takes a last checkpoint and publishes it. A second Ctrl-C stops at once.
${settingsHelp}`
    )
    .action(async (path: string, _flags: unknown, command: Command) => {
      const settings = settingsOf(command, runAloneSettings, runProblems)
      const job = await loadJob(path)
      await new RunSession(replayed(job, settings), settings, beginAt(job, settings)).run()
    })
}

/** Between two attempts to begin anew after a full disk or the like; it doubles up to the second one. */
const [firstRetryMs, lastRetryMs] = [1000, 30_000]

class RunSession {
  private readonly job: Job<unknown>
  private readonly flags: RunAloneValues
  private readonly begin: Pick<StartOptions, 'beginAt'>
  private readonly meters = new JobMeters()
  private generations = 0
  private failures = 0
  private trouble: string | undefined
  private readonly probe = killProbe(process.env['CAIRN_TEST_KILL_AT'])
  private running: RunningJob | undefined
  private progress: Progress | undefined
  private interrupted = false
  private wake: (() => void) | undefined

  constructor(job: Job<unknown>, flags: RunAloneValues, begin: Pick<StartOptions, 'beginAt'>) {
    this.job = job
    this.flags = flags
    this.begin = begin
  }

  async run(): Promise<void> {
    const release = onInterrupts(() => {
      this.interrupted = true
      this.say('draining; interrupt again to stop at once')
      this.running?.drain().catch(() => undefined)
      this.wake?.()
    })
    let health: HealthServer | undefined
    try {
      health = await serveMetrics(this.flags.metrics, this.meters, () => this.observe())
      if (health !== undefined) this.say(`metrics at ${health.url}/metrics`)
      let started = await startJob(
        this.job,
        { ...startOptions(this.flags, error => this.troubled(error)), ...this.begin },
        this.probe
      )
      for (;;) {
        const failure = await this.follow(started)
        if (failure === undefined) return
        started = await this.restart(failure)
      }
    } finally {
      release()
      await health?.close()
    }
  }

  /** Until the job ends; returns a failure after which it may begin anew from its last checkpoint. */
  private async follow(started: Started): Promise<CodedError | undefined> {
    const { name, plan } = this.job
    if (started.restored !== undefined) this.say(started.restored)
    if (started.kind === 'finished') {
      this.say(finishedText(name, started.epoch))
      return undefined
    }
    const running = (this.running = started.job)
    this.generations++
    this.trouble = undefined
    const brought = restoredText(running.gauges().restored)
    if (brought !== undefined) this.say(brought)
    this.progress = new Progress(stderrScreen(writesToStdout(plan)), () => running.status())
    // The interrupt may have come while it began.
    if (this.interrupted) running.drain().catch(() => undefined)
    let ending: string
    try {
      const how = await running.ended
      ending = this.endingText(how, running)
    } catch (error) {
      this.failures++
      this.trouble = error instanceof Error ? error.message : String(error)
      if (isCodedError(error) && error.retriable && !this.interrupted) return error
      throw error
    } finally {
      this.progress.close()
      this.progress = undefined
      this.meters.ended(running.gauges())
      this.running = undefined
    }
    this.say(ending)
    return undefined
  }

  private endingText(how: Awaited<RunningJob['ended']>, running: RunningJob): string {
    const { name } = this.job
    if (how === 'finished') return finishedText(name, running.status().checkpoint?.epoch)
    if (how !== 'parked') return `job "${name}" ${how}; started again, it goes on from here`
    process.exitCode = 1
    return `job "${name}" has handled all its input but for ${keysText(running.status().quarantined)} in quarantine; see \`cairn quarantine list ${name}\`. Started again, it waits until they are released`
  }

  /** A new generation, as soon as one can begin. */
  private async restart(failure: CodedError): Promise<Started> {
    const { fresh: _fresh, restore: _restore, fork: _fork, ...flags } = this.flags
    let last = failure
    for (let waitMs = firstRetryMs; ; waitMs = Math.min(2 * waitMs, lastRetryMs)) {
      this.say(`${last.code}: ${last.message}; beginning anew from the last checkpoint in ${waitMs / 1000} s`)
      await new Promise<void>(resolve => {
        const cancel = nodeClock.after(waitMs, resolve)
        this.wake = () => {
          cancel()
          resolve()
        }
      })
      if (this.interrupted) throw last
      try {
        return await startJob(
          this.job,
          { ...startOptions(flags, error => this.troubled(error)), ...this.begin },
          this.probe
        )
      } catch (error) {
        if (!isCodedError(error) || !error.retriable) throw error
        last = error
      }
    }
  }

  private observe(): Observed {
    const { running } = this
    const phase = running?.status().phase
    return {
      job: this.job.name,
      worker: hostname(),
      state: running !== undefined ? 'running' : this.failures > 0 ? 'failed' : 'starting',
      leaving: this.interrupted || phase === 'draining',
      generation: running?.status().generation ?? 0,
      generations: this.generations,
      failures: this.failures,
      leads: true,
      connected: undefined,
      gauges: running?.gauges(),
      pace: running?.status().pace,
      trouble: this.trouble
    }
  }

  private troubled({ code, message }: CodedError): void {
    this.say(`${code}: ${message}`)
  }

  private say(text: string): void {
    if (this.progress !== undefined) this.progress.say(text)
    else process.stderr.write(`${text}\n`)
  }
}

const keysText = (keys: number): string => `${keys} key${keys === 1 ? '' : 's'}`

export function finishedText(job: string, epoch: number | undefined): string {
  const checkpoint = epoch === undefined ? '' : ` (checkpoint ${epoch})`
  return `job "${job}" has finished${checkpoint}; start over with --fresh`
}
