/** Answers what a job is asked: the running process for what is live, stored files for the rest. */
import { defineActor } from '../actors/definition.ts'
import type { Plan } from '../actors/plan.ts'
import type { Lineages } from '../checkpoint/lineages.ts'
import type { EmbeddedLog } from '../runtime/adapters/embedded-log/embedded-log.ts'
import { CodedError, unreachable } from '../runtime/kernel/errors.ts'
import type { Key } from '../runtime/kernel/keys.ts'
import { ControlClient } from './control-client.ts'
import type { ControlRequest, ControlResults, StateAnswer } from './control-protocol.ts'
import { lettersAreInLog, readDeadLetters, type LetterPlaces } from './dead-letters.ts'
import type { JobReference } from './job-reference.ts'
import { KafkaSide, type KafkaOptions } from './kafka.ts'
import { plainValue, valueOfPlain } from './plain-value.ts'
import { parkedShown, quarantineLines } from './quarantine.ts'
import { needsPlan, redrive, redriveProgress, type RedriveProgress } from './redrive.ts'
import type { RunningJob } from './running-job.ts'
import { checkStage, StoredJob, unknownStage } from './stored-job.ts'
import { appendTo, noTopic, readTopic, topicLines, withStoredLog } from './topic-desk.ts'

type Kind = ControlRequest['kind']
type Request<K extends Kind> = Extract<ControlRequest, { readonly kind: K }>
/** What files can answer. */
const storedKinds = [
  'state',
  'checkpoint-list',
  'checkpoint-inspect',
  'checkpoint-verify',
  'savepoint-list',
  'dead-letters',
  'redrive',
  'quarantine-list',
  'quarantine-show',
  'topics',
  'log-append',
  'log-read'
] as const
type StoredKind = (typeof storedKinds)[number]

/** The job's log while `work` runs; undefined = it has none. `make`: then one is made where that is possible. */
type WithLog = <T>(make: boolean, work: (log: EmbeddedLog) => Promise<T>) => Promise<T | undefined>

/** What is of use where this process answers by itself. */
export interface OwnMeans {
  /** How Kafka is reached; a running job has settings of its own. */
  readonly kafka?: KafkaOptions
  readonly probe?: ((point: string) => void) | undefined
}

/** Asks the process that runs the job, or reads what it has stored. Throws NOT_RUNNING where only a running job could answer. */
export async function askJob<K extends Kind>(
  job: JobReference,
  request: Request<K>,
  means: OwnMeans = {}
): Promise<ControlResults[K]> {
  const { folder } = job
  const client = folder === undefined ? undefined : await ControlClient.open(folder)
  if (client !== undefined)
    try {
      return await client.ask<K>(request)
    } catch (error) {
      // It ended while it was asked: what it has stored still answers. An append may have been done, so it is not done again.
      const ended = error instanceof CodedError && error.code === 'NOT_RUNNING'
      if (!ended || !isStored(request) || request.kind === 'log-append' || request.kind === 'redrive') throw error
    } finally {
      client.close()
    }
  if (isStored(request))
    return (await answerStored(
      job,
      request,
      async (make, work) => (folder === undefined ? undefined : withStoredLog(folder, make, work)),
      means
    )) as ControlResults[K]
  throw notRunning(job)
}

/** How far the redrive is that this process carries out, or the one that runs the job. Undefined: there is none, or nobody says. */
export async function progressOf({ name, folder }: JobReference): Promise<RedriveProgress | undefined> {
  const own = redriveProgress(name)
  if (own !== undefined || folder === undefined) return own
  const client = await ControlClient.open(folder)
  try {
    return (await client?.ask<'redrive-progress'>({ kind: 'redrive-progress' })) ?? undefined
  } catch (error) {
    // A job of an older build knows no such request.
    if (error instanceof CodedError) return undefined
    throw error
  } finally {
    client?.close()
  }
}

/** Nobody answers for the job. */
export function notRunning({ name, folder }: JobReference, more = ''): CodedError {
  return folder === undefined
    ? new CodedError('NOT_RUNNING', `job "${name}" has its checkpoints on S3: only a cluster can run it${more}`, {
        remedy: `See \`cairn cluster status ${name}\` and \`cairn cluster drain ${name}\`.`
      })
    : new CodedError('NOT_RUNNING', `job "${name}" is not running${more}`)
}

