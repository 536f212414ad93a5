import { Command } from 'commander'
import { parseDuration, type Duration } from '../../runtime/kernel/durations.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Probe } from '../../runtime/shell/checkpoint-writer.ts'
import { loadJob } from '../load-job.ts'
import type { JobStatus } from '../running-job.ts'
import { startJob } from '../start-job.ts'

interface RunFlags {
  readonly storage: string
  readonly fresh?: boolean
  readonly parallelism?: string
  readonly interval?: string
}

/** Between two lines of progress in a pipe. */
const progressMs = 2000

export function runCommand(): Command {
  return new Command('run')
    .description('Run a job; it resumes from its last checkpoint by itself.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .option('--storage <folder>', 'where checkpoints are kept', process.env['CAIRN_STORAGE'] ?? '.cairn')
    .option('--fresh', 'start over: checkpoints and output folders are moved aside')
    .option('--parallelism <n>', 'tasks per stage')
    .option('--interval <duration>', 'time between checkpoints, like 100ms or 1s')
    .addHelpText(
      'after',
      '\nExamples:\n  cairn run examples/orders.ts\n  cairn run examples/orders.ts --fresh --interval 100ms\n\nCtrl-C drains: it finishes what was read, takes a last checkpoint and publishes it. A second Ctrl-C stops at once.'
    )
    .action(run)
}

async function run(path: string, flags: RunFlags): Promise<void> {
  const job = await loadJob(path)
  const started = await startJob(
    job,
    {
      storage: flags.storage,
      fresh: flags.fresh === true,
      ...(flags.parallelism === undefined ? {} : { parallelism: parallelismOf(flags.parallelism) }),
      ...(flags.interval === undefined ? {} : { intervalMs: parseDuration(flags.interval as Duration, '--interval') })
    },
    killProbe(process.env['CAIRN_TEST_KILL_AT'])
  )
  if (started.kind === 'finished') {
    sayFinished(job.name, started.epoch)
    return
  }
  const running = started.job
  const progress = setInterval(() => process.stderr.write(`${progressLine(running.status())}\n`), progressMs)
  let interrupts = 0
  const interrupted = (): void => {
    if (++interrupts > 1) process.exit(130)
    process.stderr.write('draining; interrupt again to stop at once\n')
    running.drain().catch(() => undefined)
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  try {
    const how = await running.ended
    const status = running.status()
    if (started.wasFinal) sayFinished(job.name, status.checkpoint?.epoch)
    else process.stderr.write(`${progressLine(status)}\njob "${job.name}" ${how}\n`)
  } finally {
    clearInterval(progress)
    process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
  }
}

function sayFinished(job: string, epoch: number | undefined): void {
  const checkpoint = epoch === undefined ? '' : ` (checkpoint ${epoch})`
  process.stderr.write(`job "${job}" has finished${checkpoint}; start over with --fresh\n`)
}

function parallelismOf(text: string): number {
  const n = Number(text)
  if (!Number.isSafeInteger(n) || n < 1)
    throw new CodedError('OPTION_INVALID', `--parallelism is "${text}"; it must be a whole number from 1`)
  return n
}

function progressLine(status: JobStatus): string {
  const parts = [`${status.recordsRead} read`, `${status.events} events`, `${status.keys} keys`]
  if (status.lag !== undefined) parts.push(`lag ${status.lag}`)
  if (status.watermark !== undefined) parts.push(`watermark ${new Date(status.watermark).toISOString()}`)
  if (status.checkpoint !== undefined) parts.push(`checkpoint ${status.checkpoint.epoch}`)
  if (status.deadLetters > 0) parts.push(`${status.deadLetters} dead letters`)
  for (const sink of status.sinks) parts.push(`${sink.name} ${sink.published}`)
  return `${status.job}: ${parts.join(' · ')}`
}

/** Failpoint of the kill tests: `point:count` ends the process as SIGKILL would, the count-th time the point is reached. */
function killProbe(spec: string | undefined): Probe | undefined {
  if (spec === undefined) return undefined
  const [point, count] = spec.split(':')
  let left = Number(count)
  return reached => {
    if (reached === point && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
