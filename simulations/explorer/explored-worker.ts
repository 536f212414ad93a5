/**
 * One worker: leader and owner of both slots. The decision log, the slot machines, the coordinator and retention are the real code;
 * this is what the shell does between them, in the shell's order:
 *
 *   open log ─► read manifest ─► append "begins" ─► plan deletions ─► slots: initialise, read ledger, publish
 *   trigger(n) ─► a write per task ─► manifest ─► append "completed" ─► retain, delete, prune; slots publish
 *                     └── a failed write, or time out ──► abandon: files go, inputs join the next epoch
 *
 * A step takes plain data and an event and answers plain data: everything it does is in `out`.
 */
import { Coordinator } from '../../checkpoint/coordinator.ts'
import { DecisionLog, type Completed } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { filesOf, planRetention, type Retained } from '../../checkpoint/retention.ts'
import { SlotMachine, type DecidedChunk, type SlotAction } from '../../runtime/core/slot-machine.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { LedgerEntry, PublishOutcome } from '../../runtime/ports/publisher.ts'
import { freeze, thaw } from './frozen.ts'
import { newLocal, type ChunkWithRecords, type Local, type LocalEvent, type Outstanding, type Then } from './local.ts'
import { runOperation, type Answer, type LogOperation } from './log-operation.ts'
import type { Scope } from './scope.ts'
import { recordsPerInput, slotCount, type Request, type StoredManifest, type StoredOutbox } from './world.ts'

const slotNumbers = Array.from({ length: slotCount }, (_, slot) => slot)

export async function step(before: Local, event: LocalEvent, scope: Scope): Promise<Local> {
  const worker = new ExploredWorker(copyOf(before), scope)
  await worker.handle(event)
  return worker.done()
}

/** A new epoch would have something to hold, and nothing forbids it. */
export function mayTrigger(local: Local, scope: Scope): boolean {
  return local.phase === 'running' && local.operation === undefined && new ExploredWorker(local, scope).shouldTrigger()
}

export function mayTimeOut({ coordinator }: Local): boolean {
  return (coordinator?.['state'] as { readonly step?: string } | undefined)?.step === 'collecting'
}

/** Values are never changed, only the lists and the fields that hold them. */
function copyOf(local: Local): Local {
  const { operation } = local
  return {
    ...local,
    operation: operation && { ...operation, answers: [...operation.answers] },
    retained: [...local.retained],
    producers: [...local.producers],
    acknowledged: [...local.acknowledged],
    doomed: [...local.doomed],
    out: [...local.out]
  }
}

class ExploredWorker {
  private readonly local: Local
  private readonly scope: Scope
  private coordinator: Coordinator<number> | undefined
  private slots: SlotMachine[]

  constructor(local: Local, scope: Scope) {
    this.local = local
    this.scope = scope
    this.coordinator = local.coordinator && thaw(Coordinator<number>, local.coordinator)
    this.slots = local.slots.map(data => thaw(SlotMachine, data))
  }

  done(): Local {
    const { local } = this
    if (local.phase === 'off' || local.phase === 'halted')
      return {
        ...newLocal(local.name, local.nonces),
        phase: local.phase,
        reason: local.reason,
        generation: local.generation
      }
    local.coordinator = this.coordinator && freeze(this.coordinator)
    local.slots = this.slots.map(slot => freeze(slot))
    local.out.sort((a, b) => compare(JSON.stringify(a), JSON.stringify(b)))
    return local
  }

  async handle(event: LocalEvent): Promise<void> {
    try {
      switch (event.kind) {
        case 'boot':
          Object.assign(this.local, newLocal(this.local.name, this.local.nonces), { phase: 'opening' })
          return await this.operate({ kind: 'open' }, 'opened')
        case 'crash':
          return this.end('off', 'crashed')
        case 'trigger':
          return this.trigger()
        case 'timeout':
          return this.abandon(this.coordinator?.timedOut(Infinity))
        case 'reply': {
          const [outstanding] = this.local.out.splice(event.index, 1)
          if (outstanding !== undefined) await this.reply(outstanding, event.reply)
        }
      }
    } catch (error) {
      if (!(error instanceof CodedError)) throw error
      this.end(error.code === 'FENCED' || error.code === 'STORAGE_FAILED' ? 'off' : 'halted', error.message)
    }
  }