/** What the control socket of `running` answers. */
export function answersOf(
  running: RunningJob,
  plan: Plan,
  folder: string,
  lineages: Lineages,
  kafka: KafkaOptions
): (request: ControlRequest) => Promise<unknown> {
  const reference: JobReference = { name: plan.job, folder, lineages, plan }
  const stages = plan.nodes.flatMap(node =>
    node.kind === 'actor' ? [{ stage: node.name, definition: defineActor(node.actor, node.name) }] : []
  )
  const names = stages.map(({ stage }) => stage)
  const withLog: WithLog = async (_make, work) => (running.log === undefined ? undefined : work(running.log))
  return async request => {
    switch (request.kind) {
      case 'status':
        return running.status()
      case 'state': {
        const { stage, key } = request
        const found = stages.filter(each => each.stage === stage || each.definition.name === stage)
        if (found.length === 0) throw unknownStage(stage, names)
        const fields = await running.state(stage, key)
        if (fields === undefined || found.every(({ definition }) => definition.durableMaps.length === 0))
          return stateAnswer(fields, null)
        // Durable maps are shown as of the newest checkpoint: they need not be in memory.
        const stored = await new StoredJob(plan.job, lineages).state(stage, key)
        return stateAnswer({ ...stored.fields, ...fields }, null)
      }
      case 'quarantine-list':
        if (request.stage !== undefined) checkStage(request.stage, names)
        return quarantineLines(running.quarantine(), request, null)
      case 'quarantine-show':
        checkStage(request.stage, names)
        return parkedShown(running.quarantine(), { ...request, key: request.key as Key }, null)
      case 'quarantine-do': {
        const { command: id, action, stage, key, value } = request
        checkStage(stage, names)
        return running.operate({ id, action, stage, key: key as Key, value: valueOfPlain(value) })
      }
      case 'redrive-progress':
        return redriveProgress(plan.job) ?? null
      case 'checkpoint-create':
        return { epoch: await running.checkpoint() }
      case 'savepoint-create':
        return running.savepoint(request.name)
      case 'drain':
      case 'stop':
        // Answered first: the socket closes when the job has ended.
        setImmediate(() => void (request.kind === 'stop' ? running.stop() : running.drain()).catch(() => undefined))
        return null
      default:
        return answerStored(reference, request, withLog, { kafka })
    }
  }
}

function isStored(request: ControlRequest): request is Request<StoredKind> {
  return (storedKinds as readonly Kind[]).includes(request.kind)
}

async function answerStored(
  { name, lineages, plan }: JobReference,
  request: Request<StoredKind>,
  withLog: WithLog,
  means: OwnMeans
): Promise<ControlResults[StoredKind]> {
  const job = new StoredJob(name, lineages)
  switch (request.kind) {
    case 'state': {
      const { fields, epoch } = await job.state(request.stage, request.key)
      return stateAnswer(fields, epoch)
    }
    case 'checkpoint-list':
      return job.checkpoints()
    case 'checkpoint-inspect':
      return (await job.manifest(request.epoch)).manifest
    case 'checkpoint-verify':
      return job.verify(request.epoch)
    case 'savepoint-list':
      return job.savepoints()
    case 'dead-letters':
      return withLetters(name, plan, withLog, means, places => readDeadLetters(name, plan, places, request))
    case 'redrive': {
      if (plan === undefined) throw needsPlan(name)
      const { kind: _kind, event: id, ...query } = request
      return withLetters(name, plan, withLog, means, places =>
        redrive(name, plan, { ...places, probe: means.probe }, { ...query, id })
      )
    }
    case 'quarantine-list': {
      const { parked, epoch } = await job.quarantine(request.stage)
      return quarantineLines(parked, request, epoch)
    }
    case 'quarantine-show': {
      const { parked, epoch } = await job.quarantine(request.stage)
      return parkedShown(parked, { ...request, key: request.key as Key }, epoch)
    }
    case 'topics':
      return (await withLog(false, topicLines)) ?? []
    case 'log-append': {
      const answer = await withLog(true, log => appendTo(log, plan, request))
      if (answer === undefined) throw noTopic(request.topic, undefined)
      return answer
    }
    case 'log-read': {
      const answer = await withLog(false, log => readTopic(log, request))
      if (answer === undefined) throw noTopic(request.topic, undefined)
      return answer
    }
    default:
      return unreachable(request)
  }
}

/** The log is opened, and locked, only where letters or the records that they name may be in it. */
async function withLetters<T>(
  job: string,
  plan: Plan | undefined,
  withLog: WithLog,
  { kafka: options = {} }: OwnMeans,
  work: (places: LetterPlaces) => Promise<T>
): Promise<T> {
  const kafka = new KafkaSide(plan ?? { job, slots: 1, nodes: [] }, options)
  try {
    const isInLog = (node: Plan['nodes'][number]): boolean => node.kind === 'source' && node.source.connector === 'log'
    const answer =
      lettersAreInLog(plan) || plan?.nodes.some(isInLog) === true
        ? await withLog(false, async log => [await work({ log, kafka })] as const)
        : undefined
    return answer === undefined ? await work({ log: undefined, kafka }) : answer[0]
  } finally {
    await kafka.close()
  }
}

function stateAnswer(fields: Record<string, unknown> | undefined, epoch: number | null): StateAnswer {
  return { fields: fields === undefined ? null : (plainValue(fields) as Record<string, unknown>), epoch }
}
