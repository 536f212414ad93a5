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
import { mayTrigger, step } from './explored-worker.ts'
import { Interner, StateTable } from './interner.ts'
import { mayTimeOut, newLocal, type Local, type LocalEvent, type Outstanding } from './local.ts'
import type { Budget, Scope } from './scope.ts'
import { storyOf } from './story.ts'
import {
  emptySink,
  emptyStorages,
  executeSink,
  executeStorage,
  isStorageRequest,
  loseDecisions,
  loseLedger,
  slotCount,
  violationOf,
  type Reply,
  type Request,
  type Sink,
  type Storages
} from './world.ts'

export type Action =
  | { readonly kind: 'boot' | 'fork' | 'crash' | 'trigger' | 'timeout'; readonly worker: number }
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
  | { readonly kind: 'miss'; readonly local: number; readonly event: number }

/** What the search asks about a worker again and again. */
interface Facts {
  readonly phase: Local['phase']
  readonly fresh: boolean
  /** By place in `out`. */
  readonly requests: readonly number[]
  readonly answerable: readonly boolean[]
  readonly patient: readonly boolean[]
  readonly mayTrigger: boolean
  readonly mayTimeOut: boolean
}

interface Carried {
  readonly to: number
  readonly reply: number
  readonly bad: string | undefined
}

const worldIds = 2 ** 26

/** @param mostStates more than these and the search gives up: they no longer fit into the memory it is allowed */
export async function explore(scope: Scope, mostStates = 12_000_000): Promise<Exploration> {
  return new Explorer(scope, mostStates).run()
}

class Explorer {
  private readonly scope: Scope
  private readonly mostStates: number
  private readonly storages = new Interner<Storages>()
  private readonly sinks = new Interner<Sink>()
  /** Lists of requests, by their numbers. */
  private readonly lates = new Interner<readonly number[]>()
  private readonly budgets = new Interner<Budget>()
  private readonly locals = new Interner<Local>()
  private readonly requests = new Interner<Request>()
  private readonly replies = new Interner<Reply>()
  private readonly events = new Interner<LocalEvent>()
  private readonly table = new StateTable(width)
  private readonly facts: Facts[] = []
  private readonly steps = new Map<number, number | string>()
  private readonly onStorage = new Map<number, Carried>()
  private readonly onSink = new Map<number, Carried>()
  private readonly answers = new Map<number, number>()
  private readonly spendings = new Map<string, number>()
  private readonly judged = new Map<number, string | undefined>()
  private readonly ends = new Map<string, number>()
  private readonly plain: Readonly<Record<'boot' | 'fork' | 'crash' | 'trigger' | 'timeout', number>>
  private transitions = 0

  constructor(scope: Scope, mostStates: number) {
    this.scope = scope
    this.mostStates = mostStates
    const event = (kind: 'boot' | 'fork' | 'crash' | 'trigger' | 'timeout'): number => this.events.id({ kind })
    this.plain = {
      boot: event('boot'),
      fork: event('fork'),
      crash: event('crash'),
      trigger: event('trigger'),
      timeout: event('timeout')
    }
  }

  async run(): Promise<Exploration> {
    const { boots, crashes, giveUps, timeouts, ledgerLosses, decisionLosses, forks } = this.scope
    const first: Row = [
      this.storages.id(emptyStorages(1 + forks)),
      this.sinks.id(emptySink(1 + forks)),
      this.lates.id([]),
      this.budgets.id({ boots, crashes, giveUps, timeouts, ledgerLosses, decisionLosses, forks }),
      this.locals.id(newLocal('A')),
      this.locals.id(newLocal('B'))
    ]
    this.table.add(first, -1)
    for (let index = 0; index < this.table.size; index++) {
      if (this.table.size > this.mostStates) return this.result(index, undefined, false)
      const row = this.table.row(index) as unknown as Row
      for (const action of this.actions(row)) {
        let next = this.lookUp(row, action)
        while (next.kind === 'miss') {
          await this.runReal(next.local, next.event)
          next = this.lookUp(row, action)
        }
        this.transitions++
        if (next.kind === 'violation') return this.result(index, { message: next.message, action }, false)
        this.table.add(next.row, index)
      }
    }
    return this.result(this.table.size - 1, undefined, true)
  }

