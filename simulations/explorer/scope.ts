/** How much may happen in one exploration. Everything within these bounds is tried. */
export interface Scope {
  /** Events to handle; each epoch takes one more. */
  readonly inputs: number
  /** Incarnations, both workers together. */
  readonly boots: number
  readonly crashes: number
  /** Requests whose client stops waiting: they may still be carried out at any later time, or never. */
  readonly giveUps: number
  /** Epochs that take too long. */
  readonly timeouts: number
  /** Checkpoints kept. */
  readonly retained: number
  /** The decision log's `kept`; 0 = it is never pruned. */
  readonly kept: number
  /** Ledger entries that expire (F29). */
  readonly ledgerLosses: number
  /** Newest decisions that the storage forgets (F60). */
  readonly decisionLosses: number
}

/** What is left of the scope. */
export type Budget = Pick<Scope, 'boots' | 'crashes' | 'giveUps' | 'timeouts' | 'ledgerLosses' | 'decisionLosses'>

const plain: Scope = {
  inputs: 2,
  boots: 2,
  crashes: 1,
  giveUps: 1,
  timeouts: 1,
  retained: 1,
  kept: 0,
  ledgerLosses: 0,
  decisionLosses: 0
}

export const scopes = {
  failover: plain,
  pruning: { ...plain, kept: 1, giveUps: 0, crashes: 0, timeouts: 0 },
  ledgerLoss: { ...plain, ledgerLosses: 1, inputs: 1, giveUps: 0 },
  decisionLoss: { ...plain, decisionLosses: 1, giveUps: 0, timeouts: 0 }
} as const satisfies Record<string, Scope>
