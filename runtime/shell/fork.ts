/**
 * A fork: the job goes back to an older checkpoint, in a new lineage (DESIGN 5.4, 6.9; P6). Done by one process, between two
 * generations.
 *
 *   1 take over   `leads` in the old log: nobody else decides anything in it any more, its head is fixed
 *   2 seal        every slot of the old lineage is fenced, and what is decided is published under the old ledger
 *   3 copy        the files of the restored checkpoint, under new names
 *   4 prepare     checkpoint 0 of the new lineage, naming its parent; nothing leads there yet
 *   5 end         `leads … ends` in the old log: from here on, and not before, the new lineage is the job's
 *
 * Invariants
 * 1. A crash before 5 leaves the old lineage as it was: the next start goes on in it, and what 3 and 4 made counts for nothing.
 * 2. A crash after 5 leaves the fork complete: checkpoint 0 is durable before the entry that leads to it.
 * 3. The new lineage has slots, ledger entries and epoch numbers of its own: nothing of the old one can be taken for its own (R14).
 * 4. The new lineage names no file of the old one: neither deletes what the other needs.
 * 5. Generation numbers go on, so that whoever hears of two generations knows the newer one.
 */
import { DecisionLog, type Decision } from '../../checkpoint/decision-log.ts'
import { firstLineage, type Lineages, type OpenLineage } from '../../checkpoint/lineages.ts'
import { encodeManifest, type Manifest, type StateFileRef } from '../../checkpoint/manifest.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { decodeChunk } from '../../checkpoint/outbox-file.ts'
import { readHead } from '../../checkpoint/recovery.ts'
import { retainedCheckpoints } from '../../checkpoint/retention.ts'
import type { RestorePoint } from '../../checkpoint/restore-point.ts'
import { readVerified } from '../../checkpoint/state-reader.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { SlotMachine } from '../core/slot-machine.ts'
import type { StageGraph } from '../core/stage-graph.ts'
import { slotKey } from '../core/topology.ts'
import { CodedError } from '../kernel/errors.ts'
import type { OutputRecord } from '../ports/log.ts'
import type { LedgerEntry, Producer, Publisher, PublishOutcome } from '../ports/publisher.ts'
import type { Head } from './checkpoint-writer.ts'
import { decidedChunks, sinkGone } from './decided-chunks.ts'
import { fileSettings, positions, prepare, type Ports } from './generation.ts'
import { createFile, type FileSettings } from './task-files.ts'

export interface ForkSettings {
  readonly graph: StageGraph
  /** `storage` and `lineage` are those of the newest lineage, which the fork ends. */
  readonly ports: Ports
  readonly lineages: Lineages
  readonly newest: OpenLineage
  readonly point: RestorePoint
}

export type PlantSettings = Pick<ForkSettings, 'graph' | 'ports' | 'point'>

/** More, and the sink is taken for unreachable. */
const publishAttempts = 20

/** Nothing would be restored: the job stands at that checkpoint, or at an untouched copy of it. */
export function isHead(point: RestorePoint, newest: OpenLineage, head: Manifest | undefined): boolean {
  if (head === undefined) return false
  if (point.lineage === newest.lineage) return point.manifest.epoch === head.epoch
  const { parent } = head
  return parent?.lineage === point.lineage && parent.epoch === point.manifest.epoch && parent.hash === point.hash
}

/** Answers the new lineage. Throws FENCED when somebody else went on meanwhile; then nothing was restored. */
export async function forkLineage(settings: ForkSettings): Promise<OpenLineage> {
  const { ports, lineages, newest, point, graph } = settings
  await refuseEarly(settings)

  const { log, head } = await readHead(newest.storage, graph.plan.job, ports.nonce)
  const worker = `fork-${ports.nonce()}`
  const generation = log.generation + 1
  await append(log, { kind: 'leads', worker, generation })
  refuseGone(settings, log, head?.manifest)
  if (head !== undefined) await sealSlots(settings, head, generation)

  const made = await prepareLineage(settings, generation + 1)
  const ends = { into: made.lineage, lineage: point.lineage, epoch: point.manifest.epoch }
  await append(log, { kind: 'leads', worker, generation: generation + 1, ends })
  await clear(lineages, newest.lineage, made.lineage)
  return made
}

/**
 * A job that has decided nothing begins where another one was: state and positions are those of its checkpoint, ledgers and output are its
 * own. False: it has begun already, here or elsewhere.
 */
