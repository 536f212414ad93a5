/** What is sent again: which record of which source, where it goes, and what is added to it. */
import type { SourceSpec } from '../actors/connectors.ts'
import type { SourceRecord } from '../runtime/core/dead-letter.ts'
import type { OutputRecord } from '../runtime/ports/log.ts'
import type { LetterFilter } from './dead-letters.ts'

export const redrivenHeader = 'cairn-redriven'

export interface RedriveQuery extends LetterFilter {
  /** The oldest so many records. */
  readonly limit: number
  /** Say what would be done. */
  readonly dryRun: boolean
}
/** A record that its topic does not take. Its letter stays, and it is tried again when its letter is redriven again. */
export interface RefusedLetter {
  readonly id: string
  /** Why, and what to do. */
  readonly error: string
}
/** What becomes of the letters, as it is found out. */
export interface Tally {
  /** How many letters were read. */
  read: number
  readonly redriven: string[]
  readonly refused: RefusedLetter[]
  already: number
  noRecord: number
  elsewhere: number
  gone: number
}

/** A record of a source, in the topic that it was read from. */
interface PlaceOf<Connector extends 'log' | 'kafka'> {
  readonly id: string
  readonly source: Extract<SourceSpec, { readonly connector: Connector }>
  /** Of the source. */
  readonly name: string
  /** As the source counts them. */
  readonly partition: number
  readonly offset: number
  /** Where the letter itself holds it. */
  readonly held: (SourceRecord & { readonly timestamp: number }) | undefined
}
export type LogPlace = PlaceOf<'log'>
export type KafkaPlace = PlaceOf<'kafka'>

/** The record as it is sent again. */
export function copyOf<Record extends OutputRecord>(id: string, record: Record): Record {
  const headers = (record.headers ?? []).filter(({ name }) => name !== redrivenHeader)
  return { ...record, headers: [...headers, { name: redrivenHeader, value: new TextEncoder().encode(id) }] }
}
