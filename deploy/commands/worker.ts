/** `cairn worker`: the processes of a cluster. */
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration, parseSize, type Duration } from '../../runtime/kernel/durations.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { encodeMessage, subjects } from '../../runtime/core/cluster-messages.ts'
import { connectCluster, fileOf, withConnection, type ConnectionFlags } from '../cluster/connection.ts'
import { listen, type Seen } from '../cluster/look.ts'
import { addressOf } from '../address.ts'
import { startWorker, type StartedWorker, type WorkerOptions } from '../cluster/start-worker.ts'
import { usualTiming } from '../cluster/timing.ts'
import { WorkerLog } from '../cluster/worker-log.ts'
import { onInterrupts } from '../interrupts.ts'
import { findJob, jobArgument } from '../job-reference.ts'
import { JobMeters } from '../metrics/job-meters.ts'
import { metricsOption, observeWorker, serveMetrics } from '../metrics/serve-metrics.ts'
import { compileJob, evaluateJob } from '../load-job.ts'
import { wholeNumber } from '../output.ts'

interface StartFlags extends ConnectionFlags {
  readonly name: string
  readonly local?: string
  readonly listen: string
  readonly advertise?: string
  readonly tlsCa?: string
  readonly tlsCert?: string
  readonly tlsKey?: string
  readonly tasks?: number
  readonly interval?: number
  readonly store?: 'memory' | 'level'
  readonly cache?: number
  readonly dropState?: readonly string[]
  readonly lostAfter: number
  readonly metrics?: string
}

export function workerCommand(): Command {
  return new Command('worker')
    .description('The processes of a cluster.')
    .addCommand(startCommand())
    .addCommand(drainCommand())
}

const duration =
  (option: string) =>
  (text: string): number => {
    try {
      return parseDuration(text as Duration, option)
    } catch (error) {
      throw new InvalidArgumentError((error as Error).message)
    }
  }

function startCommand(): Command {
  return withConnection(new Command('start'))
    .description('Run one worker of a job; every worker is started by the same command, and any of them leads.')
    .argument('<job>', 'a TypeScript or JavaScript file that exports a job as its default')
    .addOption(
      new Option('--name <name>', 'stays the same when the process is started again')
        .env('CAIRN_NAME')
        .default(hostname())
    )
    .addOption(
      new Option('--local <folder>', 'a local disk, for this worker alone (default: .cairn-local/<name>)').env(
        'CAIRN_LOCAL'
      )
    )
    .addOption(
      new Option('--listen <host:port>', 'where other workers connect to; port 0 is a free one')
        .env('CAIRN_LISTEN')
        .default('127.0.0.1:0')
    )
    .addOption(
      new Option('--advertise <host[:port]>', 'how they reach it, when that is another address').env('CAIRN_ADVERTISE')
    )
    .addOption(new Option('--tls-ca <file>', 'authority of the certificates of all workers').env('CAIRN_TLS_CA'))
    .addOption(
      new Option('--tls-cert <file>', "this worker's certificate, for connections among workers").env('CAIRN_TLS_CERT')
    )
    .addOption(new Option('--tls-key <file>', 'and its key').env('CAIRN_TLS_KEY'))
    .addOption(
      new Option('--tasks <n>', 'tasks of each stage in a worker').env('CAIRN_TASKS').argParser(wholeNumber(1))
    )
    .addOption(
      new Option('--interval <duration>', 'time between checkpoints, like 100ms or 1s')
        .env('CAIRN_INTERVAL')
        .argParser(duration('--interval'))
    )
    .addOption(
      new Option('--store <kind>', 'where actors live that do not fit into the cache')
        .env('CAIRN_STORE')
        .choices(['memory', 'level'])
    )
    .option('--cache <size>', 'how much of the actors to keep ready, like 64MiB', text => {
      try {
        return parseSize(text, '--cache')
      } catch (error) {
        throw new InvalidArgumentError((error as Error).message)
      }
    })
    .option('--drop-state <stage...>', 'give up the stored state of stages that the job no longer has')
    .addOption(
      new Option('--lost-after <duration>', 'a worker that is not heard for so long is lost')
        .default(usualTiming.lostAfterMs, '5s')
        .argParser(duration('--lost-after'))
    )
    .addOption(metricsOption())
    .addHelpText(
      'after',
      `
Examples:
  cairn worker start examples/orders.ts --nats nats://nats:4222 --storage /mnt/checkpoints
  cairn worker start orders.ts --name w2 --listen 0.0.0.0:7400 --advertise w2.workers

Storage, and the files that the job reads and writes, must be the same for all workers. SIGTERM and Ctrl-C: what it runs goes to the
others behind a checkpoint, then it ends. A second one ends it at once; nothing is lost then either.

Exit codes: 0 the job has finished, or the worker was told to go; 1 it failed; 2 usage; 130 stopped by a second interrupt.`
    )
    .action(start)
}

