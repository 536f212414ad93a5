/**
 * Loops of a plan: stages that reach themselves, by sends or by what they emit. Of the ways between the stages of a loop some go
 * back: without them no loop is left, and every stage is still reached from the sources.
 */
import type { ActorNode, Plan, SourceNode } from './plan.ts'

/** By the places of two stages in a list. */
export interface Way {
  readonly from: number
  readonly to: number
}

export interface Loops {
  /** The stages of each loop, ascending: those that reach each other. */
  readonly loops: readonly (readonly number[])[]
  /** Of each way: both its ends are in one loop. */
  readonly cycle: readonly boolean[]
  /** Of each way: it leads back to where the sources come in. */
  readonly back: readonly boolean[]
  /** Stages that nothing comes to but themselves. */
  readonly unreached: readonly number[]
}

/** Depth first from the stages that nothing leads to, in their order. */
export function findLoops(stages: number, ways: readonly Way[]): Loops {
  const next = Array.from({ length: stages }, () => [] as number[])
  ways.forEach((way, index) => (next[way.from] as number[]).push(index))
  const reach = Array.from({ length: stages }, (_, from) => reachable(from, next, ways))
  const mutual = (a: number, b: number): boolean => reach[a]?.has(b) === true && reach[b]?.has(a) === true
  const loops: number[][] = []
  for (let stage = 0; stage < stages; stage++) {
    if (!mutual(stage, stage)) continue
    const known = loops.find(([first]) => mutual(first as number, stage))
    if (known === undefined) loops.push([stage])
    else known.push(stage)
  }
  const back = ways.map(() => false)
  const seen = new Set<number>()
  const path = new Set<number>()
  const visit = (stage: number): void => {
    seen.add(stage)
    path.add(stage)
    for (const index of next[stage] ?? []) {
      const { to } = ways[index] as Way
      if (path.has(to)) back[index] = true
      else if (!seen.has(to)) visit(to)
    }
    path.delete(stage)
  }
  for (let stage = 0; stage < stages; stage++) if (!ways.some(way => way.to === stage)) visit(stage)
  const unreached: number[] = []
  for (let stage = 0; stage < stages; stage++)
    if (!seen.has(stage)) {
      unreached.push(stage)
      visit(stage)
      for (const other of reach[stage] ?? []) if (!unreached.includes(other)) unreached.push(other)
    }
  return { loops, cycle: ways.map(({ from, to }) => mutual(from, to)), back, unreached }
}

function reachable(from: number, next: readonly (readonly number[])[], ways: readonly Way[]): Set<number> {
  const found = new Set<number>()
  const open = [from]
  for (let stage = open.pop(); stage !== undefined; stage = open.pop())
    for (const index of next[stage] ?? []) {
      const { to } = ways[index] as Way
      if (found.has(to)) continue
      found.add(to)
      open.push(to)
    }
  return found
}

/** Sources and actors of a plan, and which hands on to which. */
export function stageWays(plan: Plan): { readonly stages: readonly (SourceNode | ActorNode)[]; readonly ways: Way[] } {
  const stages = plan.nodes.filter(node => node.kind === 'source' || node.kind === 'actor')
  const ways: Way[] = []
  stages.forEach((stage, from) => {
    const ports = new Set([stage.id])
    for (const node of plan.nodes) {
      if (node.kind === 'source' || node.kind === 'sink' || node.kind === 'actor') continue
      const inputs = node.kind === 'union' ? node.inputs : [node.input]
      if (inputs.some(input => ports.has(input.node))) ports.add(node.id)
    }
    stages.forEach((other, to) => {
      if (other.kind !== 'actor') return
      const sent = stage.kind === 'actor' && stage.sends.includes(other.actor)
      if (sent || other.inputs.some(input => ports.has(input))) ways.push({ from, to })
    })
  })
  return { stages, ways }
}
