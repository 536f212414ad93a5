/** The publisher of a job's exactly-once sink on a real cluster. */
import type { Clock } from '../../ports/clock.ts'
import type { KafkaCluster } from './kafka-options.ts'
import { KafkaPublisher, type KafkaPublisherOptions } from './kafka-publisher.ts'
import { reachKafka } from './kafka-sockets.ts'

export interface OpenPublisherOptions extends Pick<
  KafkaPublisherOptions,
  'transactionTimeoutMs' | 'initialiseMs' | 'compression' | 'told'
> {
  readonly job: string
  readonly topic: string
  /** Of the stage that has most: so many partitions has a ledger topic that is made here. */
  readonly slots: number
  readonly clock: Clock
  /** Default `ledgerTopicOf(job)`. Never another one for the same job: what was published is known only there. */
  readonly ledgerTopic?: string
}

/** Jobs have names of letters, digits, `-` and `_`, which topics may have, too. */
export const ledgerTopicOf = (job: string): string => `cairn-${job}-ledger`

/** Connects at the first call. */
export function openKafkaPublisher(cluster: KafkaCluster, options: OpenPublisherOptions): KafkaPublisher {
  const { job, slots, ledgerTopic = ledgerTopicOf(job), ...others } = options
  return new KafkaPublisher({
    ...others,
    ...reachKafka(cluster),
    clientId: `cairn-${job}`,
    ledgerTopic,
    ledgerPartitions: slots
  })
}
