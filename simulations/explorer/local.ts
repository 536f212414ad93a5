/** A worker of the exploration as plain data: equal data, equal future. */
import type { Coordinator } from '../../checkpoint/coordinator.ts'
import type { DecidedChunk } from '../../runtime/core/slot-machine.ts'
import type { Answer, LogData, LogOperation } from './log-operation.ts'
import type { Request, StoredFile, StoredManifest, StoredOutbox } from './world.ts'

/** What is done once the log's operation is over. */
export type Then = 'opened' | 'leads' | 'began' | 'started' | 'decided' | 'pruned'

export interface Outstanding {
  readonly tag:
    | 'log'
    | 'manifest'
    | 'retained'
    | 'collect'
    | 'write'
    | 'state'
    | 'prepare'
    | 'remove'
    | 'initialise'
    | 'ledger'
    | 'publish'
    | 'renew'
    | 'add'
    | 'end'
    | 'entry'
  readonly request: Request
  /** Of a `write`: where it belongs; of a `prepare`: its manifest; of a `publish`: its entry. */
  readonly about?: unknown
}

export interface NamedManifest {
  readonly name: string
  readonly manifest: StoredManifest
}

export interface Local {
  name: string
  nonces: number
  phase: 'off' | 'opening' | 'running' | 'halted'
  /** Why it is off or halted. */
  reason: string
  generation: number
  lineage: number
  log: LogData | undefined
  operation: { operation: LogOperation; answers: Answer[]; then: Then; nonces: number } | undefined
  /** A manifest that was not there. */
  missing: string | undefined
  head: NamedManifest | undefined
  retained: NamedManifest[]
  coordinator: Record<string, unknown> | undefined
  slots: Record<string, unknown>[]
  producers: number[]
  /** Inputs read. */
  position: number
  /** Of the manifest that is being written. */
  state: StoredFile | undefined
  acknowledged: StoredOutbox[]
  preparing: NamedManifest | undefined
  doomed: string[]
  out: Outstanding[]
}

/** The real machine carries chunks along without looking into them, so they may bring their records. */
export interface ChunkWithRecords extends DecidedChunk {
  readonly records: readonly string[]
}

export type LocalEvent =
  | { readonly kind: 'boot' }
  /** It starts and goes back to an older checkpoint. */
  | { readonly kind: 'fork' }
  | { readonly kind: 'crash' }
  | { readonly kind: 'trigger' }
  | { readonly kind: 'timeout' }
  /** `null`: the client gave up. */
  | { readonly kind: 'reply'; readonly index: number; readonly reply: Answer }

export function newLocal(name: string, nonces = 0): Local {
  return {
    name,
    nonces,
    phase: 'off',
    reason: '',
    generation: 0,
    lineage: 1,
    log: undefined,
    operation: undefined,
    missing: undefined,
    head: undefined,
    retained: [],
    coordinator: undefined,
    slots: [],
    producers: [],
    position: 0,
    state: undefined,
    acknowledged: [],
    preparing: undefined,
    doomed: [],
    out: []
  }
}

/** Values are never changed, only the lists and the fields that hold them. */
export function copyOf(local: Local): Local {
  const { operation } = local
  return {
    ...local,
    operation: operation && { ...operation, answers: [...operation.answers] },
    retained: [...local.retained],
    producers: [...local.producers],
    acknowledged: [...local.acknowledged],
    doomed: [...local.doomed],
    out: [...local.out]
  }
}

/** Requests are in one order, whatever the order in which they were made. */
export function byText(one: Outstanding, other: Outstanding): number {
  const [a, b] = [JSON.stringify(one), JSON.stringify(other)]
  return a < b ? -1 : a > b ? 1 : 0
}

export function mayTimeOut({ coordinator }: Local): boolean {
  return (coordinator?.['state'] as { readonly step?: string } | undefined)?.step === 'collecting'
}

/** As soon as it may be: time is the explorer's to choose. */
export function asSoonAsItMay(coordinator: Coordinator<number>): number {
  return Math.max(0, coordinator.nextDeadlineMs(true) ?? 0)
}
