/**
 * The requests of a transactional producer that reads its own ledger, in the versions of Kafka 2.5 to 4.x. Names and numbers are those of
 * Kafka's published message definitions.
 */
import {
  api,
  bool,
  bytes,
  int16,
  int32,
  int64,
  int8,
  list,
  nullable,
  since,
  string,
  struct,
  tagged,
  until,
  uuid,
  type Api,
  type ValueOf
} from './schema.ts'

const versionRange = struct({ apiKey: int16, minVersion: int16, maxVersion: int16 })
const feature = struct({ name: string, minVersion: int16, maxVersion: int16 })
const finalizedFeature = struct({ name: string, maxVersionLevel: int16, minVersionLevel: int16 })

const metadataPartition = struct({
  errorCode: int16,
  partitionIndex: int32,
  leaderId: int32,
  leaderEpoch: since(7, int32, -1),
  replicaNodes: list(int32),
  isrNodes: list(int32),
  offlineReplicas: since(5, list(int32))
})

const coordinator = struct({
  key: string,
  nodeId: int32,
  host: string,
  port: int32,
  errorCode: int16,
  errorMessage: nullable(string)
})

const topicPartitions = struct({ name: string, partitions: list(int32) })

const produceReplyPartition = struct({
  index: int32,
  errorCode: int16,
  baseOffset: int64,
  logAppendTimeMs: int64,
  logStartOffset: since(5, int64, -1),
  recordErrors: since(8, list(struct({ batchIndex: int32, message: nullable(string) }))),
  errorMessage: since(8, nullable(string))
})

const offsetRequestPartition = struct({
  partitionIndex: int32,
  currentLeaderEpoch: since(4, int32, -1),
  timestamp: int64
})

const fetchRequestPartition = struct({
  partition: int32,
  currentLeaderEpoch: since(9, int32, -1),
  fetchOffset: int64,
  lastFetchedEpoch: since(12, int32, -1),
  logStartOffset: since(5, int64, -1),
  partitionMaxBytes: int32
})

const fetchReplyPartition = struct({
  partitionIndex: int32,
  errorCode: int16,
  highWatermark: int64,
  lastStableOffset: int64,
  logStartOffset: since(5, int64, -1),
  abortedTransactions: nullable(list(struct({ producerId: int64, firstOffset: int64 }))),
  preferredReadReplica: since(11, int32, -1),
  records: nullable(bytes)
})

const configSynonym = struct({ name: string, value: nullable(string), source: int8 })

const config = struct({
  name: string,
  value: nullable(string),
  readOnly: bool,
  configSource: int8,
  isSensitive: bool,
  synonyms: list(configSynonym),
  configType: since(3, int8),
  documentation: since(3, nullable(string))
})

/** Every transactional request begins with these. */
const producer = { transactionalId: string, producerId: int64, producerEpoch: int16 }
const plainReply = struct({ throttleTimeMs: int32, errorCode: int16 })

