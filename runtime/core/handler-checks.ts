/**
 * What `drive`, `dev` and `run --check` look for: a handler that changes its event, and state that changes between handlers because
 * something outside kept a reference to it.
 */
import type { Actor } from '../../actors/actor.ts'
import type { ActorDefinition } from '../../actors/definition-types.ts'
import { ByteWriter, equalBytes } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'

export class HandlerChecks {
  private readonly definition: ActorDefinition
  private readonly pictures = new WeakMap<Actor, Uint8Array>()
  private readonly scratch = new ByteWriter(256)

  constructor(definition: ActorDefinition) {
    this.definition = definition
  }

  /** Throws STATE_CHANGED_OUTSIDE when the fields are not what the last handler left. */
  before(instance: Actor, place: () => string): void {
    const picture = this.pictures.get(instance)
    if (picture !== undefined && !equalBytes(picture, this.picture(instance)))
      throw new CodedError(
        'STATE_CHANGED_OUTSIDE',
        `${place()}: fields of ${this.definition.name} changed since its last handler ended`
      )
  }

  after(instance: Actor): void {
    this.pictures.set(instance, this.picture(instance))
  }

  private picture(instance: Actor): Uint8Array {
    this.scratch.reset()
    this.definition.encode(instance, this.scratch)
    return this.scratch.take()
  }
}

/** Plain objects and arrays, all the way down; what cannot be frozen is left as it is. */
export function deepFreeze(value: unknown): void {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value)) return
  Object.freeze(value)
  for (const item of value instanceof Map ? value.values() : Object.values(value)) deepFreeze(item)
}
