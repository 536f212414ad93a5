/** An operator who takes the job back to a checkpoint that is kept, as `cairn run --restore <epoch> --fork` does, from a machine of his own. */
import type { Plan } from '../../actors/plan.ts'
import { followLineages, type Lineages, type OpenLineage } from '../../checkpoint/lineages.ts'
import { readHead } from '../../checkpoint/recovery.ts'
import { findRestorePoint, savepointsOf } from '../../checkpoint/restore-point.ts'
import { retainedCheckpoints } from '../../checkpoint/retention.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { buildStageGraph } from '../../runtime/core/stage-graph.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { forkLineage, isHead } from '../../runtime/shell/fork.ts'
import type { Ports } from '../../runtime/shell/generation.ts'
import type { FaultOf } from '../world/fault.ts'
import type { SimHost, SimProcess } from '../world/process.ts'

export interface OperatorSettings {
  readonly host: SimHost
  /** The build of the job that he has. */
  readonly plan: (process: SimProcess) => Plan
  readonly lineages: (process: SimProcess) => Lineages
  readonly ports: (process: SimProcess, lineage: OpenLineage) => Ports
  readonly nonce: (process: SimProcess) => () => string
}

/** `dies`: at that effect on the world, once. */
export type GoingBack = Pick<FaultOf<'restore'>, 'back' | 'named' | 'dies'>

/** What a person tries again after a while: somebody else was quicker, the job was upgraded meanwhile, or something could not be reached. */
const passing: readonly string[] = [
  'FENCED',
  'STORAGE_FAILED',
  'SINK_UNREACHABLE',
  'NOT_FOUND',
  'LINEAGE_ENDED',
  'STATE_INCOMPATIBLE'
]
const againMs = 400
/** Once nothing stands in his way any more he has so long; then he gives up. */
const patienceMs = 10_000
/** A read that fails is repeated so often before the command ends with an error. */
const reads = 6

/** Tries until the job has gone back. Returns what ends his patience. */
export function takeBack(
  settings: OperatorSettings,
  going: GoingBack,
  told: {
    readonly done: (made: Made) => void
    /** Something threw that no operator should see. */
    readonly crashed: (why: string) => void
  }
): () => void {
  const { host } = settings
  let over = false
  let effects = 0
  host.crashAt = () => (++effects === going.dies ? 'before' : undefined)
  const attempt = (): void => {
    if (over) return
    const process = host.start()
    process.onDeath(() => void host.time.schedule(againMs, attempt, 'the operator tries again'))
    const end = (): void => {
      over = true
      process.kill()
    }
    const went = (made: Made | undefined): void => {
      if (made === undefined) return process.kill()
      told.done(made)
      end()
    }
    const failed = (error: unknown): void => {
      if (error instanceof CodedError && passing.includes(error.code)) return process.kill()
      told.crashed(error instanceof Error ? (error.stack ?? error.message) : String(error))
      end()
    }
    process.deliver(() => void goBack(settings, process, going).then(went, failed), 'goes back')
  }
  attempt()
  return () => {
    const giveUp = (): void => {
      over = true
      host.process?.kill()
    }
    host.time.schedule(patienceMs, giveUp, 'the operator gives up')
  }
}

/** Undefined: the job stands there, or nothing was decided yet. */
async function goBack(
  settings: OperatorSettings,
  process: SimProcess,
  { back, named }: GoingBack
): Promise<Made | undefined> {
  const [plan, nonce, lineages] = [settings.plan(process), settings.nonce(process), settings.lineages(process)]
  const chain = await followLineages(lineages, nonce)
  const newest = chain.at(-1) ?? chain[0]
  const kept = newest.log.completed(retainedCheckpoints).map(({ epoch }) => String(epoch))
  const savepoints = named === true ? (await savepointsOf(chain, plan.job)).map(({ name }) => name) : []
  const chosen = savepoints[Math.min(back, savepoints.length) - 1] ?? kept[Math.min(back, kept.length - 1)]
  if (chosen === undefined) return undefined
  const point = await findRestorePoint(chain, plan.job, chosen)
  const { head } = await readHead(newest.storage, plan.job, nonce)
  if (isHead(point, newest, head?.manifest)) return undefined
  const graph = buildStageGraph(plan)
  const { lineage } = await forkLineage({ graph, ports: settings.ports(process, newest), lineages, newest, point })
  return { lineage, from: `checkpoint ${point.manifest.epoch} of lineage ${point.lineage}` }
}

/** The new lineage, and the checkpoint of the old one from which it goes on. */
interface Made {
  readonly lineage: number
  readonly from: string
}

/** As storage clients do: what changes nothing is tried again. */
export function insistent(storage: CheckpointStorage): CheckpointStorage {
  const insist = async <T>(read: () => Promise<T>): Promise<T> => {
    for (let left = reads; ; left--)
      try {
        return await read()
      } catch (error) {
        if (left === 0 || !(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
      }
  }
  return {
    create: (name, bytes) => storage.create(name, bytes),
    read: name => insist(() => storage.read(name)),
    readRange: (name, offset, length) => insist(() => storage.readRange(name, offset, length)),
    list: folder => insist(() => storage.list(folder)),
    remove: name => storage.remove(name)
  }
}
