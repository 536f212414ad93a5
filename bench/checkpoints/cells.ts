/** What is measured: sizes of state, and whether this machine has room for one. */
import { statfsSync } from 'node:fs'
import { freemem, tmpdir } from 'node:os'
import type { StoreKind } from '../../actors/plan.ts'
import { restBytes } from '../sized-state.ts'

export const measurements = ['duration', 'pause', 'throughput', 'recovery'] as const
export type Measurement = (typeof measurements)[number]

export interface Size {
  readonly keys: number
  /** Of all keys together, in a checkpoint. */
  readonly stateBytes: number
  readonly textBytes: number
}

/** @param bytes of state per key */
export const sizeOf = (keys: number, bytes: number): Size => ({
  keys,
  stateBytes: keys * Math.max(bytes, restBytes),
  textBytes: Math.max(0, bytes - restBytes)
})

/** Of an actor in memory, beside its text; of one that waits to be written to the local store, more. */
const [actorBytes, changedBytes] = [450, 1000]
const engineBytes = 800e6
/** A key is found in one Map of its task, which cannot hold more. */
const keysInMemory = 2 ** 24
/** Of the state, at its worst: two bases and the changes between them; the local store, and what it merges. Was 3.4 in all of 100 MB in LevelDB. */
const [filesTimes, localTimes] = [3, 2]

export interface Needs {
  readonly memoryBytes: number
  readonly diskBytes: number
}

export function needsOf({ keys, stateBytes, textBytes }: Size, store: StoreKind, changed: readonly number[]): Needs {
  const inMemory = store === 'memory' ? keys : 0
  return {
    memoryBytes: engineBytes + inMemory * (textBytes + actorBytes) + Math.max(0, ...changed) * changedBytes,
    diskBytes: stateBytes * (filesTimes + (store === 'memory' ? 0 : localTimes))
  }
}

export interface Room {
  readonly memoryBytes: number
  readonly diskBytes: number
}

export function roomHere(): Room {
  const { bavail, bsize } = statfsSync(tmpdir())
  return { memoryBytes: freemem(), diskBytes: bavail * bsize }
}

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

/** Why there is no room for it; undefined: there is. */
export function lackOf(size: Size, store: StoreKind, changed: readonly number[], room: Room): string | undefined {
  const needs = needsOf(size, store, changed)
  if (store === 'memory' && size.keys > keysInMemory)
    return `${size.keys} keys are more than a task holds in memory (${keysInMemory}): choose --store level, or larger keys`
  if (needs.memoryBytes > room.memoryBytes)
    return `it takes ${gigabytes(needs.memoryBytes)} of memory, and ${gigabytes(room.memoryBytes)} are free`
  if (needs.diskBytes > room.diskBytes)
    return `it takes ${gigabytes(needs.diskBytes)} in ${tmpdir()}, and ${gigabytes(room.diskBytes)} are free`
  return undefined
}
