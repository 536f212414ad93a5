/** What a run of a job left for its user: rows in the sinks, fields of the actors. As texts, so that two runs can be compared. */
import { inspect } from 'node:util'
import type { ValueCodec } from '../../actors/connectors.ts'
import type { Plan } from '../../actors/plan.ts'
import { deadLettersName } from '../../runtime/core/topology.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import type { RunEvidence } from '../checkers/evidence.ts'
import type { StageState } from './stage-states.ts'

export interface RunOutcome {
  /** By sink. */
  readonly rows: ReadonlyMap<string, SinkRows>
  /** By stage, by key. */
  readonly state: ReadonlyMap<string, ReadonlyMap<string, string>>
}
export interface SinkRows {
  readonly exactlyOnce: boolean
  readonly rows: readonly Row[]
}
export interface Row {
  /** '' where the sink has no key. */
  readonly key: string
  readonly text: string
}

export interface SinkOutput {
  readonly name: string
  readonly codec: ValueCodec
  readonly exactlyOnce: boolean
  /** In the order of publication. */
  readonly records: readonly OutputRecord[]
}

export function outputsOf(plan: Plan, { publications, loose }: RunEvidence): SinkOutput[] {
  const sinks = plan.nodes.flatMap(node =>
    node.kind === 'sink'
      ? [{ name: node.name, codec: node.sink.codec, exactlyOnce: node.delivery === 'exactly-once' }]
      : []
  )
  return [...sinks, { name: deadLettersName, codec: plan.deadLetters.codec, exactlyOnce: true }].map(sink => ({
    ...sink,
    records: [
      ...publications.filter(({ slot }) => slot.sink === sink.name).flatMap(({ records }) => records),
      ...(loose.get(sink.name) ?? [])
    ]
  }))
}

/** @param stages of the last checkpoint */
export function outcomeOf(outputs: readonly SinkOutput[], stages: readonly StageState[]): RunOutcome {
  const rows = outputs.map(({ name, exactlyOnce, records }) => {
    const texts = records.map(({ key, value }) => ({ key: textOf(key), text: textOf(value) }))
    return [name, { exactlyOnce, rows: texts }] as const
  })
  const state = stages.map(stage => {
    const texts = stage.keys.map(key => [key, fieldsText(stage.fields(key))] as const)
    return [stage.node.name, new Map(texts)] as const
  })
  return { rows: new Map(rows), state: new Map(state) }
}

export function fieldsText(fields: Readonly<Record<string, unknown>> | undefined): string {
  return inspect(fields, {
    depth: 64,
    sorted: true,
    breakLength: Infinity,
    maxArrayLength: null,
    maxStringLength: null
  })
}

const textOf = (bytes: Uint8Array | undefined): string => (bytes === undefined ? '' : new TextDecoder().decode(bytes))

/** One difference between two runs. */
export interface Difference {
  /** `sink "receipts"`, `stage "Account"` */
  readonly place: string
  /** What, where, expected, found. */
  readonly sentence: string
}

export function compareOutcomes(expected: RunOutcome, found: RunOutcome): Difference[] {
  const sinks = [...expected.rows].flatMap(([sink, model]) => {
    const rows = found.rows.get(sink)?.rows ?? []
    return compareRows(model, rows).map(sentence => ({
      place: `sink "${sink}"`,
      sentence: `sink "${sink}"${sentence}`
    }))
  })
  const stages = [...expected.state].flatMap(([stage, model]) => {
    const other = found.state.get(stage) ?? new Map<string, string>()
    return [...new Set([...model.keys(), ...other.keys()])].flatMap(key => {
      const [is, must] = [other.get(key) ?? 'absent', model.get(key) ?? 'absent']
      if (is === must) return []
      return [{ place: `stage "${stage}"`, sentence: `stage "${stage}", key ${key}: expected ${must}, found ${is}` }]
    })
  })
  return [...sinks, ...stages]
}

/** As often, and for each key of the sink in the same order. */
function compareRows({ exactlyOnce, rows: model }: SinkRows, found: readonly Row[]): string[] {
  const [wanted, there] = [counted(model), counted(found)]
  const sentences = [...new Set([...wanted.keys(), ...there.keys()])].flatMap(row => {
    const [must, is] = [wanted.get(row) ?? 0, there.get(row) ?? 0]
    if (must === is || (!exactlyOnce && must > 0 && is > must)) return []
    return [`: expected ${times(must)} ${short(row)}, found it ${times(is)}`]
  })
  if (sentences.length > 0 || !exactlyOnce) return sentences
  const orders = [byKey(model), byKey(found)] as const
  for (const [key, texts] of orders[0]) {
    const at = texts.findIndex((text, i) => text !== orders[1].get(key)?.[i])
    if (key !== '' && at >= 0)
      return [
        `, key ${key}: row ${at} is out of order: expected ${short(texts[at] ?? '')}, found ${short(orders[1].get(key)?.[at] ?? '')}`
      ]
  }
  return []
}

function counted(rows: readonly Row[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const { text } of rows) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}

function byKey(rows: readonly Row[]): Map<string, string[]> {
  const found = new Map<string, string[]>()
  for (const { key, text } of rows) found.set(key, [...(found.get(key) ?? []), text])
  return found
}

const times = (count: number): string => (count === 0 ? 'not at all' : count === 1 ? 'once' : `${count} times`)
const short = (text: string): string => (text.length > 300 ? `${text.slice(0, 300)}…` : text)
