/**
 * The physical plan: stages, the exchanges between them, and what is fused behind each stage's outputs. Stateless steps are
 * always fused into the task before them; an exchange stands only at keyBy and sends.
 */
import type { Actor, ActorClass } from '../../actors/actor.ts'
import { findLoops, type Way } from '../../actors/loops.ts'
import type { ActorNode, NodeId, Plan, SinkNode, SourceNode } from '../../actors/plan.ts'
import { assert } from '../kernel/errors.ts'

/** What happens to a value that leaves an output of a stage: a tree whose leaves are exchanges and sinks. */
export type Step =
  | { readonly kind: 'map'; readonly f: (value: unknown) => unknown; readonly next: readonly Step[] }
  | { readonly kind: 'flatMap'; readonly f: (value: unknown) => Iterable<unknown>; readonly next: readonly Step[] }
  | { readonly kind: 'filter'; readonly f: (value: unknown) => boolean; readonly next: readonly Step[] }
  | {
      readonly kind: 'exchange'
      readonly f: (value: unknown) => unknown
      readonly edge: number
      readonly aligned: boolean
    }
  | { readonly kind: 'sink'; readonly sink: SinkNode }
  | { readonly kind: 'tap'; readonly handle: string }

/** All tasks of `from` are connected to all tasks of `to`. */
export interface Edge {
  readonly index: number
  readonly from: number
  readonly to: number
  /** Both ends are in one loop: what is under way on it is recorded at a barrier, and it never withholds credit. */
  readonly cycle: boolean
  /** It closes a loop: it does not hold the watermark. */
  readonly back: boolean
}

interface StageBase {
  readonly index: number
  readonly name: string
  /** Fused steps by output name; `main` is always there. */
  readonly outputs: ReadonlyMap<string, readonly Step[]>
  /** Sinks of this stage (fused steps' leaves). */
  readonly sinks: readonly SinkNode[]
}
export interface SourceStage extends StageBase {
  readonly kind: 'source'
  readonly node: SourceNode
}
export interface KeyedStage extends StageBase {
  readonly kind: 'keyed'
  readonly node: ActorNode
  readonly inputs: readonly Edge[]
  /** Edge to each stage that this stage's handlers may send to. */
  readonly sends: ReadonlyMap<ActorClass<Actor>, number>
}
export type Stage = SourceStage | KeyedStage

export interface StageGraph {
  readonly plan: Plan
  readonly stages: readonly Stage[]
  readonly edges: readonly Edge[]
  /** Stages that reach each other, by index; in order. */
  readonly loops: readonly (readonly number[])[]
}

export function buildStageGraph(plan: Plan): StageGraph {
  const stageNodes = plan.nodes.filter(node => node.kind === 'source' || node.kind === 'actor')
  const stageOf = new Map<NodeId, number>(stageNodes.map((node, index) => [node.id, index]))
  const ways: (Way & { readonly index: number })[] = []
  const way = (from: number, to: number): number => {
    const index = ways.length
    ways.push({ index, from, to })
    return index
  }

  const stepsAfter = (node: NodeId, output: string, from: number, sinks: SinkNode[]): Step[] => {
    const steps: Step[] = []
    const taps = Object.values(plan.handles).filter(
      handle => handle.kind === 'stream' && handle.port.node === node && handle.port.output === output
    )
    for (const tap of taps) steps.push({ kind: 'tap', handle: tap.name })
    for (const next of plan.nodes) {
      if (next.kind === 'source' || next.kind === 'actor') continue
      const inputs = next.kind === 'union' ? next.inputs : [next.input]
      for (const input of inputs) {
        if (input.node !== node || input.output !== output) continue
        if (next.kind === 'union') steps.push(...stepsAfter(next.id, 'main', from, sinks))
        else if (next.kind === 'sink') {
          if (!sinks.includes(next)) sinks.push(next)
          steps.push({ kind: 'sink', sink: next })
        } else if (next.kind === 'keyBy') {
          for (const target of stageNodes) {
            if (target.kind !== 'actor' || !target.inputs.includes(next.id)) continue
            const to = stageOf.get(target.id)
            assert(to !== undefined, `no stage for node ${target.id}`)
            const [f, aligned] = [next.f as (value: unknown) => unknown, next.aligned === true]
            steps.push({ kind: 'exchange', f, aligned, edge: way(from, to) })
          }
        } else {
          const after = stepsAfter(next.id, 'main', from, sinks)
          if (next.kind === 'map') steps.push({ kind: 'map', f: next.f as (value: unknown) => unknown, next: after })
          else if (next.kind === 'filter')
            steps.push({ kind: 'filter', f: next.f as (value: unknown) => boolean, next: after })
          else steps.push({ kind: 'flatMap', f: next.f as (value: unknown) => Iterable<unknown>, next: after })
        }
      }
    }
    return steps
  }

  const drafts = stageNodes.map((node, index) => {
    const sinks: SinkNode[] = []
    const outputs = new Map<string, readonly Step[]>()
    const names = node.kind === 'actor' ? ['main', ...Object.keys(node.actor.outputs ?? {})] : ['main']
    for (const name of names) outputs.set(name, stepsAfter(node.id, name, index, sinks))
    const sends = new Map<ActorClass<Actor>, number>()
    if (node.kind === 'actor')
      for (const target of node.sends) {
        const to = stageNodes.findIndex(other => other.kind === 'actor' && other.actor === target)
        assert(to >= 0, `send to an actor without a stage: ${target.name}`)
        sends.set(target, way(index, to))
      }
    return { node, index, sinks, outputs, sends }
  })

  const { loops, cycle, back } = findLoops(stageNodes.length, ways)
  const edges = ways.map((each): Edge => ({
    ...each,
    cycle: cycle[each.index] === true,
    back: back[each.index] === true
  }))
  const stages = drafts.map((draft): Stage => {
    const base = { index: draft.index, name: draft.node.name, outputs: draft.outputs, sinks: draft.sinks }
    if (draft.node.kind === 'source') return { ...base, kind: 'source', node: draft.node }
    return {
      ...base,
      kind: 'keyed',
      node: draft.node,
      inputs: edges.filter(candidate => candidate.to === draft.index),
      sends: draft.sends
    }
  })
  return { plan, stages, edges, loops }
}
