/** A key's decoded state in the model's words. */
import type { Item } from '../workload/program.ts'
import {
  normalActor,
  normalDedupe,
  normalWindow,
  weightOfActor,
  type ActorFields,
  type HeldTotals
} from '../workload/normal-state.ts'
import type { StageShape } from '../workload/shape.ts'
import { addHash } from '../workload/program.ts'
import type { KeyState } from './checkpoint-walk.ts'

interface Pane {
  readonly acc: unknown
}
interface Session extends Pane {
  readonly start: number
  readonly end: number
}

/** undefined: the key has no state. */
export function stateText(shape: StageShape, state: KeyState | undefined): string | undefined {
  if (state?.fields === undefined) return state === undefined ? undefined : 'only entries of a durable map'
  switch (shape.kind) {
    case 'actor':
      return normalActor(state.fields as unknown as ActorFields, state.map)
    case 'window':
      return normalWindow(heldBy(state))
    case 'dedupe':
      return normalDedupe(state.fields['until'] as number)
  }
}

/** What the key holds; a window that slides has only copies, which weigh nothing. */
export function weightOf(shape: StageShape, state: KeyState | undefined): number {
  if (state?.fields === undefined) return 0
  switch (shape.kind) {
    case 'actor':
      return weightOfActor(state.fields as unknown as ActorFields, state.map)
    case 'window':
      return heldBy(state).w
    case 'dedupe':
      return 0
  }
}

/** When the open windows of a key end, the last one of each pane. */
export function openEnds(shape: StageShape, state: KeyState | undefined): number[] {
  if (shape.kind !== 'window' || state?.fields === undefined) return []
  if (shape.window === 'session') return (state.fields['sessions'] as readonly Session[]).map(({ end }) => end)
  const { sizeMs, offsetMs } = shape
  const everyMs = shape.window === 'tumbling' ? sizeMs : shape.everyMs
  return [...(state.fields['panes'] as ReadonlyMap<number, Pane>).keys()].map(
    start => offsetMs + Math.floor((start - offsetMs) / everyMs) * everyMs + sizeMs
  )
}

function heldBy({ fields }: KeyState): HeldTotals {
  const { panes, sessions } = fields as { panes?: ReadonlyMap<number, Pane>; sessions?: readonly Pane[] }
  const held = { n: 0, w: 0, h: 0 }
  for (const { acc } of panes?.values() ?? sessions ?? [])
    if (Array.isArray(acc)) {
      const [n, w, h] = acc as [number, number, number]
      held.n += n
      held.w += w
      held.h = (held.h + h) >>> 0
    } else
      for (const item of (acc as { readonly values: readonly Item[] }).values) {
        held.n++
        held.w += item.w
        held.h = addHash(held.h, item.id)
      }
  return held
}
