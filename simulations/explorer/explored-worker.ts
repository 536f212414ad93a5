/**
 * One worker: leader and owner of both slots. The decision log, the slot machines, the coordinator and retention are the real code;
 * this is what the shell does between them, in the shell's order:
 *
 *   (fork ─►) open log ─► read manifest ─► append "begins" ─► plan deletions ─► slots: initialise, read ledger, publish
 *   trigger(n) ─► a write per task ─► manifest ─► append "completed" ─► retain, delete, prune; slots publish
 *                     └── a failed write, or time out ──► abandon: files go, inputs join the next epoch
 *
 * A step takes plain data and an event and answers plain data: everything it does is in `out`.
 */
import { Coordinator } from '../../checkpoint/coordinator.ts'
import { DecisionLog, type Completed } from '../../checkpoint/decision-log.ts'
import { objectNames } from '../../checkpoint/object-names.ts'
import { filesOf, planRetention, type Retained } from '../../checkpoint/retention.ts'
import { SlotMachine, type SlotAction } from '../../runtime/core/slot-machine.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { LedgerEntry, PublishOutcome } from '../../runtime/ports/publisher.ts'
import { hashOf, stateText, transactionalId } from './forking.ts'
import { freeze, thaw } from './frozen.ts'
import { asSoonAsItMay, byText, copyOf, newLocal } from './local.ts'
import type { ChunkWithRecords, Local, LocalEvent, Outstanding, Then } from './local.ts'
import { runOperation, type Answer, type LogOperation } from './log-operation.ts'
import { chunksOf, cut, manifestOf } from './outboxes.ts'
import type { Scope } from './scope.ts'
import { localSlot, sinkSlot, slotCount } from './world.ts'
import type { Request, StorageRequest, StoredManifest, StoredOutbox } from './world.ts'

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

