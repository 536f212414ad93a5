/** Change events of Debezium, which tell what happened to a row of a database: with their schema around them or without. */
import { json, type Codec } from './codecs.ts'

export interface Change<Row> {
  /** `read`: the row was there when the connector began. */
  readonly kind: 'insert' | 'update' | 'delete' | 'read'
  /** Undefined where there is none, or where the database does not tell. */
  readonly before: Row | undefined
  readonly after: Row | undefined
  /** When the connector saw it, ms since 1970. */
  readonly at: number
  readonly source: Readonly<Record<string, unknown>>
}

const kinds: Readonly<Record<string, Change<unknown>['kind']>> = { c: 'insert', u: 'update', d: 'delete', r: 'read' }
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/**
 * For a source. The envelope is taken from `envelope`, JSON by default (or `registered` Avro). The tombstone that follows a delete is
 * `undefined`, as of any topic. It cannot write.
 */
export function debezium<Row>(envelope: Codec<unknown> = json<unknown>()): Codec<Change<Row>> {
  return {
    ...(envelope.registry === undefined ? {} : { registry: envelope.registry }),
    name: 'debezium',
    decode(bytes) {
      const read = envelope.decode(bytes)
      const event = isObject(read) && isObject(read['payload']) ? read['payload'] : read
      if (!isObject(event)) throw new TypeError('this is no change event: it is no object')
      const { op, before, after, ts_ms: at, source } = event
      const kind = typeof op === 'string' && Object.hasOwn(kinds, op) ? kinds[op] : undefined
      if (kind === undefined) throw new TypeError(`this is no change of a row: op is ${JSON.stringify(op)}`)
      const needed = kind === 'delete' ? undefined : after
      if (kind !== 'delete' && !isObject(needed)) throw new TypeError(`this is no change event: ${kind} without after`)
      return {
        kind,
        before: (before ?? undefined) as Row | undefined,
        after: (after ?? undefined) as Row | undefined,
        at: typeof at === 'number' ? at : NaN,
        source: isObject(source) ? source : {}
      }
    },
    encode() {
      throw new TypeError('change events are read, not written')
    }
  }
}
