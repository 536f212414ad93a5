/** Brokers that answer what a test tells them to. */
import type { Ended } from '../../../runtime/kafka-protocol/connection-machine.ts'
import type { ApiName, ReplyOf } from '../../../runtime/kafka-protocol/messages.ts'
import { ClusterView, type Ask, type Protocol } from '../../../runtime/kafka-protocol/protocol.ts'
import { SlotTransactions, type SlotTransactionsOptions } from '../../../runtime/kafka-protocol/transaction-machine.ts'

export const metadata = (leaderEpoch = 1, leaderId = 1): ReplyOf<'Metadata'> => ({
  throttleTimeMs: 0,
  brokers: [1, 2].map(nodeId => ({ nodeId, host: `kafka${nodeId}`, port: 9092, rack: null })),
  clusterId: null,
  controllerId: 1,
  clusterAuthorizedOperations: 0,
  topics: ['out', 'ledger'].map(name => ({
    errorCode: 0,
    name,
    topicId: new Uint8Array(16),
    isInternal: false,
    topicAuthorizedOperations: 0,
    partitions: [0, 1].map(partitionIndex => ({
      errorCode: 0,
      partitionIndex,
      leaderId,
      leaderEpoch,
      replicaNodes: [],
      isrNodes: [],
      offlineReplicas: []
    }))
  }))
})

export const coordinator = (): ReplyOf<'FindCoordinator'> => ({
  throttleTimeMs: 0,
  errorCode: 0,
  errorMessage: null,
  nodeId: -1,
  host: '',
  port: 0,
  coordinators: [{ key: 'id', nodeId: 2, host: 'kafka2', port: 9092, errorCode: 0, errorMessage: null }]
})

export type Answer = { readonly reply: unknown } | 'lost' | 'unsent'

/** What is answered to each request, in order of its kind; asks are written down. */
export class Cluster {
  readonly asked: Ask[] = []
  readonly view = new ClusterView()
  now = 0
  version = 2
  readonly answers: Partial<Record<ApiName, Answer[]>> = {}

  on(name: ApiName, ...answers: Answer[]): this {
    ;(this.answers[name] ??= []).push(...answers)
    return this
  }

  private end(ask: Ask): Ended {
    this.asked.push(ask)
    const answer = this.answers[ask.name]?.shift()
    if (answer === undefined) throw new Error(`nobody expected ${ask.name}`)
    if (answer === 'lost' || answer === 'unsent') return { kind: answer, error: new Error(answer) }
    const abilities = { versions: new Map(), transactionVersion: this.version }
    return { kind: 'answered', reply: answer.reply, abilities }
  }

  run<T>(protocol: Protocol<T>): T {
    for (let told = { now: this.now, ended: [] as Ended[] }; ;) {
      const step = protocol.next(told)
      if (step.done === true) return step.value
      const { value } = step
      this.now += value.kind === 'wait' ? value.ms : 1
      told = { now: this.now, ended: value.kind === 'ask' ? value.asks.map(ask => this.end(ask)) : [] }
    }
  }

  names(): string[] {
    return this.asked.splice(0).map(({ name }) => name)
  }
}

/** Of a slot on it; nothing is asked yet. */
export const slot = (
  { view }: Cluster,
  change: Partial<Pick<SlotTransactionsOptions, 'maxBatchBytes' | 'groupOffsets'>> = {}
): SlotTransactions =>
  new SlotTransactions({
    view,
    topic: 'out',
    ledgerTopic: 'ledger',
    ledgerPartition: 1,
    transactionalId: 'id',
    maxBatchBytes: 1000,
    transactionTimeoutMs: 1000,
    initialiseMs: 1000,
    ...change
  })