  private result(
    index: number,
    found: { readonly message: string; readonly action: Action } | undefined,
    exhausted: boolean
  ): Exploration {
    const path: number[] = []
    for (let at = index; at >= 0; at = this.table.parent(at)) path.unshift(at)
    const depth = path.length - (found === undefined ? 1 : 0)
    const { transitions, ends } = this
    const states = this.table.size
    if (found === undefined) return { states, transitions, depth, violation: undefined, exhausted, ends }
    const story = path.map((at, i) => {
      const row = this.table.row(at) as unknown as Row
      const to = path[i + 1]
      return this.tell(row, to === undefined ? found.action : this.actionBetween(row, this.table.row(to)))
    })
    return { states, transitions, depth, violation: { message: found.message, story }, exhausted, ends }
  }

  private actionBetween(row: Row, to: readonly number[]): Action {
    for (const action of this.actions(row)) {
      const next = this.lookUp(row, action)
      if (next.kind === 'row' && next.row.every((part, i) => part === to[i])) return action
    }
    throw new Error('a state without a way to it')
  }

  private tell(row: Row, action: Action): string {
    const workers = [this.locals.get(row[4]), this.locals.get(row[5])]
    const late = this.lates.get(row[2]).map(id => this.requests.get(id))
    const storage = this.storages.get(row[0])
    const sink = this.sinks.get(row[1])
    return storyOf(action, workers, late, request =>
      isStorageRequest(request) ? executeStorage(storage, request).reply : executeSink(sink, request).reply
    )
  }

  private factsOf(id: number): Facts {
    const known = this.facts[id]
    if (known !== undefined) return known
    const local = this.locals.get(id)
    const firstWrite = local.out.findIndex(each => each.tag === 'write')
    return (this.facts[id] = {
      phase: local.phase,
      fresh: local.phase === 'off' && local.nonces === 0,
      requests: local.out.map(each => this.requests.id(each.request)),
      // Two writes of an epoch commute, and nobody looks at one without the other: one order will do.
      answerable: local.out.map(({ tag }, i) => tag !== 'write' || i === firstWrite),
      patient: local.out.map(outstanding => !mayGiveUp(local, outstanding)),
      mayTrigger: mayTrigger(local, this.scope),
      mayTimeOut: mayTimeOut(local)
    })
  }

  private actions(row: Row): Action[] {
    const actions: Action[] = []
    const budget = this.budgets.get(row[3])
    for (let worker = 0; worker < 2; worker++) {
      const facts = this.factsOf(row[4 + worker] as number)
      if (facts.phase === 'halted') continue
      if (facts.phase === 'off') {
        // Which of two equal workers begins makes no difference.
        if (worker === 1 && this.factsOf(row[4]).fresh) continue
        const mayBoot = budget.boots === this.scope.boots || !this.isCalm(budget)
        if (budget.boots > 0 && mayBoot) actions.push({ kind: 'boot', worker })
        if (budget.forks > 0 && this.mayFork(row[0])) actions.push({ kind: 'fork', worker })
        continue
      }
      for (let index = 0; index < facts.requests.length; index++) {
        if (facts.answerable[index] === false) continue
        actions.push({ kind: 'answer', worker, index })
        if (budget.giveUps > 0 && facts.patient[index] === false) actions.push({ kind: 'give-up', worker, index })
      }
      if (facts.mayTrigger) actions.push({ kind: 'trigger', worker })
      if (budget.timeouts > 0 && facts.mayTimeOut) actions.push({ kind: 'timeout', worker })
      if (budget.crashes > 0 && !this.isCalm(budget)) actions.push({ kind: 'crash', worker })
    }
    for (let index = 0; index < this.lates.get(row[2]).length; index++) actions.push({ kind: 'late', index })
    if (budget.ledgerLosses > 0)
      for (let slot = 0; slot < slotCount; slot++)
        if (this.sinks.get(row[1]).slots[slot]?.ledger !== undefined) actions.push({ kind: 'ledger-lost', slot })
    if (budget.decisionLosses > 0) actions.push({ kind: 'decision-lost' })
    return actions
  }

  private isCalm({ forks }: Budget): boolean {
    return this.scope.calmUntilFork && forks === this.scope.forks
  }

