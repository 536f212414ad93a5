/**
 * Explores every order of steps, answers, losses and crashes within a scope, breadth first, so that the first violation found has
 * the fewest steps.
 *
 *   state = storage, sink, late requests, what is left of the scope, worker A, worker B   (six small numbers)
 *
 * Both workers believe at all times that they lead (S7). A request is carried out at a step of its own; its client may give up
 * first, or crash, and the request stays under way: late ones are carried out at any later step or never.
 * Real code runs once for each distinct (worker, event); all else is looking up.
 */
import { mayTimeOut, mayTrigger, step } from './explored-worker.ts'
import { Interner, StateTable } from './interner.ts'
import { newLocal, type Local, type LocalEvent, type Outstanding } from './local.ts'
import type { Budget, Scope } from './scope.ts'
import { storyOf } from './story.ts'
import {
  emptySink,
  emptyStorage,
  executeSink,
  executeStorage,
  isStorageRequest,
  loseDecisions,
  loseLedger,
  slotCount,
  violationOf,
  type Executed,
  type Reply,
  type Request,
  type Sink,
  type Storage
} from './world.ts'

export type Action =
  | { readonly kind: 'boot' | 'crash' | 'trigger' | 'timeout'; readonly worker: number }
  | { readonly kind: 'answer' | 'give-up'; readonly worker: number; readonly index: number }
  | { readonly kind: 'late'; readonly index: number }
  | { readonly kind: 'ledger-lost'; readonly slot: number }
  | { readonly kind: 'decision-lost' }

export interface Exploration {
  readonly states: number
  readonly transitions: number
  /** Steps to the deepest state, or to the violation. */
  readonly depth: number
  readonly violation: { readonly message: string; readonly story: readonly string[] } | undefined
  /** False when `mostStates` was reached first. */
  readonly exhausted: boolean
  /** How often a worker ended, by reason. */
  readonly ends: ReadonlyMap<string, number>
}

type Row = readonly [storage: number, sink: number, late: number, budget: number, a: number, b: number]
const width = 6
type Successor =
  | { readonly kind: 'row'; readonly row: Row }
  | { readonly kind: 'violation'; readonly message: string }
  /** Real code must run first. */
  | { readonly kind: 'miss'; readonly local: number; readonly event: LocalEvent }

const worldIds = 2 ** 26

/** @param mostStates more than these and the search gives up: they no longer fit into the memory it is allowed */
export async function explore(scope: Scope, mostStates = 12_000_000): Promise<Exploration> {
  return new Explorer(scope, mostStates).run()
}

class Explorer {
  private readonly scope: Scope
  private readonly mostStates: number
  private readonly storages = new Interner<Storage>()
  private readonly sinks = new Interner<Sink>()
  private readonly lates = new Interner<readonly Request[]>()
  private readonly budgets = new Interner<Budget>()
  private readonly locals = new Interner<Local>()
  private readonly requests = new Interner<Request>()
  private readonly events = new Interner<LocalEvent>()
  private readonly table = new StateTable(width)
  private readonly steps = new Map<number, number | string>()
  private readonly onStorage = new Map<number, { readonly to: number; readonly reply: Reply; readonly bad?: string }>()
  private readonly onSink = new Map<number, { readonly to: number; readonly reply: Reply; readonly bad?: string }>()
  private readonly judged = new Map<number, string | undefined>()
  private readonly triggers = new Map<number, boolean>()
  private readonly ends = new Map<string, number>()
  private transitions = 0

  constructor(scope: Scope, mostStates: number) {
    this.scope = scope
    this.mostStates = mostStates
  }

