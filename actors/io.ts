/** Inputs and outputs that a job file names. Data only; `deploy` binds them to adapters. */
import type { Codec } from './codecs.ts'
import { json } from './codecs.ts'
import type { Sink, Source } from './stream.ts'

/** Newline-delimited files; several files are partitions. Each line is one value. */
export function lines<T>(paths: string | readonly string[], codec: Codec<T>): Source<T> {
  return { source: { connector: 'lines', paths: typeof paths === 'string' ? [paths] : paths, codec } }
}

/** A folder of newline-delimited files, exactly once: one file per publication, in order per slot. */
export function files<T>(folder: string, codec: Codec<T>): Sink<T> {
  return { sink: { connector: 'files', folder, codec } }
}

/** Values made up by `make(sequence, partition)`, which must give the same value for the same arguments. */
export function generator<T>(
  options: { readonly count: number; readonly partitions?: number },
  make: (sequence: number, partition: number) => T
): Source<T> {
  return {
    source: {
      connector: 'generator',
      partitions: options.partitions ?? 1,
      count: options.count,
      make,
      perSecond: undefined
    }
  }
}

/** One JSON value per line on standard output, at least once. */
export function stdout(): Sink<unknown> {
  return { sink: { connector: 'stdout', codec: json() } }
}