  /** There is something to go back from; else it would be an ordinary start. */
  private mayFork(storage: number): boolean {
    const [first] = this.storages.get(storage)
    return (first?.decided.at(-1)?.epoch ?? 0) > this.scope.restore
  }

  /** A worker meets an event for the first time. */
  private async runReal(local: number, event: number): Promise<void> {
    const key = local * worldIds + event
    try {
      this.steps.set(key, this.locals.id(await step(this.locals.get(local), this.events.get(event), this.scope)))
    } catch (error) {
      this.steps.set(key, error instanceof Error ? `${error.name}: ${error.message}` : String(error))
    }
  }

  private lookUp(row: Row, action: Action): Successor {
    const [storage, sink, late, budget] = row
    switch (action.kind) {
      case 'boot':
        return this.moved(row, action.worker, this.plain.boot, this.spend(budget, 'boots'))
      case 'fork':
        return this.moved(row, action.worker, this.plain.fork, this.spend(budget, 'forks'))
      case 'trigger':
        return this.moved(row, action.worker, this.plain.trigger, budget)
      case 'timeout':
        return this.moved(row, action.worker, this.plain.timeout, this.spend(budget, 'timeouts'))
      case 'crash': {
        const sent = this.factsOf(row[4 + action.worker] as number).requests
        return this.moved(row, action.worker, this.plain.crash, this.spend(budget, 'crashes'), sent)
      }
      case 'give-up': {
        const request = this.factsOf(row[4 + action.worker] as number).requests[action.index] as number
        const event = this.answer(action.index, undefined)
        return this.moved(row, action.worker, event, this.spend(budget, 'giveUps'), [request], action.index)
      }
      case 'answer': {
        const request = this.factsOf(row[4 + action.worker] as number).requests[action.index] as number
        const done = this.carryOut(row, request)
        if (done.kind === 'violation') return done
        const event = this.answer(action.index, done.reply)
        return this.moved(done.row, action.worker, event, budget, [], action.index)
      }
      case 'late': {
        const requests = this.lates.get(late)
        const done = this.carryOut(row, requests[action.index] as number)
        return done.kind === 'violation' ? done : this.settled(done.row, requests.toSpliced(action.index, 1))
      }
      case 'ledger-lost': {
        const lost = this.sinks.id(loseLedger(this.sinks.get(sink), action.slot))
        return this.settled([storage, lost, late, this.spend(budget, 'ledgerLosses'), row[4], row[5]])
      }
      case 'decision-lost': {
        const lost = loseDecisions(this.storages.get(storage), this.sinks.get(sink))
        if (lost === undefined) return { kind: 'row', row }
        const left = this.spend(budget, 'decisionLosses')
        return { kind: 'row', row: [this.storages.id(lost), sink, late, left, row[4], row[5]] }
      }
    }
  }

  private spend(budget: number, what: keyof Budget): number {
    const key = `${budget} ${what}`
    let id = this.spendings.get(key)
    if (id === undefined) {
      const left = this.budgets.get(budget)
      this.spendings.set(key, (id = this.budgets.id({ ...left, [what]: left[what] - 1 })))
    }
    return id
  }

  /** The event of an answer; of none in time when there is no reply. */
  private answer(index: number, reply: number | undefined): number {
    const key = index * worldIds + (reply ?? worldIds - 1)
    let id = this.answers.get(key)
    if (id === undefined) {
      const said = reply === undefined ? null : this.replies.get(reply)
      this.answers.set(key, (id = this.events.id({ kind: 'reply', index, reply: said })))
    }
    return id
  }