function tlsOf({ tlsCa, tlsCert, tlsKey }: StartFlags): { ca: string; certificate: string; key: string } | undefined {
  if (tlsCa === undefined && tlsCert === undefined && tlsKey === undefined) return undefined
  if (tlsCa === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new CodedError('OPTION_INVALID', 'TLS among workers needs all of --tls-ca, --tls-cert and --tls-key')
  return {
    ca: fileOf('--tls-ca', tlsCa),
    certificate: fileOf('--tls-cert', tlsCert),
    key: fileOf('--tls-key', tlsKey)
  }
}

async function start(path: string, flags: StartFlags): Promise<void> {
  const { code } = await compileJob(path)
  const job = await evaluateJob(path, code)
  const tls = tlsOf(flags)
  const log = new WorkerLog(flags.name)
  const meters = new JobMeters()
  let started: StartedWorker | undefined
  const release = onInterrupts(() => {
    log.say('info', 'leaving; interrupt again to stop at once')
    // It has begun nothing yet. As process 1 of a container it would not be ended by the signal itself.
    if (started === undefined) process.exit(0)
    started.worker.leave()
  })
  const health = await serveMetrics(flags.metrics, meters, () => observeWorker(job.name, flags.name, started))
  if (health !== undefined) log.say('info', `metrics at ${health.url}/metrics`, { url: health.url })
  try {
    started = await startWorker(job, code, workerOptions(flags, tls, log))
    started.worker.onDrop = ({ shell }) => meters.ended(shell.gauges)
    await follow(job.name, started, log)
  } finally {
    release()
    await health?.close()
  }
}

function workerOptions(flags: StartFlags, tls: ReturnType<typeof tlsOf>, log: WorkerLog): WorkerOptions {
  return {
    connection: flags,
    name: flags.name,
    local: resolve(flags.local ?? `.cairn-local/${flags.name}`),
    tcp: {
      ...addressOf('--listen', flags.listen),
      ...(flags.advertise === undefined ? {} : { advertise: flags.advertise }),
      ...(tls === undefined ? {} : { tls })
    },
    timing: { ...usualTiming, lostAfterMs: flags.lostAfter },
    troubled: error => log.say('warn', `${error.code}: ${error.message}`),
    refused: reason => log.refused(reason),
    ...(flags.tasks === undefined ? {} : { tasks: flags.tasks }),
    ...(flags.interval === undefined ? {} : { intervalMs: flags.interval }),
    ...(flags.store === undefined ? {} : { store: flags.store }),
    ...(flags.cache === undefined ? {} : { cacheBytes: flags.cache }),
    ...(flags.dropState === undefined ? {} : { dropState: flags.dropState })
  }
}

async function follow(job: string, { worker, ended, connected }: StartedWorker, log: WorkerLog): Promise<void> {
  const unwatch = log.watch(worker, connected)
  try {
    const how = await ended
    log.say('info', how === 'stopped' ? 'left the job' : `job "${job}" has ${how}`)
  } finally {
    unwatch()
  }
}

function drainCommand(): Command {
  return withConnection(new Command('drain'))
    .description('Let other workers take over what one of them runs; it ends then.')
    .argument('<worker>', 'its name, as `cairn cluster status` shows it')
    .requiredOption('--job <job>', jobArgument)
    .addHelpText(
      'after',
      '\nExample:\n  cairn worker drain w2 --job orders --nats nats://nats:4222 --storage /mnt/checkpoints'
    )
    .action(async (name: string, flags: ConnectionFlags & { readonly job: string }) => {
      const job = await findJob(flags.job, flags.storage)
      const cluster = await connectCluster(job.name, flags, usualTiming.leaseMs, false)
      const look = listen(job.name, cluster.bus)
      try {
        const found = await look.until(seen => workerCalled(name, seen), 3 * usualTiming.lostAfterMs)
        if (found === undefined)
          throw new CodedError('NOT_FOUND', `job "${job.name}" has no worker "${name}"; ${look.describe()}`)
        const command = encodeMessage({ kind: 'leave', worker: found })
        const again = setInterval(() => cluster.bus.publish(`${job.name}.${subjects.commands}`, command), 250)
        try {
          // A worker that is gone is not heard any more.
          await look.until(() => (look.heardWithin(found, usualTiming.lostAfterMs) ? undefined : true), Infinity)
        } finally {
          clearInterval(again)
        }
        process.stderr.write(`worker "${name}" is gone\n`)
      } finally {
        look.close()
        await cluster.bus.close()
      }
    })
}

const workerCalled = (name: string, { reports }: Seen): string | undefined =>
  [...reports.values()].find(report => report.name === name || report.worker === name)?.worker
