/** Headers that a sink's `headers` function chooses for a value. */
import type { SinkNode } from '../../actors/plan.ts'
import type { RecordHeader } from '../kernel/record-header.ts'

const encoder = new TextEncoder()

/** Throws a TypeError when it is no table of text and bytes, and what the function throws. */
export function sinkHeaders({ name: sink, sink: spec }: SinkNode, value: unknown): readonly RecordHeader[] | undefined {
  const choose = 'headers' in spec ? (spec.headers as ((value: unknown) => unknown) | undefined) : undefined
  if (choose === undefined) return undefined
  const chosen = choose(value)
  if (chosen === undefined) return undefined
  if (typeof chosen !== 'object' || chosen === null || Array.isArray(chosen))
    throw new TypeError(`sink "${sink}": headers gave ${JSON.stringify(chosen)}, not a table of names and values`)
  const headers: RecordHeader[] = []
  for (const [name, given] of Object.entries(chosen)) {
    if (given === undefined) continue
    if (typeof given !== 'string' && !(given instanceof Uint8Array))
      throw new TypeError(`sink "${sink}": header "${name}" is a ${typeof given}; it must be text or bytes`)
    // A copy: what the function returned may change later.
    headers.push({ name, value: typeof given === 'string' ? encoder.encode(given) : Uint8Array.from(given) })
  }
  return headers.length === 0 ? undefined : headers
}
