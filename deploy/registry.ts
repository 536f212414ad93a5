/** Codecs that need a schema registry, on their way to it: what they must know is asked for before they decode and before they encode. */
import type { RegistryPart } from '../actors/connectors.ts'
import type { SchemaRegistry } from '../runtime/adapters/kafka/schema-registry.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import type { Clock } from '../runtime/ports/clock.ts'
import type { Fetched, LogReader } from '../runtime/ports/log.ts'
import type { Publisher } from '../runtime/ports/publisher.ts'

const retryMs = 1_000

/** A log whose records are handed out once their schemas are known. */
export class ResolvingReader implements LogReader {
  private readonly inner: LogReader
  private readonly part: RegistryPart
  private readonly registry: SchemaRegistry
  private readonly clock: Clock
  private readonly troubled: (error: CodedError) => void
  readonly lookAgainMs?: number
  private closed = false

  constructor(
    inner: LogReader,
    part: RegistryPart,
    registry: SchemaRegistry,
    clock: Clock,
    troubled: (error: CodedError) => void
  ) {
    this.inner = inner
    this.part = part
    this.registry = registry
    this.clock = clock
    this.troubled = troubled
    if (inner.lookAgainMs !== undefined) this.lookAgainMs = inner.lookAgainMs
  }

  partitions(): ReturnType<LogReader['partitions']> {
    return this.inner.partitions()
  }
  gone(names: readonly string[]): Promise<boolean> {
    return this.inner.gone?.(names) ?? Promise.resolve(false)
  }
  start(partition: number, from: 'earliest' | 'latest'): Promise<number> {
    return this.inner.start(partition, from)
  }

  async fetch(partition: number, position: number, maxBytes: number, waitMs: number): Promise<Fetched> {
    const got = await this.inner.fetch(partition, position, maxBytes, waitMs)
    if (got.kind !== 'records') return got
    for (let i = 0; i < got.batch.count; i++) {
      const value = got.batch.value(i)
      const id = value === undefined ? undefined : this.part.unknown(value)
      if (id !== undefined) await this.learn(id)
      if (this.closed) return { kind: 'caught-up', next: position }
    }
    return got
  }

  /** Until the registry has answered: a record is not given up because nobody is there to ask. */
  private async learn(id: number): Promise<void> {
    while (!this.closed)
      try {
        const schema = await this.registry.schema(id)
        if (schema.kind === 'unusable') this.part.refuse(id, schema.why)
        else this.part.learn(id, schema.text, schema.before)
        return
      } catch (error) {
        if (!(error instanceof CodedError) || !error.retriable) throw error
        this.troubled(error)
        await new Promise<void>(resolve => this.clock.after(retryMs, resolve))
      }
  }

  reached(positions: readonly { readonly partition: number; readonly position: number }[]): void {
    this.inner.reached?.(positions)
  }

  close(): Promise<void> {
    this.closed = true
    return this.inner.close()
  }
}

/** A sink whose schema is registered, and so checked against those before it, when it is first described. */
export function registering(
  inner: Publisher,
  part: RegistryPart,
  subject: string,
  registry: SchemaRegistry
): Publisher {
  return {
    async describe() {
      part.writeAs(await registry.id(part.subject ?? subject, part.schema, part.register))
      return inner.describe()
    },
    ...(inner.sources === undefined ? {} : { sources: inner.sources }),
    initialise: slot => inner.initialise(slot),
    close: () => inner.close()
  }
}