  shouldTrigger(): boolean {
    const { local, coordinator } = this
    if (coordinator === undefined) return false
    const changed = local.position < this.scope.inputs || local.position > (local.head?.manifest.position ?? 0)
    return coordinator.shouldTrigger({
      now: now(coordinator),
      changed,
      ending: false,
      recovered: this.slots.every(slot => slot.recovered),
      unpublished: Math.max(...this.slots.map(slot => slot.unpublishedEpochs)),
      pendingBytes: 0
    })
  }

  private end(phase: 'off' | 'halted', reason: string): void {
    this.local.phase = phase
    this.local.reason = reason
  }

  private ask(tag: Outstanding['tag'], request: Request, about?: unknown): void {
    this.local.out.push(about === undefined ? { tag, request } : { tag, request, about })
  }

  private nonce(): string {
    return `${this.local.name}${this.local.nonces++}`
  }

  private async reply({ tag, request, about }: Outstanding, reply: Answer): Promise<void> {
    switch (tag) {
      case 'log':
        this.local.operation?.answers.push(reply)
        return this.operateOn()
      case 'manifest':
        return this.manifestRead(reply)
      case 'collect':
        return this.collect(reply)
      case 'write':
        return this.written(about as StoredOutbox, reply)
      case 'prepare':
        return this.prepared(reply)
      case 'remove':
        return this.tidy()
      case 'initialise':
        if (reply === null) return this.act(this.slot(request).unreachable())
        this.local.producers[slotOf(request)] = reply as number
        return this.act(this.slot(request).initialised())
      case 'ledger':
        if (reply === null) return this.end('off', 'the sink does not answer')
        return this.act(this.slot(request).ledgerRead((reply as { readonly entry?: LedgerEntry }).entry))
      case 'renew':
        return this.renewed(request, about as Transaction, reply)
      case 'add':
        return this.added(request, about as Transaction, reply)
      case 'end':
        // The worst client there is: it asks again by itself, and the first request is still under way.
        if (reply === null) return this.ask('end', request, about)
        return this.published(request, about as LedgerEntry, reply)
      case 'publish':
      case 'entry':
        return this.published(request, about as LedgerEntry, reply)
    }
  }

  // ---- the decision log

  private async operate(operation: LogOperation, then: Then): Promise<void> {
    this.local.operation = { operation, answers: [], then, nonces: this.local.nonces }
    await this.operateOn()
  }

  private async operateOn(): Promise<void> {
    const { local, scope } = this
    if (local.operation === undefined) throw new Error('no operation of the log is under way')
    const { operation, answers, then, nonces } = local.operation
    const outcome = await runOperation(local.log, operation, answers, { worker: local.name, nonces, kept: scope.kept })
    local.nonces = Math.max(local.nonces, outcome.nonces)
    if (outcome.kind === 'asks') return this.ask('log', outcome.request)
    local.operation = undefined
    local.log = outcome.log
    if (outcome.kind === 'failed') return this.operationFailed(operation, then, outcome.error)
    if (outcome.appended?.kind === 'lost') throw new CodedError('FENCED', 'another owner wrote the decision log')
    return this.then(then)
  }

  private async operationFailed(operation: LogOperation, then: Then, error: unknown): Promise<void> {
    if (!(error instanceof CodedError) || error.code !== 'STORAGE_FAILED') throw error
    if (then === 'pruned') return
    if (then !== 'decided') return this.end('off', error.message)
    const epoch = this.coordinator?.pending?.epoch ?? 0
    const abandoned = this.coordinator?.failed(epoch, 'decision', '')
    if (abandoned !== undefined) return this.abandon(abandoned)
    // Repeated unchanged until its place in the log is known (DESIGN 5.2).
    return this.operate(operation, then)
  }