export async function plantCheckpoint(settings: PlantSettings): Promise<boolean> {
  const { storage, nonce } = settings.ports
  const log = await DecisionLog.open(storage, nonce)
  const isNew = log.entries.length === 0
  if (!isNew) return false
  await refuseEarly(settings)
  return beginLog(settings, storage, log, firstLineage, 1)
}

/** What would keep the new lineage from running is found before the old one is touched. */
async function refuseEarly({ graph, ports, point }: PlantSettings): Promise<void> {
  prepare(graph, point.manifest, ports.dropState ?? [])
  for (const stage of graph.stages) {
    if (stage.kind !== 'source') continue
    const reader = ports.reader(stage.node)
    try {
      await positions(stage.node, reader, point.manifest)
    } finally {
      await reader.close()
    }
  }
}

/** The job may have gone on between the choice and the taking over; from there on nothing is given up any more. */
function refuseGone({ point, newest }: ForkSettings, log: DecisionLog, head: Manifest | undefined): void {
  if (point.lineage !== newest.lineage) return
  const kept = [
    ...log.completed(retainedCheckpoints).map(({ manifest }) => manifest.name),
    ...(head?.savepoints ?? []).map(({ manifest }) => manifest.name)
  ]
  if (kept.includes(point.name)) return
  throw new CodedError(
    'NOT_FOUND',
    `checkpoint ${point.manifest.epoch} is not kept any more: the job went on meanwhile, to checkpoint ${head?.epoch}; nothing was restored`
  )
}

async function append(log: DecisionLog, decision: Decision): Promise<void> {
  if ((await log.append(decision)).kind === 'lost') throw overtaken()
}

function overtaken(): CodedError {
  return new CodedError(
    'FENCED',
    'another process went on with the job while it was being forked; nothing was restored'
  )
}

// ---- the old lineage's slots

/** A decided chunk means that its slot's ledger entry is in the manifest: what is neither there nor in an outbox has nothing to publish. */
async function sealSlots({ graph, ports, newest }: ForkSettings, head: Head, generation: number): Promise<void> {
  const { manifest, hash } = head
  const floors = new Map(manifest.ledgers.map(ledger => [slotKey(ledger), ledger]))
  const unpublished = decidedChunks(manifest.outboxes, hash)
  const owner = ports.nonce()
  for (const key of new Set([...floors.keys(), ...unpublished.keys()])) {
    const decided = unpublished.get(key)
    const slot = decided ?? floors.get(key)
    if (slot === undefined) continue
    const publisher = ports.publishers.get(slot.sink)
    if (publisher === undefined) {
      if (decided !== undefined) throw sinkGone(key, decided)
      continue
    }
    const name = { job: graph.plan.job, lineage: newest.lineage, sink: slot.sink, stage: slot.stage, slot: slot.slot }
    const machine = new SlotMachine(name, { floor: floors.get(key), head: manifest.epoch, generation, owner })
    machine.decided(manifest.epoch, decided?.chunks ?? [])
    await sealSlot(machine, publisher, newest.storage, generation)
  }
}

/**
 * The same steps as at any recovery: fence, read the ledger, publish what is decided and not in it. Where positions of sources are told along,
 * the ledger then says whose the slot is: a worker of the old lineage that has not heard of its end, and initialises the slot once more, reads
 * that, and tells nobody any more how far it was.
 */
async function sealSlot(
  machine: SlotMachine,
  publisher: Publisher,
  storage: CheckpointStorage,
  generation: number
): Promise<void> {
  let producer: Producer | undefined
  let standing: LedgerEntry | undefined
  let left = publishAttempts
  const publish = async (records: readonly OutputRecord[], entry: LedgerEntry): Promise<PublishOutcome> => {
    const outcome = await (producer as Producer).publish(records, entry)
    if (outcome.kind === 'published') standing = entry
    // Who fenced this producer reads in the log that it does not lead, or was first: once more.
    return outcome.kind === 'fenced' ? { kind: 'unknown', error: new Error('fenced') } : outcome
  }
  try {
    for (let action = machine.next(); ;) {
      if (action === undefined) {
        if (producer?.note === undefined || standing === undefined || standing.generation >= generation) return
        const outcome = await publish([], { ...standing, generation })
        if (outcome.kind !== 'published') action = machine.unreachable()
      } else if (action.kind === 'initialise') {
        if (left-- === 0)
          throw new CodedError('SINK_UNREACHABLE', `sink "${machine.name.sink}": no publication succeeds`)
        await producer?.close()
        producer = await publisher.initialise(machine.name)
        action = machine.initialised()
      } else if (producer === undefined) throw new CodedError('INTERNAL', 'a slot without a producer')
      else if (action.kind === 'note') throw new CodedError('INTERNAL', 'a sealed slot tells of no source')
      else if (action.kind === 'read-ledger') action = machine.ledgerRead((standing = await producer.readLedger()))
      else {
        const { chunk, entry } = action
        const records =
          chunk === undefined
            ? []
            : decodeChunk(await storage.readRange(chunk.file, chunk.offset, chunk.length), chunk.file)
        action = machine.published(await publish(records, entry), entry)
      }
    }
  } finally {
    await producer?.close()
  }
}

