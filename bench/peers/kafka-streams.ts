/** Kafka Streams as a peer of the benchmark on Kafka: the same job, from the same topic, with a store in memory or in RocksDB. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import { peerFolder, type JavaCommand } from './java-peer.ts'

interface Setup {
  readonly kafkaVersion: string
  compileJava(folder: string, sources: string, classes: string): void
  readonly streamsCommand: JavaCommand
}

const setup = (await import(pathToFileURL(join(root, 'deploy/setup/kafka.mjs')).href)) as Setup
const sources = join(root, 'bench', 'peers', 'kafka-streams')
const heapMb = 2048

export const { kafkaVersion: kafkaStreamsVersion } = setup

/** Where a store of Kafka Streams keeps its entries; each is in a changelog topic, too. */
export const streamsStores = ['memory', 'rocksdb'] as const
export type StreamsStore = (typeof streamsStores)[number]

/** Kafka Streams on this machine, with the program of this folder. */
export interface KafkaStreams {
  /** Of Kafka Streams' jars. */
  readonly folder: string
  /** Of what was compiled. */
  readonly classes: string
  readonly threads: number
  readonly store: StreamsStore
  /** It is over before Java's better compiler would pay: for tests. Default: no. */
  readonly brief?: boolean
}

/** Undefined: it is not here, and could not be had; why was told on standard error. @param classes a new folder */
export function prepareKafkaStreams(classes: string, { threads, store }: Pick<KafkaStreams, 'threads' | 'store'>) {
  const folder = peerFolder('kafka-streams')
  if (folder === undefined) return undefined
  mkdirSync(classes)
  setup.compileJava(folder, sources, classes)
  return { folder, classes, threads, store } satisfies KafkaStreams
}

export interface StreamsCount {
  readonly brokers: readonly string[]
  readonly from: string
  readonly to: string
  /** Between commits. */
  readonly intervalMs: number
  /** Where its state goes; made when missing. */
  readonly folder: string
}

/** How the program that counts by key is started. It is one process and runs until it is killed. */
export function streamsCountCommand(
  { folder, classes, threads, store, brief = false }: KafkaStreams,
  { brokers, from, to, intervalMs, folder: own }: StreamsCount
): readonly [program: string, args: readonly string[]] {
  const temporary = join(own, 'temporary')
  mkdirSync(temporary, { recursive: true })
  const args = [brokers.join(), from, to, String(intervalMs), String(threads), store, join(own, 'state')]
  return setup.streamsCommand(folder, classes, 'CountByKey', args, { heapMb, temporary, brief })
}
