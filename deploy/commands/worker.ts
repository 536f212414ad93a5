/** `cairn worker`: the processes of a cluster. */
import { resolve } from 'node:path'
import { Command } from 'commander'
import type { TcpOptions } from '../../runtime/adapters/tcp-transport.ts'
import { CodedError, isCodedError } from '../../runtime/kernel/errors.ts'
import { askCluster, heardWithinMs } from '../cluster/ask.ts'
import type { Seen } from '../cluster/look.ts'
import { startWorker, type StartedWorker, type WorkerOptions } from '../cluster/start-worker.ts'
import { usualTiming } from '../cluster/timing.ts'
import { WorkerLog } from '../cluster/worker-log.ts'
import { onInterrupts } from '../interrupts.ts'
import { jobArgument } from '../job-reference.ts'
import { JobMeters } from '../metrics/job-meters.ts'
import { observeWorker, serveMetrics } from '../metrics/serve-metrics.ts'
import { replayed } from '../replay.ts'
import { settingsHelp, settingsOf, withSettings } from '../settings/command-settings.ts'
import { connectionSettings, workerProblems, workerSettings, type WorkerValues } from '../settings/tables.ts'
import { compileJob, evaluateJob } from '../load-job.ts'

export function workerCommand(): Command {
  return new Command('worker')
    .description('The processes of a cluster.')
    .addCommand(startCommand())
    .addCommand(drainCommand())
}

function startCommand(): Command {
  return withSettings(new Command('start'), workerSettings)
    .description('Run one worker of a job; every worker is started by the same command, and any of them leads.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .addHelpText(
      'after',
      `
Examples:
  cairn worker start examples/orders.ts --nats nats://nats:4222 --storage /mnt/checkpoints
  cairn worker start orders.ts --name w2 --listen 0.0.0.0:7400 --advertise w2.workers
  CAIRN_NAME=w3 cairn worker start orders.ts --config cluster.json
${settingsHelp}

Storage, and the files that the job reads and writes, must be the same for all workers. SIGTERM and Ctrl-C: what it runs goes to the
others behind a checkpoint, then it ends. A second one ends it at once; nothing is lost then either.

Exit codes: 0 the job has finished, or the worker was told to go; 1 it failed; 2 usage; 130 stopped by a second interrupt.`
    )
    .action((path: string, _flags: unknown, command: Command) =>
      start(path, settingsOf(command, workerSettings, workerProblems))
    )
}

function tlsOf({ tlsCa: ca, tlsCert: certificate, tlsKey: key }: WorkerValues): TcpOptions['tls'] {
  return ca === undefined || certificate === undefined || key === undefined ? undefined : { ca, certificate, key }
}

async function start(path: string, settings: WorkerValues): Promise<void> {
  const { code } = await compileJob(path)
  const job = replayed(await evaluateJob(path, code), settings)
  if (settings.from?.kind === 'savepoint')
    throw new CodedError('OPTION_INVALID', '--from savepoint: workers of a cluster cannot begin a job at a savepoint', {
      remedy: '`cairn run` can, on the same storage; interrupted, it drains, and workers go on from there.'
    })
  const format = settings.log ?? (process.stderr.isTTY ? 'text' : 'json')
  const log = new WorkerLog({ worker: settings.name, job: job.name, format, level: settings.logLevel })
  const meters = new JobMeters()
  let started: StartedWorker | undefined
  const release = onInterrupts(() => {
    log.say('worker.leaving', 'leaving; interrupt again to stop at once')
    // It has begun nothing yet. As process 1 of a container it would not be ended by the signal itself.
    if (started === undefined) process.exit(0)
    started.worker.leave()
  })
  const health = await serveMetrics(settings.metrics, meters, () => observeWorker(job.name, settings.name, started))
  if (health !== undefined) log.say('metrics.listening', `metrics at ${health.url}/metrics`, { url: health.url })
  try {
    started = await startWorker(job, code, workerOptions(settings, log))
    started.worker.onDrop = ({ shell }) => meters.ended(shell.gauges)
    await follow(job.name, started, log)
  } catch (error) {
    if (format === 'text' || !isCodedError(error)) throw error
    const { code, message, remedy } = error
    log.say('worker.failed', `${code}: ${message}`, { code, remedy })
    process.exitCode = 1
  } finally {
    release()
    await health?.close()
  }
}

function workerOptions(settings: WorkerValues, log: WorkerLog): WorkerOptions {
  const tls = tlsOf(settings)
  return {
    connection: settings,
    kafka: settings,
    name: settings.name,
    ...(settings.tracing === undefined ? {} : { tracing: settings.tracing }),
    local: resolve(settings.local ?? `.cairn-local/${settings.name}`),
    tcp: {
      ...settings.listen,
      ...(settings.advertise === undefined ? {} : { advertise: settings.advertise }),
      ...(tls === undefined ? {} : { tls })
    },
    timing: { ...usualTiming, lostAfterMs: settings.lostAfter },
    hungAfterMs: settings.hungAfter,
    stood: ms =>
      log.say('worker.stood-still', `the event loop stood still for ${(ms / 1000).toFixed(1)} s`, {
        durationMs: Math.round(ms)
      }),
    troubled: ({ code, message }) => log.say('outside.trouble', `${code}: ${message}`, { code }),
    recovered: () => log.say('storage.back', 'checkpoint storage answers again'),
    refused: reason => log.refused(reason),
    ...(settings.tasks === undefined ? {} : { tasks: settings.tasks }),
    ...(settings.interval === undefined ? {} : { intervalMs: settings.interval }),
    ...(settings.latency === undefined ? {} : { latencyMs: settings.latency }),
    ...(settings.store === undefined ? {} : { store: settings.store }),
    ...(settings.cache === undefined ? {} : { cacheBytes: settings.cache }),
    ...(settings.dropState === undefined ? {} : { dropState: settings.dropState })
  }
}

async function follow(job: string, { worker, ended, connected }: StartedWorker, log: WorkerLog): Promise<void> {
  const unwatch = log.watch(worker, connected)
  try {
    const how = await ended
    log.say('worker.ended', how === 'stopped' ? 'left the job' : `job "${job}" has ${how}`, { how })
  } finally {
    unwatch()
  }
}

function drainCommand(): Command {
  return withSettings(new Command('drain'), connectionSettings)
    .description('Let other workers take over what one of them runs; it ends then.')
    .argument('<worker>', 'its name, as `cairn cluster status` shows it')
    .requiredOption('--job <job>', jobArgument)
    .addHelpText(
      'after',
      '\nExample:\n  cairn worker drain w2 --job orders --nats nats://nats:4222 --storage /mnt/checkpoints'
    )
    .action((name: string, flags: { readonly job: string }, command: Command) =>
      askCluster(flags.job, command, async ({ job, look, insist }) => {
        const worker = await look.until(seen => workerCalled(name, seen), heardWithinMs)
        if (worker === undefined)
          throw new CodedError('NOT_FOUND', `job "${job}" has no worker "${name}"; ${look.describe()}`)
        // A worker that is gone is not heard any more.
        const isGone = (): true | undefined => (look.heardWithin(worker, usualTiming.lostAfterMs) ? undefined : true)
        await insist(() => ({ kind: 'leave', worker }), isGone)
        process.stderr.write(`worker "${name}" is gone\n`)
      })
    )
}

const workerCalled = (name: string, { reports }: Seen): string | undefined =>
  [...reports.values()].find(report => report.name === name || report.worker === name)?.worker
