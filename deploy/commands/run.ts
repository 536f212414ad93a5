import { Command } from 'commander'
import type { Probe } from '../../runtime/shell/checkpoint-writer.ts'
import { onInterrupts } from '../interrupts.ts'
import { loadJob } from '../load-job.ts'
import { Progress, stderrScreen } from '../progress.ts'
import { startOptions, withRunFlags, writesToStdout, type RunFlags } from '../run-flags.ts'
import { startJob } from '../start-job.ts'

export function runCommand(): Command {
  return withRunFlags(new Command('run'))
    .description('Run a job; it resumes from its last checkpoint by itself.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .addHelpText(
      'after',
      `
Examples:
  cairn run examples/orders.ts
  cairn run examples/orders.ts --fresh --interval 100ms

Ctrl-C drains: it finishes what was read, takes a last checkpoint and publishes it. A second Ctrl-C stops at once.`
    )
    .action(run)
}

async function run(path: string, flags: RunFlags): Promise<void> {
  const job = await loadJob(path)
  const started = await startJob(job, startOptions(flags), killProbe(process.env['CAIRN_TEST_KILL_AT']))
  if (started.kind === 'finished') {
    process.stderr.write(`${finishedText(job.name, started.epoch)}\n`)
    return
  }
  const running = started.job
  const progress = new Progress(stderrScreen(writesToStdout(job.plan)), () => running.status())
  const release = onInterrupts(() => {
    progress.say('draining; interrupt again to stop at once')
    running.drain().catch(() => undefined)
  })
  let ending = ''
  try {
    const how = await running.ended
    ending =
      how === 'finished'
        ? finishedText(job.name, running.status().checkpoint?.epoch)
        : `job "${job.name}" ${how}; started again, it goes on from here`
  } finally {
    progress.close()
    release()
  }
  process.stderr.write(`${ending}\n`)
}

export function finishedText(job: string, epoch: number | undefined): string {
  const checkpoint = epoch === undefined ? '' : ` (checkpoint ${epoch})`
  return `job "${job}" has finished${checkpoint}; start over with --fresh`
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
