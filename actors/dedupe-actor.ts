/** Dropping repeats, as an actor: one instance per id that was seen and is not forgotten yet. */
import { Actor, type ActorClass, type Context } from './actor.ts'

abstract class Dedupe extends Actor {
  /** Repeats before this time are dropped. */
  until = -Infinity

  /** On the prototype: fields are state. */
  abstract get withinMs(): number

  override receive(value: never, ctx: never): void {
    this.take(value, ctx)
  }

  private take(value: unknown, ctx: Context<unknown>): void {
    if (ctx.time < this.until) return
    ctx.emit(value)
    this.until = ctx.time + this.withinMs
    // No event before `until` is expected from then on, so nothing that would have to be dropped.
    ctx.timer('forget', this.until)
  }

  override onTimer(_: string, ctx: never): void {
    ;(ctx as Context).forget()
  }
}

/** Keyed by the id. State is one number per id of the last `withinMs` of event time. */
export function dedupeActor({ withinMs }: { readonly withinMs: number }): ActorClass<Actor> {
  return class extends Dedupe {
    static readonly actorName = 'dedupe'
    override get withinMs(): number {
      return withinMs
    }
  }
}
