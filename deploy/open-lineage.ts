/** Finds the lineage that a start goes on in; with `--restore` it may make one (`runtime/shell/fork.ts`). */
import type { Plan } from '../actors/plan.ts'
import { followLineages, type Lineages, type OpenLineage } from '../checkpoint/lineages.ts'
import { readHead } from '../checkpoint/recovery.ts'
import { findRestorePoint, type RestorePoint } from '../checkpoint/restore-point.ts'
import { buildStageGraph } from '../runtime/core/stage-graph.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { forkLineage, isHead, plantCheckpoint } from '../runtime/shell/fork.ts'
import type { Ports } from '../runtime/shell/generation.ts'
import type { StartOptions } from './running-job.ts'

export interface Opened {
  readonly ports: Ports
  /** What `--restore` came to, for whoever started the job. */
  readonly restored: string | undefined
}

/** Of another job, where a new one begins. */
export interface BeginAt {
  readonly job: string
  readonly savepoint: string
  readonly lineages: Lineages
}

/** Throws NOT_FOUND, FORK_NEEDED, and what a fork throws. */
export async function openLineage(
  plan: Plan,
  lineages: Lineages,
  portsOf: (lineage: OpenLineage) => Ports,
  nonce: () => string,
  { restore, fork = false, fresh }: Pick<StartOptions, 'restore' | 'fork' | 'fresh'>,
  begin?: BeginAt
): Promise<Opened> {
  if (restore === undefined && fork) throw new CodedError('OPTION_INVALID', '--fork says how to --restore; name what')
  if (restore !== undefined && fresh)
    throw new CodedError('OPTION_INVALID', '--fresh starts over and --restore goes back: choose one')
  const chain = await followLineages(lineages, nonce)
  const newest = chain.at(-1) ?? chain[0]
  if (begin !== undefined && newest.log.entries.length === 0) {
    const { job, savepoint } = begin
    const point = await findRestorePoint(await followLineages(begin.lineages, nonce), job, savepoint)
    await plantCheckpoint({ graph: buildStageGraph(plan), ports: portsOf(newest), point })
    const opened = await followLineages(lineages, nonce)
    return {
      ports: portsOf(opened.at(-1) ?? opened[0]),
      restored: `job "${plan.job}" begins at ${placeOf(savepoint, point)} of job "${job}"`
    }
  }
  if (restore === undefined) return { ports: portsOf(newest), restored: undefined }

  const point = await findRestorePoint(chain, plan.job, restore)
  const { head } = await readHead(newest.storage, plan.job, nonce)
  const what = placeOf(restore, point)
  if (isHead(point, newest, head?.manifest))
    return {
      ports: portsOf(newest),
      restored: `${what} is where job "${plan.job}" stands: it goes on in lineage ${newest.lineage}`
    }
  if (!fork) throw forkNeeded(what, point, newest, head?.manifest.epoch)
  const made = await forkLineage({ graph: buildStageGraph(plan), ports: portsOf(newest), lineages, newest, point })
  return {
    ports: portsOf(made),
    restored: `job "${plan.job}" goes back to ${what}, in lineage ${made.lineage}; lineage ${newest.lineage} has ended`
  }
}

function placeOf(text: string, { lineage, manifest }: RestorePoint): string {
  const checkpoint = `checkpoint ${manifest.epoch} of lineage ${lineage}`
  return text === String(manifest.epoch) ? checkpoint : `savepoint "${text}" (${checkpoint})`
}

function forkNeeded(what: string, point: RestorePoint, newest: OpenLineage, head: number | undefined): CodedError {
  const since =
    point.lineage === newest.lineage
      ? `the job has gone on since, to checkpoint ${head}`
      : `the job went on in lineage ${newest.lineage}`
  return new CodedError(
    'FORK_NEEDED',
    `${what} is not the newest: ${since}. Going back is a fork: what was published since stays published, and what the new lineage makes of the same input is published again; lineage ${newest.lineage} ends`
  )
}
