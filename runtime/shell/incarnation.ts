/**
 * Begins one generation of a job that runs in this process alone: reads what is decided, takes the job over in the decision log,
 * restores the tasks, and hands over a shell ready to start. A cluster of one.
 */
import type { Plan } from '../../actors/plan.ts'
import { inputEnded } from '../../checkpoint/manifest.ts'
import { collect, readHead, readRetained } from '../../checkpoint/recovery.ts'
import { retainedCheckpoints } from '../../checkpoint/retention.ts'
import { localAssignment } from '../core/assignment.ts'
import { CheckpointLeader, firstCheckpointMs } from '../core/checkpoint-leader.ts'
import { buildStageGraph } from '../core/stage-graph.ts'
import type { Worker } from '../core/worker.ts'
import { CodedError } from '../kernel/errors.ts'
import { CheckpointSpans } from './checkpoint-spans.ts'
import { CheckpointWriter } from './checkpoint-writer.ts'
import { EmbeddedShell } from './embedded-shell.ts'
import { fileSettings, lineageOf, openGeneration, pendingLimit, prepare, type Ports } from './generation.ts'

export type Incarnation =
  | {
      readonly kind: 'running'
      readonly worker: Worker
      readonly shell: EmbeddedShell
      readonly generation: number
      /** The last checkpoint is final: only what it left unpublished is done now. */
      readonly wasFinal: boolean
    }
  /** The last checkpoint is final and everything is published. */
  | { readonly kind: 'finished'; readonly epoch: number }

/** The only worker. */
const self = 'self'
const defaultCheckpointTimeoutMs = 600_000

export async function beginIncarnation(plan: Plan, ports: Ports): Promise<Incarnation> {
  const { log, head } = await readHead(ports.storage, plan.job, ports.nonce)
  log.refuseEnded()
  const graph = buildStageGraph(plan)
  const manifest = head?.manifest
  const lineage = lineageOf(ports, manifest)
  const prepared = prepare(graph, manifest, ports.dropState ?? [])
  if (manifest?.final === true && manifest.outboxes.length === 0) return { kind: 'finished', epoch: manifest.epoch }

  const generation = log.generation + 1
  const assignment = localAssignment(self, plan.parallelism, plan.slots)
  const parent = head === undefined ? null : { epoch: head.manifest.epoch, hash: head.hash }
  const began = await log.append({ kind: 'begins', generation, lineage, parent, assignment })
  if (began.kind === 'lost')
    throw new CodedError('FENCED', `generation ${generation}: another owner began at the same time`)

  // From here on this process owns the job: what older ones left behind may go.
  const retained = manifest === undefined ? [] : await readRetained(ports.storage, log, manifest, retainedCheckpoints)
  await collect(ports.storage, retained)

  const decided = (epoch: number): Promise<string | undefined> => log.decided(epoch)
  const opened = { graph, ports, prepared, head, decided, lineage, generation, worker: self, assignment }
  const { worker, shell, partitions } = await openGeneration(opened)
  const writer = new CheckpointWriter({
    ...fileSettings(opened),
    graph,
    tasks: assignment.tasks.length,
    log,
    head,
    retained,
    schemas: new Map([...prepared.schemas].map(([name, { list }]) => [name, list])),
    clock: ports.clock
  })
  if (head === undefined)
    await writer.start([...partitions].map(([name, progress]) => ({ name, partitions: progress })))
  const leader = new CheckpointLeader({
    workers: [self],
    epoch: manifest?.epoch ?? 0,
    waits: manifest !== undefined && inputEnded(manifest),
    intervalMs: plan.intervalMs,
    latencyGoal: plan.latencyGoal,
    // Whoever waits for output has waited since the last process ended.
    ...(head === undefined ? {} : { firstAfterMs: Math.min(plan.intervalMs, firstCheckpointMs) }),
    timeoutMs: ports.limits?.checkpointTimeoutMs ?? defaultCheckpointTimeoutMs,
    pendingLimitBytes: pendingLimit(plan, ports)
  })
  const embedded = new EmbeddedShell({
    name: self,
    worker,
    shell,
    leader,
    writer,
    clock: ports.clock,
    spans: new CheckpointSpans(plan.job, ports.tracing),
    generation
  })
  return { kind: 'running', worker, shell: embedded, generation, wasFinal: manifest?.final ?? false }
}