  async run(): Promise<Exploration> {
    const { boots, crashes, giveUps, timeouts, ledgerLosses, decisionLosses } = this.scope
    const first: Row = [
      this.storages.id(emptyStorage),
      this.sinks.id(emptySink),
      this.lates.id([]),
      this.budgets.id({ boots, crashes, giveUps, timeouts, ledgerLosses, decisionLosses }),
      this.locals.id(newLocal('A')),
      this.locals.id(newLocal('B'))
    ]
    this.table.add(first, -1)
    for (let index = 0; index < this.table.size; index++) {
      if (this.table.size > this.mostStates) return this.result(index, undefined, false)
      const row = this.table.row(index) as unknown as Row
      for (const action of this.actions(row)) {
        const next = await this.successor(row, action)
        this.transitions++
        if (next.kind === 'violation') return this.result(index, { message: next.message, action }, false)
        if (next.kind === 'row') this.table.add(next.row, index)
      }
    }
    return this.result(this.table.size - 1, undefined, true)
  }

  private async result(
    index: number,
    found: { readonly message: string; readonly action: Action } | undefined,
    exhausted: boolean
  ): Promise<Exploration> {
    const path: number[] = []
    for (let at = index; at >= 0; at = this.table.parent(at)) path.unshift(at)
    const depth = path.length - (found === undefined ? 1 : 0)
    const { transitions, ends } = this
    const states = this.table.size
    if (found === undefined) return { states, transitions, depth, violation: undefined, exhausted, ends }
    const story: string[] = []
    for (const [i, at] of path.entries()) {
      const row = this.table.row(at) as unknown as Row
      const to = path[i + 1]
      const action = to === undefined ? found.action : await this.actionBetween(row, this.table.row(to))
      story.push(this.tell(row, action))
    }
    return { states, transitions, depth, violation: { message: found.message, story }, exhausted, ends }
  }

  private async actionBetween(row: Row, to: readonly number[]): Promise<Action> {
    for (const action of this.actions(row)) {
      const next = await this.successor(row, action)
      if (next.kind === 'row' && next.row.every((part, i) => part === to[i])) return action
    }
    throw new Error('a state without a way to it')
  }

  private tell(row: Row, action: Action): string {
    const workers = [this.locals.get(row[4]), this.locals.get(row[5])]
    const late = this.lates.get(row[2])
    const storage = this.storages.get(row[0])
    const sink = this.sinks.get(row[1])
    return storyOf(action, workers, late, request =>
      isStorageRequest(request) ? executeStorage(storage, request).reply : executeSink(sink, request).reply
    )
  }

  private actions(row: Row): Action[] {
    const actions: Action[] = []
    const budget = this.budgets.get(row[3])
    for (const worker of [0, 1]) {
      const id = row[4 + worker] as number
      const local = this.locals.get(id)
      if (local.phase === 'halted') continue
      if (local.phase === 'off') {
        // Which of two equal workers begins makes no difference.
        const mayBoot = worker === 0 || this.locals.get(row[4]).nonces > 0 || this.locals.get(row[4]).phase !== 'off'
        if (budget.boots > 0 && mayBoot) actions.push({ kind: 'boot', worker })
        continue
      }
      for (const [index, outstanding] of local.out.entries()) {
        actions.push({ kind: 'answer', worker, index })
        if (budget.giveUps > 0 && mayGiveUp(local, outstanding)) actions.push({ kind: 'give-up', worker, index })
      }
      if (this.mayTrigger(id)) actions.push({ kind: 'trigger', worker })
      if (budget.timeouts > 0 && mayTimeOut(local)) actions.push({ kind: 'timeout', worker })
      if (budget.crashes > 0) actions.push({ kind: 'crash', worker })
    }
    for (let index = 0; index < this.lates.get(row[2]).length; index++) actions.push({ kind: 'late', index })
    if (budget.ledgerLosses > 0)
      for (let slot = 0; slot < slotCount; slot++)
        if (this.sinks.get(row[1]).slots[slot]?.ledger !== undefined) actions.push({ kind: 'ledger-lost', slot })
    if (budget.decisionLosses > 0) actions.push({ kind: 'decision-lost' })
    return actions
  }