  private then(then: Then): Promise<void> | void {
    const { local } = this
    switch (then) {
      case 'opened': {
        const head = this.logHead()
        if (head === undefined) return this.lead()
        return this.ask('manifest', { op: 'read', name: head.manifest.name }, head.manifest.name)
      }
      case 'leads':
        return local.head === undefined ? this.prepare(0) : this.begin()
      case 'began':
        if (local.head !== undefined) return this.ask('collect', { op: 'list', folder: '*' })
        return this.prepare(0)
      case 'started':
        this.retain()
        return this.scope.leads ? this.begin() : this.start()
      case 'decided':
        return this.decided()
      case 'pruned':
    }
  }

  private logHead(): Completed | undefined {
    return this.local.log && thaw(DecisionLog, this.local.log).head
  }

  // ---- beginning

  private manifestRead(reply: Answer): Promise<void> {
    const name = this.logHead()?.manifest.name ?? ''
    const text = (reply as { readonly text?: string } | null)?.text
    if (text === undefined) {
      if (this.local.missing === name) throw new CodedError('RECOVERY_HALTED', `manifest "${name}" is missing`)
      // Whoever leads may have gone on meanwhile and deleted it.
      this.local.missing = name
      this.local.log = undefined
      return this.operate({ kind: 'open' }, 'opened')
    }
    this.local.missing = undefined
    this.local.head = { name, manifest: JSON.parse(text) as StoredManifest }
    return this.lead()
  }

  /** In a cluster there is a leader before there is a generation, and checkpoint 0 is its own. */
  private lead(): Promise<void> {
    const { local } = this
    if (!this.scope.leads) return this.begin()
    local.generation = this.nextGeneration()
    const decision = { kind: 'leads', worker: local.name, generation: local.generation } as const
    return this.operate({ kind: 'append', decision }, 'leads')
  }

  private nextGeneration(): number {
    const { log } = this.local
    return (log === undefined ? 0 : thaw(DecisionLog, log).generation) + 1
  }

  private begin(): Promise<void> {
    const { local } = this
    local.generation = this.nextGeneration()
    const parent = local.head === undefined ? null : { epoch: local.head.manifest.epoch, hash: local.head.name }
    const assignment = { tasks: [local.name], slots: slotNumbers.map(() => 0) }
    const decision = { kind: 'begins', generation: local.generation, lineage: 1, parent, assignment } as const
    return this.operate({ kind: 'append', decision }, 'began')
  }

  private collect(reply: Answer): void {
    const { head } = this.local
    if (reply === null || head === undefined) return this.end('off', 'the storage does not answer')
    this.local.retained = [head]
    const names = reply as readonly string[]
    const manifests = names.filter(name => name.startsWith(objectNames.manifests))
    const files = names.filter(name => !manifests.includes(name))
    const plan = planRetention(this.local.retained as unknown as Retained[], { files, manifests }, objectNames.epochOf)
    this.doom([...plan.files, ...plan.manifests])
    this.start()
  }

  private start(): void {
    const { local } = this
    const manifest = local.head?.manifest
    local.phase = 'running'
    local.position = manifest?.position ?? 0
    const head = manifest?.epoch ?? 0
    this.coordinator = new Coordinator({ intervalMs: 0, timeoutMs: 0, pendingLimitBytes: 1, epoch: head })
    this.slots = slotNumbers.map(slot => {
      const floor = manifest?.ledgers.find(each => each.slot === slot)
      const name = { job: 'j', lineage: 1, sink: 's', stage: 't', slot }
      const options = { head, generation: local.generation, owner: local.name }
      return new SlotMachine(name, { ...options, floor: floor && { epoch: floor.epoch, chunk: floor.chunk } })
    })
    this.hand(head, manifest?.outboxes ?? [])
    for (const slot of this.slots) this.act(slot.next())
    this.tidy()
  }

  // ---- a checkpoint

  private trigger(): void {
    const { local, coordinator } = this
    if (coordinator === undefined) throw new Error('not running')
    const { epoch } = coordinator.trigger(now(coordinator), slotNumbers, false)
    if (local.position < this.scope.inputs) local.position++
    local.acknowledged = []
    const from = local.head?.manifest.position ?? 0
    for (const slot of slotNumbers) {
      const name = objectNames.outbox(epoch, 't', slot, this.nonce())
      const chunks = cut(slot, from, local.position, local.generation)
      this.ask('write', { op: 'create', name, text: JSON.stringify(chunks) }, { file: { name }, slot, epoch, chunks })
    }
  }

