/** What is noticed while a job's code runs in the made-up world: what it must not do, and what it waits for. */
import type { ActorClass } from '../../actors/actor.ts'
import type { Plan } from '../../actors/plan.ts'
import { keyText, type Key } from '../../runtime/kernel/keys.ts'
import type { SimProcess } from '../world/process.ts'
import type { Ambient } from './world-globals.ts'

/** Virtual time that a handler may wait for nothing of the world; longer, and a run that hangs takes longer to tell. */
const outsideAfterMs = 20_000
/** Places remembered; each costs a stack trace. */
const placesLimit = 3
const looksLimit = 50

const remedy =
  'name it with service(…) in the job and give it a stand-in: simulationOf(job, { services: [standIn(…)] })'

/** What a process waits for outside of its handlers: timers of the code, calls of services. */
export interface Outstanding {
  outstanding: number
}

export class RunWatch {
  /** Sentences that end the run at once. */
  readonly fatal: string[] = []
  /** Where handlers looked at the clock or drew chance other than through `ctx`; an empty list: somewhere. */
  readonly asked = new Map<Ambient, string[]>()
  private looks = 0
  private readonly place: (stack: string | undefined) => string | undefined

  /** @param place where in the user's files a stack trace is */
  constructor(place: (stack: string | undefined) => string | undefined) {
    this.place = place
  }

  ask(what: Ambient): void {
    let places = this.asked.get(what)
    if (places === undefined) this.asked.set(what, (places = []))
    if (places.length >= placesLimit || this.looks++ > looksLimit) return
    const place = this.place(new Error().stack)
    if (place !== undefined && !places.includes(place)) places.push(place)
  }

  /** Returns the sentence. */
  refused(what: string): string {
    const place = this.place(new Error().stack)
    const where = place === undefined ? '' : ` (${place})`
    return this.add(`the job reaches outside of the simulated world: ${what}${where}; ${remedy}`)
  }

  missingStandIn(name: string): string {
    return this.add(
      `service "${name}" has no stand-in: add standIn(${name}, () => ({ … })) to the services of simulationOf(job, …)`
    )
  }

  /** Wraps the handlers of every actor of the user's, whose promises are then watched. */
  watch(plan: Plan, process: SimProcess, host: Outstanding): void {
    const stages = new Map<ActorClass, string[]>()
    for (const node of plan.nodes)
      if (node.kind === 'actor' && node.builtIn === undefined)
        stages.set(node.actor, [...(stages.get(node.actor) ?? []), node.name])
    for (const [actor, names] of stages)
      for (const handler of ['receive', 'onTimer', 'onAlarm'] as const) {
        const stage = names.map(name => `"${name}"`).join(' or ')
        this.wrap(actor.prototype as Handlers, handler, stage, process, host)
      }
  }

  private wrap(
    prototype: Handlers,
    handler: keyof Handlers,
    stage: string,
    process: SimProcess,
    host: Outstanding
  ): void {
    const original = prototype[handler]
    if (original === undefined) return
    const watch = (result: PromiseLike<unknown>, ctx: HandlerContext, event: unknown): void =>
      this.pending(result, process, host, () => {
        const what = handler === 'receive' ? `event ${ctx.id} ${show(event)}` : `${handler} ${show(event)}`
        return `stage ${stage}, key ${keyText(ctx.key)}, ${what}`
      })
    prototype[handler] = function (this: unknown, event: unknown, ctx: HandlerContext): unknown {
      const result = original.call(this, event, ctx)
      if (isPromise(result)) watch(result, { key: ctx.key, id: ctx.id }, event)
      return result
    }
  }

  private pending(promise: PromiseLike<unknown>, process: SimProcess, host: Outstanding, who: () => string): void {
    let cancel = (): void => undefined
    const look = (): void => {
      if (host.outstanding > 0) cancel = process.after(outsideAfterMs, look, 'watch')
      else
        this.add(
          `${who()}: its handler waits on the outside: for ${outsideAfterMs / 1000} s of virtual time nothing of the world could wake it; ${remedy}`
        )
    }
    cancel = process.after(outsideAfterMs, look, 'watch')
    const settled = (): void => cancel()
    promise.then(settled, settled)
  }

  private add(sentence: string): string {
    if (!this.fatal.includes(sentence)) this.fatal.push(sentence)
    return sentence
  }
}

interface HandlerContext {
  readonly key: Key
  readonly id: string
}
type Handlers = Partial<Record<'receive' | 'onTimer' | 'onAlarm', (event: unknown, ctx: HandlerContext) => unknown>>

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

function show(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each))
  return text === undefined ? '' : text.length > 200 ? `${text.slice(0, 200)}…` : text
}