  private mayTrigger(id: number): boolean {
    let may = this.triggers.get(id)
    if (may === undefined) this.triggers.set(id, (may = mayTrigger(this.locals.get(id), this.scope)))
    return may
  }

  /** Runs real code only when this worker never met this event before. */
  private async successor(row: Row, action: Action): Promise<Successor> {
    for (;;) {
      const next = this.lookUp(row, action)
      if (next.kind !== 'miss') return next
      const key = next.local * worldIds + this.events.id(next.event)
      try {
        this.steps.set(key, this.locals.id(await step(this.locals.get(next.local), next.event, this.scope)))
      } catch (error) {
        this.steps.set(key, error instanceof Error ? `${error.name}: ${error.message}` : String(error))
      }
    }
  }

  private lookUp(row: Row, action: Action): Successor {
    const [storage, sink, late, budget] = row
    const left = this.budgets.get(budget)
    switch (action.kind) {
      case 'boot':
        return this.moved(row, action.worker, { kind: 'boot' }, { boots: left.boots - 1 })
      case 'trigger':
        return this.moved(row, action.worker, { kind: 'trigger' })
      case 'timeout':
        return this.moved(row, action.worker, { kind: 'timeout' }, { timeouts: left.timeouts - 1 })
      case 'crash': {
        const sent = this.locals.get(row[4 + action.worker] as number).out.map(each => each.request)
        return this.moved(row, action.worker, { kind: 'crash' }, { crashes: left.crashes - 1 }, sent)
      }
      case 'give-up': {
        const { request } = this.outstanding(row, action.worker, action.index)
        const event = { kind: 'reply', index: action.index, reply: null } as const
        return this.moved(row, action.worker, event, { giveUps: left.giveUps - 1 }, [request])
      }
      case 'answer': {
        const { request } = this.outstanding(row, action.worker, action.index)
        const done = this.execute(storage, sink, request)
        if (done.bad !== undefined) return { kind: 'violation', message: done.bad }
        const event = { kind: 'reply', index: action.index, reply: done.reply } as const
        return this.moved([done.storage, done.sink, late, budget, row[4], row[5]], action.worker, event)
      }
      case 'late': {
        const requests = this.lates.get(late)
        const done = this.execute(storage, sink, requests[action.index] as Request)
        if (done.bad !== undefined) return { kind: 'violation', message: done.bad }
        return this.settled(
          [done.storage, done.sink, late, budget, row[4], row[5]],
          requests.toSpliced(action.index, 1)
        )
      }
      case 'ledger-lost': {
        const rest = this.budgets.id({ ...left, ledgerLosses: left.ledgerLosses - 1 })
        const lost = this.sinks.id(loseLedger(this.sinks.get(sink), action.slot))
        return { kind: 'row', row: [storage, lost, late, rest, row[4], row[5]] }
      }
      case 'decision-lost': {
        const lost = loseDecisions(this.storages.get(storage), this.sinks.get(sink))
        const rest = this.budgets.id({ ...left, decisionLosses: left.decisionLosses - 1 })
        return {
          kind: 'row',
          row: lost === undefined ? row : [this.storages.id(lost), sink, late, rest, row[4], row[5]]
        }
      }
    }
  }

  private outstanding(row: Row, worker: number, index: number): Outstanding {
    return this.locals.get(row[4 + worker] as number).out[index] as Outstanding
  }

  private execute(
    storage: number,
    sink: number,
    request: Request
  ): { readonly storage: number; readonly sink: number; readonly reply: Reply; readonly bad?: string } {
    const id = this.requests.id(request)
    if (isStorageRequest(request)) {
      const { to, ...rest } = memo(this.onStorage, storage * worldIds + id, this.storages, () =>
        executeStorage(this.storages.get(storage), request)
      )
      return { storage: to, sink, ...rest }
    }
    const { to, ...rest } = memo(this.onSink, sink * worldIds + id, this.sinks, () =>
      executeSink(this.sinks.get(sink), request)
    )
    return { storage, sink: to, ...rest }
  }

