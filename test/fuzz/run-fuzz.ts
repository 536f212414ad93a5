/** Feeds one decoder: whatever comes, it answers or refuses with a code that it declares, in time and memory that the input's length bounds. */
import { getHeapStatistics } from 'node:v8'
import { Prng } from '../../runtime/kernel/prng.ts'
import { Mutator } from './mutate.ts'
import type { Target } from './targets.ts'

export interface Fuzzed {
  readonly target: string
  readonly inputs: number
  readonly perSecond: number
  /** How often each answer and each code was seen. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly finding: string | undefined
}

/**
 * An input of 4 KiB may cost so much at most; decoders are linear, and a list takes some dozens of bytes for each byte of input. More would
 * hide a decoder that believes a length: even the smallest lies promise a mebibyte.
 */
const freeBytes = 512 * 1024
const bytesPerByte = 128
/** Tried again before it counts: the machine has other things to do. */
const longestMs = 50

const used = (): number => {
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}

/** Stops at the first finding. `tick` is called now and then, with how many were done. */
export function fuzz(
  target: Target,
  inputs: number,
  seed: string,
  tick: (done: number) => void = () => undefined
): Fuzzed {
  const random = new Prng(`${seed}/${target.name}`)
  const mutator = new Mutator(target.seeds, random)
  const outcomes: Record<string, number> = {}
  const began = performance.now()
  let finding: string | undefined
  let done = 0
  for (; done < inputs && finding === undefined; done++) {
    if (done % 1024 === 0) tick(done)
    const mutated = mutator.next()
    const bytes = target.repair !== undefined && random.int(4) > 0 ? target.repair(mutated) : mutated
    const outcome = tryOne(target, bytes)
    if (typeof outcome === 'string') outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
    else
      finding = `input ${done} of seed ${seed}: ${outcome.what}\n  ${Buffer.from(bytes).toString('hex').slice(0, 600)}`
  }
  const seconds = (performance.now() - began) / 1000
  return { target: target.name, inputs: done, perSecond: Math.round(done / seconds), outcomes, finding }
}

type Outcome = string | { readonly what: string }

function tryOne(target: Target, bytes: Uint8Array): Outcome {
  const before = used()
  const start = performance.now()
  const outcome = outcomeOf(target, bytes)
  const ms = performance.now() - start
  const grown = used() - before
  if (grown > freeBytes + bytesPerByte * bytes.length)
    // A heap also grows by what others left; what the decoder takes it takes each time.
    if (grownAgain(target, bytes) > freeBytes + bytesPerByte * bytes.length)
      return { what: `${bytes.length} bytes took ${grown} bytes of memory` }
  if (ms > longestMs && fastest(target, bytes) > longestMs)
    return { what: `${bytes.length} bytes took ${Math.round(ms)} ms` }
  return outcome
}

function outcomeOf({ decode, codes }: Target, bytes: Uint8Array): Outcome {
  try {
    return decode(bytes)
  } catch (error) {
    // By name: a patched build has a class of its own.
    const { name, code, message } = error as { name: string; code?: string; message?: string }
    if (name === 'CodedError' && code !== undefined && codes.includes(code)) return code
    return { what: `${name === 'CodedError' ? code : 'a crash'}: ${message ?? String(error)}` }
  }
}

function grownAgain(target: Target, bytes: Uint8Array): number {
  let least = Infinity
  for (let i = 0; i < 3; i++) {
    const before = used()
    outcomeOf(target, bytes)
    least = Math.min(least, used() - before)
  }
  return least
}

function fastest(target: Target, bytes: Uint8Array): number {
  let least = Infinity
  for (let i = 0; i < 5; i++) {
    const start = performance.now()
    outcomeOf(target, bytes)
    least = Math.min(least, performance.now() - start)
  }
  return least
}