  private written(outbox: StoredOutbox, reply: Answer): void {
    const { coordinator, local } = this
    if (coordinator === undefined) return
    if (reply === null) {
      this.doom([outbox.file.name])
      return this.abandon(coordinator.failed(outbox.epoch, 'write', ''))
    }
    const acknowledged = coordinator.acknowledge(outbox.epoch, outbox.slot)
    if (acknowledged !== 'complete' && acknowledged !== 'accepted') {
      this.doom([outbox.file.name])
      return this.tidy()
    }
    local.acknowledged.push(outbox)
    local.acknowledged.sort((a, b) => a.slot - b.slot)
    if (acknowledged === 'complete') this.prepare(outbox.epoch)
  }

  private prepare(epoch: number): void {
    const { local } = this
    const manifest: StoredManifest = {
      epoch,
      generation: local.generation,
      previous: local.head?.name ?? null,
      position: local.position,
      stages: [],
      outboxes: [
        ...(local.head?.manifest.outboxes ?? []).filter(outbox => !this.isPublished(outbox)),
        ...local.acknowledged
      ],
      ledgers: this.slots.flatMap(({ name, ledger }) =>
        ledger === undefined ? [] : { slot: name.slot, epoch: ledger.epoch, chunk: ledger.chunk }
      )
    }
    local.preparing = { name: objectNames.manifest(epoch, this.nonce()), manifest }
    this.ask('prepare', { op: 'create', name: local.preparing.name, text: JSON.stringify(manifest) })
  }

  private async prepared(reply: Answer): Promise<void> {
    const { preparing } = this.local
    if (preparing === undefined) return
    const { epoch, generation } = preparing.manifest
    if (reply === null) {
      this.doom([preparing.name])
      if (this.coordinator === undefined) return this.end('off', 'the storage does not answer')
      return this.abandon(this.coordinator.failed(epoch, 'manifest', ''))
    }
    this.coordinator?.attempted(epoch)
    const manifest = { name: preparing.name, hash: preparing.name }
    const decision = { kind: 'completed', epoch, generation, manifest, final: false, savepoints: [] } as const
    return this.operate({ kind: 'append', decision }, epoch === 0 ? 'started' : 'decided')
  }

  private decided(): Promise<void> | void {
    const { local, coordinator } = this
    if (local.preparing === undefined) throw new Error('nothing was prepared')
    const { epoch } = local.preparing.manifest
    coordinator?.decided(epoch)
    this.retain()
    this.hand(epoch, local.acknowledged)
    local.acknowledged = []
    for (const slot of this.slots) this.act(slot.next())
    this.tidy()
    if (this.scope.kept > 0) return this.operate({ kind: 'prune' }, 'pruned')
  }

  private abandon(epoch: number | undefined): void {
    if (epoch === undefined) return
    const { local } = this
    this.doom(local.acknowledged.map(outbox => outbox.file.name))
    if (local.preparing !== undefined && local.preparing !== local.head) this.doom([local.preparing.name])
    local.acknowledged = []
    local.preparing = undefined
    this.tidy()
  }

  private retain(): void {
    const { local, scope } = this
    if (local.preparing === undefined) return
    local.head = local.preparing
    local.preparing = undefined
    local.retained.unshift(local.head)
    const gone = local.retained.splice(scope.retained)
    const kept = new Set(local.retained.flatMap(({ manifest }) => filesOf(manifest as never)))
    for (const { name, manifest } of gone)
      this.doom([...filesOf(manifest as never).filter(file => !kept.has(file)), name])
  }

  private doom(names: readonly string[]): void {
    for (const name of names) if (!this.local.doomed.includes(name)) this.local.doomed.push(name)
  }

  private tidy(): void {
    const { local } = this
    if (local.doomed.length === 0 || local.out.some(each => each.tag === 'remove')) return
    this.ask('remove', { op: 'remove', names: local.doomed.splice(0).sort() })
  }

  // ---- the slots

  private hand(epoch: number, outboxes: readonly StoredOutbox[]): void {
    for (const slot of this.slots) slot.decided(epoch, chunksOf(outboxes, slot.name.slot))
  }