  /** One worker takes one event. */
  private moved(
    row: Row,
    worker: number,
    event: LocalEvent,
    spent?: Partial<Budget>,
    sent: readonly Request[] = []
  ): Successor {
    const local = row[4 + worker] as number
    const known = this.steps.get(local * worldIds + this.events.id(event))
    if (known === undefined) return { kind: 'miss', local, event }
    if (typeof known === 'string') return { kind: 'violation', message: known }
    const after = this.locals.get(known)
    if (after.phase === 'off' || after.phase === 'halted') {
      const reason = `${after.phase}: ${after.reason.replace(/\d+/g, 'n')}`
      this.ends.set(reason, (this.ends.get(reason) ?? 0) + 1)
    }
    const lost = this.scope.ledgerLosses + this.scope.decisionLosses > 0
    if (after.phase === 'halted' && !lost)
      return { kind: 'violation', message: `a worker halts though nothing was lost: ${after.reason}` }
    const workers = worker === 0 ? [known, row[5]] : [row[4], known]
    const budget = spent === undefined ? row[3] : this.budgets.id({ ...this.budgets.get(row[3]), ...spent })
    const ended = after.phase === 'off' && event.kind === 'reply' ? this.left(local, event.index) : []
    const late = [...this.lates.get(row[2]), ...sent, ...ended]
    return this.settled([row[0], row[1], row[2], budget, workers[0] as number, workers[1] as number], late)
  }

  /** What a worker that ended by itself had under way besides. */
  private left(local: number, index: number): Request[] {
    return this.locals
      .get(local)
      .out.filter((_, i) => i !== index)
      .map(each => each.request)
  }

  /** Judges the new state, and forgets late requests that can change nothing any more. */
  private settled(row: Row, late: readonly Request[]): Successor {
    const [storage, sink, , ...rest] = row
    const key = storage * worldIds + sink
    if (!this.judged.has(key)) this.judged.set(key, violationOf(this.storages.get(storage), this.sinks.get(sink)))
    const message = this.judged.get(key)
    if (message !== undefined) return { kind: 'violation', message }
    if (late.length === 0) return { kind: 'row', row: [storage, sink, this.lates.id([]), ...rest] }
    const may = late
      .filter(request => this.mayChange(storage, sink, request))
      .map(request => this.requests.id(request))
      .sort((a, b) => a - b)
      .map(id => this.requests.get(id))
    return { kind: 'row', row: [storage, sink, this.lates.id(may), ...rest] }
  }

  private mayChange(storage: number, sink: number, request: Request): boolean {
    const { decisions, objects } = this.storages.get(storage)
    switch (request.op) {
      case 'read':
      case 'list':
      case 'ledger':
        return false
      case 'create':
        return this.scope.kept > 0 || (decisions[request.name] ?? objects[request.name]) === undefined
      case 'remove':
        return request.names.some(name => objects[name] !== undefined || decisions[name] !== undefined)
      case 'initialise':
        return true
      case 'publish':
        return this.sinks.get(sink).slots[request.slot]?.owners[request.id] === request.producer
    }
  }
}

function mayGiveUp({ operation }: Local, { tag, request }: Outstanding): boolean {
  if (tag === 'log') return operation?.operation.kind === 'append'
  return request.op === 'create' || request.op === 'publish'
}

function memo<World>(
  known: Map<number, { readonly to: number; readonly reply: Reply; readonly bad?: string }>,
  key: number,
  worlds: Interner<World>,
  execute: () => Executed<World>
): { readonly to: number; readonly reply: Reply; readonly bad?: string } {
  let result = known.get(key)
  if (result === undefined) {
    const { world, reply, violation } = execute()
    result = { to: worlds.id(world), reply, ...(violation === undefined ? {} : { bad: violation }) }
    known.set(key, result)
  }
  return result
}