// ---- the new lineage

/** The first number above all that are in use whose log can be opened with checkpoint 0. */
async function prepareLineage(settings: ForkSettings, generation: number): Promise<OpenLineage> {
  const { lineages, ports, newest } = settings
  for (let lineage = Math.max(newest.lineage, ...(await lineages.list())) + 1; ; lineage++) {
    const storage = lineages.storage(lineage)
    const log = await DecisionLog.open(storage, ports.nonce)
    if (log.entries.length > 0) continue
    try {
      if (await beginLog(settings, storage, log, lineage, generation)) return { lineage, storage, log }
    } catch (error) {
      // Whoever goes on meanwhile gives up checkpoints: what is missing then is not lost.
      const old = await DecisionLog.open(newest.storage, ports.nonce)
      throw old.generation >= generation ? overtaken() : error
    }
  }
}

/** False: somebody else began it. */
async function beginLog(
  settings: PlantSettings,
  storage: CheckpointStorage,
  log: DecisionLog,
  lineage: number,
  generation: number
): Promise<boolean> {
  const { graph, ports } = settings
  const manifest = await copyCheckpoint(settings, storage, lineage, generation)
  const { bytes, hash } = encodeManifest(manifest)
  const files = fileSettings({ graph, ports: { ...ports, storage }, lineage, generation })
  const { name } = await createFile(files, objectNames.manifest(0, ports.nonce()), bytes)
  const { final } = manifest
  const decision: Decision = {
    kind: 'completed',
    epoch: 0,
    generation,
    manifest: { name, hash },
    final,
    savepoints: []
  }
  return (await log.append(decision)).kind === 'appended'
}

async function copyCheckpoint(
  { ports, graph, point }: PlantSettings,
  storage: CheckpointStorage,
  lineage: number,
  generation: number
): Promise<Manifest> {
  const files = fileSettings({ graph, ports: { ...ports, storage }, lineage, generation })
  const { epoch, job } = point.manifest
  const isOwn = job === graph.plan.job
  const stages: Manifest['stages'][number][] = []
  for (const stage of point.manifest.stages) {
    const copies: StateFileRef[] = []
    for (const file of stage.files) copies.push(await copyFile(point, file, files, stage.name))
    stages.push({ ...stage, files: copies })
  }
  return {
    ...withoutParent(point.manifest),
    job: graph.plan.job,
    lineage,
    generation,
    epoch: 0,
    previous: null,
    // Lineages are those of one job.
    ...(isOwn ? { parent: { lineage: point.lineage, epoch, hash: point.hash } } : {}),
    savepointNames: [],
    savepoints: [],
    stages,
    // The old lineage has published all that was decided; the new one's slots begin with entry 0.
    outboxes: [],
    ledgers: []
  }
}

const withoutParent = ({ parent: _, ...manifest }: Manifest): Manifest => manifest

async function copyFile(
  point: RestorePoint,
  file: StateFileRef,
  to: FileSettings,
  stage: string
): Promise<StateFileRef> {
  const bytes = await readVerified(point.storage, file, file.epoch)
  const copy = await createFile(to, objectNames.base(0, stage, to.nonce()), bytes)
  const job = file.job ?? point.manifest.job
  return { ...file, ...copy, lineage: file.lineage ?? point.lineage, ...(job === to.job ? {} : { job }) }
}

/** Deletes what forks left that were not completed: no log leads there, and none ever will, as later ones get higher numbers. */
async function clear(lineages: Lineages, ended: number, made: number): Promise<void> {
  try {
    for (const lineage of await lineages.list()) {
      if (lineage <= ended || lineage >= made) continue
      const storage = lineages.storage(lineage)
      for (const folder of [...objectNames.fileFolders, objectNames.manifests, objectNames.decisions])
        for (const name of await storage.list(folder)) await storage.remove(`${folder}/${name}`)
    }
  } catch (error) {
    // It only takes room; the fork stands.
    if (!(error instanceof CodedError)) throw error
  }
}