/** What ends a process that will be started again, and is no damage. */
const passing = new Set(['FENCED', 'LINEAGE_ENDED', 'STORAGE_FAILED', 'SINK_UNREACHABLE'])

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
    local.out.sort(byText)
    return local
  }

  async handle(event: LocalEvent): Promise<void> {
    try {
      switch (event.kind) {
        case 'boot':
        case 'fork':
          Object.assign(this.local, newLocal(this.local.name, this.local.nonces), { phase: 'opening' })
          if (event.kind === 'boot') return await this.open()
          return await this.operate({ kind: 'fork', restore: `${this.scope.restore}` }, 'opened')
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
      this.end(passing.has(error.code) ? 'off' : 'halted', error.message)
    }
  }

  shouldTrigger(): boolean {
    const { local, coordinator } = this
    if (coordinator === undefined) return false
    const changed = local.position < this.scope.inputs || local.position > (local.head?.manifest.position ?? 0)
    return coordinator.shouldTrigger({
      now: asSoonAsItMay(coordinator),
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

  /** Of the lineage in which it runs. */
  private askStorage(tag: Outstanding['tag'], request: StorageRequest, about?: unknown): void {
    const { lineage } = this.local
    this.ask(tag, lineage === 1 ? request : { ...request, lineage }, about)
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
      case 'retained':
        return this.retainedRead(about as string, reply)
      case 'collect':
        return this.collect(reply)
      case 'write':
        return this.written(about as StoredOutbox, reply)
      case 'state':
        return this.stateWritten(about as number, reply)
      case 'prepare':
        return this.prepared(reply)
      case 'remove':
        return this.tidy()
      case 'initialise':
        if (reply === null) return this.act(this.slot(request).unreachable())
        this.local.producers[localSlot(request)] = reply as number
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

  private open(): Promise<void> {
    return this.operate({ kind: this.scope.forks > 0 ? 'follow' : 'open' }, 'opened')
  }

  private async operate(operation: LogOperation, then: Then): Promise<void> {
    this.local.operation = { operation, answers: [], then, nonces: this.local.nonces }
    await this.operateOn()
  }

  private async operateOn(): Promise<void> {
    const { local, scope } = this
    if (local.operation === undefined) throw new Error('no operation of the log is under way')
    const { operation, answers, then, nonces } = local.operation
    const { name: worker, lineage } = local
    const outcome = await runOperation(local.log, operation, answers, { worker, lineage, nonces, kept: scope.kept })
    local.nonces = Math.max(local.nonces, outcome.nonces)
    if (outcome.kind === 'asks') return this.ask('log', outcome.request)
    local.operation = undefined
    local.log = outcome.log
    if (outcome.kind === 'failed') return this.operationFailed(operation, then, outcome.error)
    local.lineage = outcome.lineage
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
        return this.askStorage('manifest', { op: 'read', name: head.manifest.name }, head.manifest.name)
      }
      case 'leads':
        return local.head === undefined ? this.prepare(0) : this.begin()
      case 'began':
        if (local.head !== undefined) return this.readRetained()
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
      return this.open()
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
    const decision = {
      kind: 'begins',
      generation: local.generation,
      lineage: local.lineage,
      parent,
      assignment
    } as const
    return this.operate({ kind: 'append', decision }, 'began')
  }

  /** Those before the head, newest first. */
  private readRetained(): void {
    const { local, scope } = this
    if (local.head === undefined || local.log === undefined) return
    if (local.retained.length === 0) local.retained = [local.head]
    const kept = thaw(DecisionLog, local.log).completed(scope.retained)
    const name = kept[local.retained.length]?.manifest.name
    if (name === undefined) return this.askStorage('collect', { op: 'list', folder: '*' })
    this.askStorage('retained', { op: 'read', name }, name)
  }

  private retainedRead(name: string, reply: Answer): void {
    const text = (reply as { readonly text?: string } | null)?.text
    if (text === undefined) return this.askStorage('collect', { op: 'list', folder: '*' })
    this.local.retained.push({ name, manifest: JSON.parse(text) as StoredManifest })
    this.readRetained()
  }

  private collect(reply: Answer): void {
    if (reply === null) return this.end('off', 'the storage does not answer')
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
      const name = { job: 'j', lineage: local.lineage, sink: 's', stage: 'T', slot }
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
    const { epoch } = coordinator.trigger(asSoonAsItMay(coordinator), slotNumbers, false)
    if (local.position < this.scope.inputs) local.position++
    local.acknowledged = []
    const from = local.head?.manifest.position ?? 0
    for (const slot of slotNumbers) {
      const name = objectNames.outbox(epoch, 'T', slot, this.nonce())
      const chunks = cut(slot, from, local.position, local.generation)
      this.askStorage(
        'write',
        { op: 'create', name, text: JSON.stringify(chunks) },
        { file: { name }, slot, epoch, chunks }
      )
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

  /** Where there are forks, checkpoints have a file of state: what is copied must be there. */
  private prepare(epoch: number): void {
    if (this.scope.forks === 0) return this.writeManifest(epoch)
    const { local } = this
    local.state = { name: objectNames.base(epoch, 'T', this.nonce()), text: stateText(local.position) }
    this.askStorage('state', { op: 'create', ...local.state }, epoch)
  }

  private stateWritten(epoch: number, reply: Answer): void {
    const { local, coordinator } = this
    if (reply !== null) {
      if (coordinator === undefined || coordinator.pending?.epoch === epoch) this.writeManifest(epoch)
      return
    }
    if (local.state !== undefined) this.doom([local.state.name])
    if (coordinator === undefined) return this.end('off', 'the storage does not answer')
    this.abandon(coordinator.failed(epoch, 'write', ''))
  }

  private writeManifest(epoch: number): void {
    const { local } = this
    const manifest = manifestOf(epoch, local, this.slots)
    local.preparing = { name: objectNames.manifest(epoch, this.nonce()), manifest }
    this.askStorage('prepare', { op: 'create', name: local.preparing.name, text: JSON.stringify(manifest) })
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
    const hash = this.scope.forks === 0 ? preparing.name : hashOf(preparing.manifest)
    const manifest = { name: preparing.name, hash }
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
    this.askStorage('remove', { op: 'remove', names: local.doomed.splice(0).sort() })
  }

  // ---- the slots

  private hand(epoch: number, outboxes: readonly StoredOutbox[]): void {
    for (const slot of this.slots) slot.decided(epoch, chunksOf(outboxes, slot.name.slot))
  }

  private slot(request: Request): SlotMachine {
    return this.slots[localSlot(request)] as SlotMachine
  }

  private act(action: SlotAction | undefined): void {
    if (action === undefined || action.kind === 'note') return // they are given no positions
    const { slot } = action.slot.name
    const at = sinkSlot(this.local.lineage, slot)
    switch (action.kind) {
      case 'initialise':
        return this.ask('initialise', { op: 'initialise', slot: at, id: this.transactionalId(slot) })
      case 'read-ledger':
        return this.ask('ledger', { op: 'ledger', slot: at })
      case 'publish': {
        const records = (action.chunk as ChunkWithRecords | undefined)?.records ?? []
        const id = this.transactionalId(slot)
        const producer = this.local.producers[slot] ?? 0
        if (this.scope.oldProtocol) return this.renew(slot, { records, entry: action.entry })
        this.ask('publish', { op: 'publish', slot: at, id, producer, records, entry: action.entry }, action.entry)
      }
    }
  }

  /** Kafka's older transactions: initialise before each, so that a late end of the one before finds nothing to decide. */
  private renew(slot: number, transaction: Transaction): void {
    const id = this.transactionalId(slot)
    this.ask('renew', { op: 'initialise', slot, id, renews: this.local.producers[slot] ?? 0 }, transaction)
  }

  private renewed(request: Request, { records, entry }: Transaction, reply: Answer): void {
    const slot = localSlot(request)
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
    return transactionalId({ lineage: this.local.lineage, slot })
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