export const apis = {
  Produce: api(
    0,
    [3, 12],
    9,
    struct({
      transactionalId: nullable(string),
      acks: int16,
      timeoutMs: int32,
      topics: list(struct({ name: string, partitions: list(struct({ index: int32, records: nullable(bytes) })) }))
    }),
    struct({
      topics: list(struct({ name: string, partitions: list(produceReplyPartition) })),
      throttleTimeMs: int32
    })
  ),
  Fetch: api(
    1,
    [4, 12],
    12,
    struct({
      replicaId: int32,
      maxWaitMs: int32,
      minBytes: int32,
      maxBytes: int32,
      isolationLevel: int8,
      sessionId: since(7, int32),
      sessionEpoch: since(7, int32, -1),
      topics: list(struct({ topic: string, partitions: list(fetchRequestPartition) })),
      forgottenTopics: since(7, list(topicPartitions)),
      rackId: since(11, string)
    }),
    struct({
      throttleTimeMs: int32,
      errorCode: since(7, int16),
      sessionId: since(7, int32),
      topics: list(struct({ topic: string, partitions: list(fetchReplyPartition) }))
    })
  ),
  ListOffsets: api(
    2,
    [2, 10],
    6,
    struct({
      replicaId: int32,
      isolationLevel: int8,
      topics: list(struct({ name: string, partitions: list(offsetRequestPartition) })),
      timeoutMs: since(10, int32)
    }),
    struct({
      throttleTimeMs: int32,
      topics: list(
        struct({
          name: string,
          partitions: list(
            struct({
              partitionIndex: int32,
              errorCode: int16,
              timestamp: int64,
              offset: int64,
              leaderEpoch: since(4, int32, -1)
            })
          )
        })
      )
    })
  ),
  Metadata: api(
    3,
    [4, 12],
    9,
    struct({
      topics: nullable(list(struct({ topicId: since(10, uuid), name: nullable(string, 10) }))),
      allowAutoTopicCreation: bool,
      includeClusterAuthorizedOperations: until(10, since(8, bool)),
      includeTopicAuthorizedOperations: since(8, bool)
    }),
    struct({
      throttleTimeMs: int32,
      brokers: list(struct({ nodeId: int32, host: string, port: int32, rack: nullable(string) })),
      clusterId: nullable(string),
      controllerId: int32,
      topics: list(
        struct({
          errorCode: int16,
          name: nullable(string, 12),
          topicId: since(10, uuid),
          isInternal: bool,
          partitions: list(metadataPartition),
          topicAuthorizedOperations: since(8, int32)
        })
      ),
      clusterAuthorizedOperations: until(10, since(8, int32))
    })
  ),
  OffsetCommit: api(
    8,
    // From 5 on the cluster says how long it is kept.
    [5, 9],
    8,
    struct({
      groupId: string,
      generationId: int32,
      memberId: string,
      groupInstanceId: since(7, nullable(string)),
      topics: list(
        struct({
          name: string,
          partitions: list(
            struct({
              partitionIndex: int32,
              committedOffset: int64,
              committedLeaderEpoch: since(6, int32, -1),
              committedMetadata: nullable(string)
            })
          )
        })
      )
    }),
    struct({
      throttleTimeMs: int32,
      topics: list(struct({ name: string, partitions: list(struct({ partitionIndex: int32, errorCode: int16 })) }))
    })
  ),
  FindCoordinator: api(
    10,
    [1, 6],
    3,
    struct({ key: until(3, string), keyType: int8, coordinatorKeys: since(4, list(string)) }),
    struct({
      throttleTimeMs: int32,
      errorCode: until(3, int16),
      errorMessage: until(3, nullable(string)),
      nodeId: until(3, int32),
      host: until(3, string),
      port: until(3, int32),
      coordinators: since(4, list(coordinator))
    })
  ),
  SaslHandshake: api(
    17,
    [1, 1],
    Infinity,
    struct({ mechanism: string }),
    struct({ errorCode: int16, mechanisms: list(string) })
  ),
  ApiVersions: api(
    18,
    [0, 4],
    3,
    struct({ clientSoftwareName: since(3, string), clientSoftwareVersion: since(3, string) }),
    struct({
      errorCode: int16,
      apiKeys: list(versionRange),
      throttleTimeMs: since(1, int32),
      supportedFeatures: tagged(0, 3, list(feature)),
      finalizedFeaturesEpoch: tagged(1, 3, int64, -1),
      finalizedFeatures: tagged(2, 3, list(finalizedFeature))
    })
  ),
  CreateTopics: api(
    19,
    // From 4 on numbers may be left to the cluster (KIP-464).
    [4, 7],
    5,
    struct({
      topics: list(
        struct({
          name: string,
          numPartitions: int32,
          replicationFactor: int16,
          assignments: list(struct({ partitionIndex: int32, brokerIds: list(int32) })),
          configs: list(struct({ name: string, value: nullable(string) }))
        })
      ),
      timeoutMs: int32,
      validateOnly: bool
    }),
    struct({
      throttleTimeMs: int32,
      topics: list(
        struct({
          name: string,
          topicId: since(7, uuid),
          errorCode: int16,
          errorMessage: nullable(string),
          topicConfigErrorCode: tagged(0, 5, int16),
          numPartitions: since(5, int32, -1),
          replicationFactor: since(5, int16, -1),
          configs: since(
            5,
            nullable(
              list(
                struct({
                  name: string,
                  value: nullable(string),
                  readOnly: bool,
                  configSource: int8,
                  isSensitive: bool
                })
              )
            )
          )
        })
      )
    })
  ),
  InitProducerId: api(
    22,
    // From 3 on it says which epoch it believes to be its own (KIP-360).
    [3, 5],
    2,
    struct({
      transactionalId: nullable(string),
      transactionTimeoutMs: int32,
      producerId: int64,
      producerEpoch: int16
    }),
    struct({ throttleTimeMs: int32, errorCode: int16, producerId: int64, producerEpoch: int16 })
  ),
  AddPartitionsToTxn: api(
    24,
    // From 4 on it is spoken between brokers.
    [0, 3],
    3,
    struct({ ...producer, topics: list(topicPartitions) }),
    struct({
      throttleTimeMs: int32,
      topics: list(struct({ name: string, partitions: list(struct({ partitionIndex: int32, errorCode: int16 })) }))
    })
  ),
  AddOffsetsToTxn: api(25, [0, 4], 3, struct({ ...producer, groupId: string }), plainReply),
  EndTxn: api(
    26,
    [0, 5],
    3,
    struct({ ...producer, committed: bool }),
    struct({
      throttleTimeMs: int32,
      errorCode: int16,
      producerId: since(5, int64, -1),
      producerEpoch: since(5, int16, -1)
    })
  ),
  TxnOffsetCommit: api(
    28,
    [0, 5],
    3,
    struct({
      transactionalId: string,
      groupId: string,
      producerId: int64,
      producerEpoch: int16,
      generationId: since(3, int32, -1),
      memberId: since(3, string),
      groupInstanceId: since(3, nullable(string)),
      topics: list(
        struct({
          name: string,
          partitions: list(
            struct({
              partitionIndex: int32,
              committedOffset: int64,
              committedLeaderEpoch: since(2, int32, -1),
              committedMetadata: nullable(string)
            })
          )
        })
      )
    }),
    struct({
      throttleTimeMs: int32,
      topics: list(struct({ name: string, partitions: list(struct({ partitionIndex: int32, errorCode: int16 })) }))
    })
  ),
  DescribeConfigs: api(
    32,
    [1, 4],
    4,
    struct({
      resources: list(struct({ resourceType: int8, resourceName: string, configurationKeys: nullable(list(string)) })),
      includeSynonyms: bool,
      includeDocumentation: since(3, bool)
    }),
    struct({
      throttleTimeMs: int32,
      results: list(
        struct({
          errorCode: int16,
          errorMessage: nullable(string),
          resourceType: int8,
          resourceName: string,
          configs: list(config)
        })
      )
    })
  ),
  SaslAuthenticate: api(
    36,
    [0, 2],
    2,
    struct({ authBytes: bytes }),
    struct({
      errorCode: int16,
      errorMessage: nullable(string),
      authBytes: bytes,
      sessionLifetimeMs: since(1, int64)
    })
  )
} as const

export type ApiName = keyof typeof apis

type RequestType<N extends ApiName> = (typeof apis)[N]['request']
type ReplyType<N extends ApiName> = (typeof apis)[N]['reply']
export type RequestOf<N extends ApiName> = ValueOf<RequestType<N>>
export type ReplyOf<N extends ApiName> = ValueOf<ReplyType<N>>

export const apiOf = (name: ApiName): Api<unknown, unknown> => apis[name] as unknown as Api<unknown, unknown>
