/** Kafka's error codes that matter to a transactional producer, and what each means for it. */

/**
 * - `later`: definitely not done, a later attempt may succeed where it is; `elsewhere`: ask another broker;
 * - `fenced`: a newer owner exists; `refused`: these records will never be taken;
 * - `failed`: anything else, nothing may be concluded; what an operator can put right (rights, quotas) is here too, so that no record is
 *   given up for it.
 */
export type ErrorMeaning = 'later' | 'elsewhere' | 'fenced' | 'refused' | 'failed'

const table: Readonly<Record<number, readonly [name: string, meaning: ErrorMeaning]>> = {
  [-1]: ['UNKNOWN_SERVER_ERROR', 'failed'],
  1: ['OFFSET_OUT_OF_RANGE', 'failed'],
  2: ['CORRUPT_MESSAGE', 'failed'],
  3: ['UNKNOWN_TOPIC_OR_PARTITION', 'elsewhere'],
  5: ['LEADER_NOT_AVAILABLE', 'elsewhere'],
  6: ['NOT_LEADER_OR_FOLLOWER', 'elsewhere'],
  7: ['REQUEST_TIMED_OUT', 'failed'],
  10: ['MESSAGE_TOO_LARGE', 'refused'],
  13: ['NETWORK_EXCEPTION', 'failed'],
  14: ['COORDINATOR_LOAD_IN_PROGRESS', 'later'],
  15: ['COORDINATOR_NOT_AVAILABLE', 'elsewhere'],
  16: ['NOT_COORDINATOR', 'elsewhere'],
  17: ['INVALID_TOPIC_EXCEPTION', 'failed'],
  18: ['RECORD_LIST_TOO_LARGE', 'refused'],
  19: ['NOT_ENOUGH_REPLICAS', 'failed'],
  20: ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'failed'],
  29: ['TOPIC_AUTHORIZATION_FAILED', 'failed'],
  30: ['GROUP_AUTHORIZATION_FAILED', 'failed'],
  31: ['CLUSTER_AUTHORIZATION_FAILED', 'failed'],
  32: ['INVALID_TIMESTAMP', 'refused'],
  33: ['UNSUPPORTED_SASL_MECHANISM', 'failed'],
  34: ['ILLEGAL_SASL_STATE', 'failed'],
  35: ['UNSUPPORTED_VERSION', 'failed'],
  36: ['TOPIC_ALREADY_EXISTS', 'failed'],
  37: ['INVALID_PARTITIONS', 'failed'],
  38: ['INVALID_REPLICATION_FACTOR', 'failed'],
  40: ['INVALID_CONFIG', 'failed'],
  41: ['NOT_CONTROLLER', 'elsewhere'],
  42: ['INVALID_REQUEST', 'failed'],
  44: ['POLICY_VIOLATION', 'failed'],
  45: ['OUT_OF_ORDER_SEQUENCE_NUMBER', 'failed'],
  46: ['DUPLICATE_SEQUENCE_NUMBER', 'failed'],
  47: ['INVALID_PRODUCER_EPOCH', 'fenced'],
  48: ['INVALID_TXN_STATE', 'failed'],
  49: ['INVALID_PRODUCER_ID_MAPPING', 'failed'],
  50: ['INVALID_TRANSACTION_TIMEOUT', 'failed'],
  51: ['CONCURRENT_TRANSACTIONS', 'later'],
  53: ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'failed'],
  56: ['KAFKA_STORAGE_ERROR', 'failed'],
  58: ['SASL_AUTHENTICATION_FAILED', 'failed'],
  59: ['UNKNOWN_PRODUCER_ID', 'failed'],
  74: ['FENCED_LEADER_EPOCH', 'elsewhere'],
  75: ['UNKNOWN_LEADER_EPOCH', 'elsewhere'],
  78: ['OFFSET_NOT_AVAILABLE', 'later'],
  87: ['INVALID_RECORD', 'refused'],
  88: ['UNSTABLE_OFFSET_COMMIT', 'later'],
  90: ['PRODUCER_FENCED', 'fenced'],
  120: ['TRANSACTION_ABORTABLE', 'failed']
}

export const nameOfError = (code: number): string => table[code]?.[0] ?? `error ${code}`
export const meaningOf = (code: number): ErrorMeaning => table[code]?.[1] ?? 'failed'

/** A definite answer that is not success. */
export class KafkaRefusal extends Error {
  readonly code: number
  readonly meaning: ErrorMeaning
  override readonly name = 'KafkaRefusal'

  /** @param said the broker's own words */
  constructor(what: string, code: number, said?: string) {
    super(`${what}: ${nameOfError(code)}${said === undefined ? '' : ` (${said})`}`)
    this.code = code
    this.meaning = meaningOf(code)
  }
}