  private carryOut(
    row: Row,
    request: number
  ):
    | { readonly kind: 'done'; readonly row: Row; readonly reply: number }
    | { readonly kind: 'violation'; readonly message: string } {
    const [storage, sink, late, budget, a, b] = row
    const asked = this.requests.get(request)
    const onStorage = isStorageRequest(asked)
    const known = onStorage ? this.onStorage : this.onSink
    const key = (onStorage ? storage : sink) * worldIds + request
    let carried = known.get(key)
    if (carried === undefined) {
      if (onStorage) {
        const { world, reply, violation } = executeStorage(this.storages.get(storage), asked)
        carried = { to: this.storages.id(world), reply: this.replies.id(reply), bad: violation }
      } else {
        const { world, reply, violation } = executeSink(this.sinks.get(sink), asked)
        carried = { to: this.sinks.id(world), reply: this.replies.id(reply), bad: violation }
      }
      known.set(key, carried)
    }
    const { to, reply, bad } = carried
    if (bad !== undefined) return { kind: 'violation', message: bad }
    return { kind: 'done', row: onStorage ? [to, sink, late, budget, a, b] : [storage, to, late, budget, a, b], reply }
  }

  /** One worker takes one event; `sent` stays under way without it, and so does what it leaves when it ends. */
  private moved(
    row: Row,
    worker: number,
    event: number,
    budget: number,
    sent: readonly number[] = [],
    answered?: number
  ): Successor {
    const local = row[4 + worker] as number
    const known = this.steps.get(local * worldIds + event)
    if (known === undefined) return { kind: 'miss', local, event }
    if (typeof known === 'string') return { kind: 'violation', message: known }
    const { phase } = this.factsOf(known)
    const moved: Row =
      worker === 0 ? [row[0], row[1], row[2], budget, known, row[5]] : [row[0], row[1], row[2], budget, row[4], known]
    if (phase === 'halted' || (phase === 'off' && answered !== undefined)) {
      const { reason } = this.locals.get(known)
      const why = `${phase}: ${reason.replace(/\d+/g, 'n')}`
      this.ends.set(why, (this.ends.get(why) ?? 0) + 1)
      if (phase === 'halted' && this.scope.ledgerLosses + this.scope.decisionLosses === 0)
        return { kind: 'violation', message: `a worker halts though nothing was lost: ${reason}` }
      const left = this.factsOf(local).requests.filter((_, i) => i !== answered)
      return this.settled(moved, [...this.lates.get(row[2]), ...sent, ...left])
    }
    return sent.length === 0 ? this.settled(moved) : this.settled(moved, [...this.lates.get(row[2]), ...sent])
  }

  /** Judges the new state, and forgets late requests that can change nothing any more. */
  private settled(row: Row, late: readonly number[] = this.lates.get(row[2])): Successor {
    const [storage, sink, , budget, a, b] = row
    const key = storage * worldIds + sink
    if (!this.judged.has(key)) this.judged.set(key, violationOf(this.storages.get(storage), this.sinks.get(sink)))
    const message = this.judged.get(key)
    if (message !== undefined) return { kind: 'violation', message }
    if (late.length === 0) return { kind: 'row', row: [storage, sink, this.lates.id([]), budget, a, b] }
    const may = late.filter(id => this.mayChange(storage, sink, this.requests.get(id))).sort((x, y) => x - y)
    return { kind: 'row', row: [storage, sink, this.lates.id(may), budget, a, b] }
  }

  private mayChange(storage: number, sink: number, request: Request): boolean {
    const lineage = 'lineage' in request ? (request.lineage ?? 1) : 1
    const { decisions = {}, objects = {} } = this.storages.get(storage)[lineage - 1] ?? {}
    switch (request.op) {
      case 'read':
      case 'list':
      case 'lineages':
      case 'ledger':
        return false
      case 'create':
        return (
          this.scope.forks > 1 ||
          this.scope.kept > 0 ||
          (decisions[request.name] ?? objects[request.name]) === undefined
        )
      case 'remove':
        return request.names.some(name => objects[name] !== undefined || decisions[name] !== undefined)
      case 'initialise':
        return (
          request.renews === undefined ||
          this.sinks.get(sink).slots[request.slot]?.owners[request.id] === request.renews
        )
      case 'publish':
      case 'add':
      case 'end':
        return this.sinks.get(sink).slots[request.slot]?.owners[request.id] === request.producer
    }
  }
}

function mayGiveUp({ operation }: Local, { tag, request }: Outstanding): boolean {
  const kind = operation?.operation.kind
  if (tag === 'log' && kind !== 'append' && kind !== 'fork') return false
  if (tag === 'log' && kind === 'append') return true
  return request.op !== 'read' && request.op !== 'list' && request.op !== 'ledger' && request.op !== 'remove'
}
