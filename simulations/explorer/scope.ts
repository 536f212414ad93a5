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
  /** As in a cluster: "leads" comes before checkpoint 0 and "begins". */
  readonly leads: boolean
  /** Kafka's transactions before KIP-890: several requests each, the last of which a client may send twice (KAFKA-17754). */
  readonly oldProtocol: boolean
  /** Checkpoints kept. */
  readonly retained: number
  /** The decision log's `kept`; 0 = it is never pruned. */
  readonly kept: number
  /** Ledger entries that expire (F29). */
  readonly ledgerLosses: number
  /** Newest decisions that the storage forgets (F60). */
  readonly decisionLosses: number
  /** Starts that go back to `restore`, once something was decided after it. */
  readonly forks: number
  /** The checkpoint to which they go back, by its number in the newest lineage. */
  readonly restore: number
  /** Until the first fork one worker runs and does not crash: what else may happen then, other scopes explore. */
  readonly calmUntilFork: boolean
}

/** What is left of the scope. */
export type Budget = Pick<
  Scope,
  'boots' | 'crashes' | 'giveUps' | 'timeouts' | 'ledgerLosses' | 'decisionLosses' | 'forks'
>

const calm: Scope = {
  inputs: 2,
  boots: 2,
  crashes: 0,
  giveUps: 0,
  timeouts: 0,
  leads: false,
  oldProtocol: false,
  retained: 1,
  kept: 0,
  ledgerLosses: 0,
  decisionLosses: 0,
  forks: 0,
  restore: 0,
  calmUntilFork: false
}
const fork: Scope = { ...calm, inputs: 1, boots: 1, retained: 2, forks: 1, calmUntilFork: true }

/** Small: a violation is found in them when a rule is missing. */
export const scopes = {
  failover: { ...calm, crashes: 1, giveUps: 1, timeouts: 1 },
  pruning: { ...calm, kept: 1 },
  ledgerLoss: { ...calm, ledgerLosses: 1, inputs: 1 },
  decisionLoss: { ...calm, decisionLosses: 1 },
  oldProtocol: { ...calm, inputs: 1, oldProtocol: true, giveUps: 1 },
  fork
} as const satisfies Record<string, Scope>

/** Explored to their ends: together less than a minute. */
export const fullScopes: Readonly<Record<string, Scope>> = {
  'two leaders, two epochs': calm,
  'an abandoned epoch, a crash': { ...calm, inputs: 1, crashes: 1, timeouts: 1 },
  'a leader before a generation, a crash': { ...calm, inputs: 1, leads: true, crashes: 1 },
  'a lost or late reply': { ...calm, inputs: 1, giveUps: 1 },
  'old transactions, a crash': { ...calm, inputs: 1, oldProtocol: true, crashes: 1 },
  'pruning, a crash': { ...calm, inputs: 1, kept: 1, crashes: 1 },
  'a ledger entry expires, a crash': { ...calm, inputs: 1, ledgerLosses: 1, crashes: 1 },
  'the storage forgets a decision, a crash': { ...calm, inputs: 1, decisionLosses: 1, crashes: 1 },
  'a fork from under a running job': fork,
  'a fork, a crash': { ...fork, boots: 2, crashes: 1 },
  'a fork, a lost or late reply': { ...fork, giveUps: 1 }
}

/** The same with more at once: minutes. */
export const deepScopes: Readonly<Record<string, Scope>> = {
  'two epochs, a crash': { ...calm, crashes: 1 },
  'three incarnations, a crash': { ...calm, inputs: 1, crashes: 1, boots: 3 },
  'old transactions, a lost or late reply': scopes.oldProtocol,
  'three incarnations, pruning': { ...calm, inputs: 1, kept: 1, boots: 3 },
  'a lost or late reply, a crash': { ...calm, inputs: 1, giveUps: 1, crashes: 1 },
  'a lost or late reply, an abandoned epoch': { ...calm, inputs: 1, giveUps: 1, timeouts: 1 },
  'one leader, two lost or late replies': { ...calm, inputs: 1, giveUps: 2, crashes: 1, boots: 1 },
  'two epochs, pruning': { ...calm, kept: 1 },
  'two epochs, an abandoned one': { ...calm, timeouts: 1 },
  'two forks': { ...fork, forks: 2 },
  'two leaders, one forks, a crash': { ...fork, boots: 2, crashes: 1, calmUntilFork: false },
  'two leaders, one forks, two epochs': { ...fork, boots: 2, inputs: 2, restore: 1 }
}
