/** Kafka Streams as a peer of the Nexmark benchmark: the queries that it can express, from Kafka to Kafka, exactly once. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { root } from '../../simulations/chaos/installed.ts'
import { peerFolder, type JavaCommand } from './java-peer.ts'

const setup = (file: string): Promise<unknown> => import(pathToFileURL(join(root, 'deploy/setup', file)).href)
const { kafkaVersion, streamsCommand } = (await setup('kafka.mjs')) as {
  readonly kafkaVersion: string
  readonly streamsCommand: JavaCommand
}
const { compileJava } = (await setup('maven.mjs')) as {
  compileJava(folder: string, sources: readonly string[], classes: string): void
}

const sources = join(root, 'bench', 'peers', 'nexmark-streams')
const heapMb = 4096

export const streamsVersion = kafkaVersion

/**
 * What it runs: queries whose rows follow from each event alone. Left out are those with windows. 5, 7 and 11 put out a window when it is over; Kafka
 * Streams has no end of the input, so that the last ones would stay open for ever. 8 forgets windows by the watermark, which Kafka Streams does not have.
 * 12 follows the wall clock.
 */
export const streamsQueries: readonly number[] = [0, 1, 2, 3, 4, 9, 14, 15, 16, 17, 18, 19, 20, 22]

/** Kafka Streams on this machine, with the program of this folder. */
export interface Streams {
  /** Of its jars. */
  readonly folder: string
  /** Of what was compiled. */
  readonly classes: string
  /** It is over before Java's better compiler would pay: for tests. Default: no. */
  readonly brief?: boolean
}

/** It is nothing without a broker, nor the bench without a client that fills topics. */
export const streamsServices = ['kafka', 'kafka-client', 'kafka-streams'] as const

/** Undefined: one of its services is not here, and could not be had; why was told on standard error. @param classes a new folder */
export function prepareStreams(classes: string): Streams | undefined {
  const [broker, client, folder] = streamsServices.map(peerFolder)
  if (broker === undefined || client === undefined || folder === undefined) return undefined
  mkdirSync(classes)
  compileJava(folder, [sources], classes)
  return { folder, classes }
}

export interface StreamsRun {
  readonly brokers: readonly string[]
  readonly from: string
  /** The topics that rows go to. */
  readonly queries: readonly { readonly query: number; readonly to: string }[]
  /** Between commits. */
  readonly intervalMs: number
  /** Where its state goes; made when missing. */
  readonly folder: string
}

/** How the program is started. It is one process and runs until it is killed. */
export function streamsCommandOf(
  { folder, classes, brief = false }: Streams,
  { brokers, from, queries, intervalMs, folder: own }: StreamsRun
): readonly [program: string, args: readonly string[]] {
  const temporary = join(own, 'temporary')
  mkdirSync(temporary, { recursive: true })
  const wanted = queries.flatMap(({ query, to }) => [String(query), to])
  const args = [brokers.join(), from, String(intervalMs), join(own, 'state'), ...wanted]
  return streamsCommand(folder, classes, 'NexmarkStreams', args, { heapMb, temporary, brief })
}