  private isPublished(outbox: StoredOutbox): boolean {
    const ledger = this.slots[outbox.slot]?.ledger
    if (ledger === undefined) return false
    return ledger.epoch > outbox.epoch || (ledger.epoch === outbox.epoch && ledger.chunk >= outbox.chunks.length - 1)
  }

  private slot(request: Request): SlotMachine {
    return this.slots[slotOf(request)] as SlotMachine
  }

  private act(action: SlotAction | undefined): void {
    if (action === undefined) return
    const { slot } = action.slot.name
    switch (action.kind) {
      case 'initialise':
        return this.ask('initialise', { op: 'initialise', slot, id: this.transactionalId(slot) })
      case 'read-ledger':
        return this.ask('ledger', { op: 'ledger', slot })
      case 'publish': {
        const records = (action.chunk as ChunkWithRecords | undefined)?.records ?? []
        const id = this.transactionalId(slot)
        const producer = this.local.producers[slot] ?? 0
        if (this.scope.oldProtocol) return this.renew(slot, { records, entry: action.entry })
        this.ask('publish', { op: 'publish', slot, id, producer, records, entry: action.entry }, action.entry)
      }
    }
  }

  /** Kafka's older transactions: initialise before each, so that a late end of the one before finds nothing to decide. */
  private renew(slot: number, transaction: Transaction): void {
    const id = this.transactionalId(slot)
    this.ask('renew', { op: 'initialise', slot, id, renews: this.local.producers[slot] ?? 0 }, transaction)
  }

  private renewed(request: Request, { records, entry }: Transaction, reply: Answer): void {
    const slot = slotOf(request)
    if (typeof reply !== 'number') return this.published(request, entry, reply)
    this.local.producers[slot] = reply
    const owner = { slot, id: this.transactionalId(slot), producer: reply }
    const whole = records.length === 0 ? { records, entry } : { records }
    this.ask('add', { op: 'add', ...owner, ...whole }, { records, entry })
  }

  private added(request: Request, { entry }: Transaction, reply: Answer): void {
    if (request.op !== 'add') return
    if (reply !== 'added') return this.published(request, entry, reply)
    const { slot, id, producer } = request
    if (request.entry === undefined) this.ask('add', { ...request, records: [], entry }, { records: [], entry })
    else this.ask('end', { op: 'end', slot, id, producer }, entry)
  }

  private transactionalId(slot: number): string {
    return `${slot}`
  }

  private published(request: Request, entry: LedgerEntry, reply: Answer): void {
    const outcome: PublishOutcome =
      reply === null
        ? { kind: 'unknown', error: new Error('no answer in time') }
        : { kind: reply as 'published' | 'fenced' }
    this.act(this.slot(request).published(outcome, entry))
    this.tidy()
  }
}

interface Transaction {
  readonly records: readonly string[]
  readonly entry: LedgerEntry
}

/** As soon as it may be: time is the explorer's to choose. */
function now(coordinator: Coordinator<number>): number {
  return Math.max(0, coordinator.nextDeadlineMs(true) ?? 0)
}

function slotOf(request: Request): number {
  return 'slot' in request ? request.slot : 0
}

/** At most two chunks, so that an epoch can be published in half. */
function cut(slot: number, from: number, to: number, generation: number): string[][] {
  const records: string[] = []
  for (let input = from + 1; input <= to; input++)
    for (let i = 0; i < recordsPerInput(slot); i++) records.push(`${input}${'ab'[i]}g${generation}`)
  const half = Math.ceil(records.length / recordsPerInput(slot))
  return [records.slice(0, half), records.slice(half)].filter(chunk => chunk.length > 0)
}

function chunksOf(outboxes: readonly StoredOutbox[], slot: number): ChunkWithRecords[] {
  return outboxes
    .filter(outbox => outbox.slot === slot)
    .sort((a, b) => a.epoch - b.epoch)
    .flatMap(({ epoch, file, chunks }) =>
      chunks.map((records, chunk) => ({ ...chunkAt(epoch, chunk, chunk === chunks.length - 1, file.name), records }))
    )
}

function chunkAt(epoch: number, chunk: number, last: boolean, file: string): DecidedChunk {
  return { epoch, chunk, last, manifestHash: '', file, offset: chunk, length: 1 }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
