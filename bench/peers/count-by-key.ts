/** Kafka Streams and Flink as peers of the benchmark on Kafka: the same job, from the same topic, with its counts in memory or in RocksDB. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import { peerFolder, type JavaCommand } from './java-peer.ts'

interface StreamsSetup {
  readonly kafkaVersion: string
  readonly streamsCommand: JavaCommand
}
interface FlinkSetup {
  readonly flinkVersion: string
  readonly flinkCommand: JavaCommand
}
interface MavenSetup {
  compileJava(folder: string, sources: readonly string[], classes: string): void
}

const setup = (file: string): Promise<unknown> => import(pathToFileURL(join(root, 'deploy/setup', file)).href)
const { kafkaVersion, streamsCommand } = (await setup('kafka.mjs')) as StreamsSetup
const { flinkVersion, flinkCommand } = (await setup('flink.mjs')) as FlinkSetup
const { compileJava } = (await setup('maven.mjs')) as MavenSetup

const peers = {
  'kafka-streams': { version: kafkaVersion, command: streamsCommand },
  flink: { version: flinkVersion, command: flinkCommand }
} as const
/** What they share; in a folder of its name each has a class CountByKey. */
const sources = join(root, 'bench', 'peers', 'count-by-key')
const heapMb = 2048

export type PeerName = keyof typeof peers
export const peerNames = Object.keys(peers) as readonly PeerName[]
export const peerVersion = (name: PeerName): string => peers[name].version

/** Where a peer keeps its counts. */
export const peerStores = ['memory', 'rocksdb'] as const
export type PeerStore = (typeof peerStores)[number]

/** A peer on this machine, with its program. */
export interface Peer {
  readonly name: PeerName
  /** Of its jars. */
  readonly folder: string
  /** Of what was compiled. */
  readonly classes: string
  readonly threads: number
  readonly store: PeerStore
  /** It is over before Java's better compiler would pay: for tests. Default: no. */
  readonly brief?: boolean
}

/** Undefined: it is not here, and could not be had; why was told on standard error. @param classes a new folder */
export function preparePeer(
  name: PeerName,
  classes: string,
  { threads, store }: Pick<Peer, 'threads' | 'store'>
): Peer | undefined {
  const folder = peerFolder(name)
  if (folder === undefined) return undefined
  mkdirSync(classes)
  compileJava(folder, [sources, join(sources, name)], classes)
  return { name, folder, classes, threads, store }
}

export interface CountByKey {
  readonly brokers: readonly string[]
  readonly from: string
  readonly to: string
  /** Between commits. */
  readonly intervalMs: number
  /** Where its state goes; made when missing. */
  readonly folder: string
}

/** How the program that counts by key is started. It is one process and runs until it is killed. */
export function countByKeyCommand(
  { name, folder, classes, threads, store, brief = false }: Peer,
  { brokers, from, to, intervalMs, folder: own }: CountByKey
): readonly [program: string, args: readonly string[]] {
  const temporary = join(own, 'temporary')
  mkdirSync(temporary, { recursive: true })
  const args = [brokers.join(), from, to, String(intervalMs), String(threads), store, join(own, 'state')]
  return peers[name].command(folder, classes, 'CountByKey', args, { heapMb, temporary, brief })
}
