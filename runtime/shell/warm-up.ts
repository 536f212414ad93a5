/**
 * What a worker does before it takes part in a job that others run: the slots that are to be given back to it are brought to the newest
 * checkpoint in its local store. Meanwhile it is `starting`, and the leader takes it in when it no longer is
 * (`core/cluster-leader`), so that output waits for what changed since and not for a store that is cold or empty.
 *
 * Invariants
 * 1. Nothing depends on it: a part says itself what it equals, and whatever is missing is fetched when the generation begins.
 * 2. It ends as soon as there is a newer generation, which waits for the store.
 */
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { readCheckpoint } from '../../checkpoint/recovery.ts'
import type { StateStore } from '../../checkpoint/state-store.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import { CodedError } from '../kernel/errors.ts'
import { reached } from '../kernel/marks.ts'
import type { Ports } from './generation.ts'
import { LocalState } from './local-state.ts'

export interface WarmUpSettings {
  readonly graph: StageGraph
  readonly ports: Pick<Ports, 'clock' | 'storage' | 'nonce' | 'store'>
  readonly lineage: number
  readonly slots: readonly number[]
}

/** What changed during a pass that took longer is worth another one. */
const shortPassMs = 500
/** A checkpoint may be deleted while it is read, and storage may fail: it is tried so often. */
const mostPasses = 3

/** Never fails for what storage and disk do: the worker can take part all the same. */
export async function warmUp(settings: WarmUpSettings, isOver: () => boolean): Promise<void> {
  const { graph, ports, slots } = settings
  if (graph.plan.cacheBytes === undefined || slots.length === 0) return
  for (let pass = 1; pass <= mostPasses && !isOver(); pass++) {
    const beganAt = ports.clock.elapsed()
    const failed = await passOver(settings, isOver)
    if (failed) reached('warm-up: a pass that fails')
    else if (ports.clock.elapsed() - beganAt < shortPassMs) break
  }
  reached(isOver() ? 'warm-up: given up for a newer generation' : 'warm-up: done')
}

/** Whether anything could not be brought to the newest checkpoint. */
async function passOver(settings: WarmUpSettings, isOver: () => boolean): Promise<boolean> {
  try {
    const store = await settings.ports.store()
    try {
      await bring(settings, store, isOver)
    } finally {
      await store.close()
    }
    return false
  } catch (error) {
    if (error instanceof CodedError) return true
    throw error
  }
}

async function bring(
  { graph, ports, lineage, slots: wanted }: WarmUpSettings,
  store: StateStore,
  isOver: () => boolean
): Promise<void> {
  const { storage } = ports
  const { job, keyGroups, slots } = graph.plan
  const log = await DecisionLog.open(storage, ports.nonce)
  const [newest] = log.completed(1)
  if (newest === undefined) return
  const head = await readCheckpoint(storage, job, newest)
  const stages = graph.stages.flatMap(({ kind, index, name }) =>
    kind === 'keyed' ? [{ index, name, slots: wanted }] : []
  )
  const decided = (epoch: number): Promise<string | undefined> => log.decided(epoch)
  const origin = { job, lineage, keyGroups, slots }
  await LocalState.catchUp({ store, origin, stages, head, storage, decided, isOver })
}
