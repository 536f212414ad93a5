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

/**
 * A topic of the job's embedded log (`<storage>/<job>/log`), as a source or as a sink. As a source it must exist
 * (`cairn log append` makes one); a sink makes it.
 */
export function topic<T>(
  name: string,
  options: {
    readonly value: Codec<T>
    /** Sink: records of one key stay in order in one partition. Without it they are spread by slot. */
    readonly key?: (value: T) => string
    /** Sink: how many when the topic is made; default 1. Their number never changes. */
    readonly partitions?: number
    /** Source: where a new job begins; default 'earliest'. */
    readonly from?: 'earliest' | 'latest'
    /** Source: ends where the topic ended when the job was started, instead of waiting for more; default false. */
    readonly bounded?: boolean
  }
): Source<T> & Sink<T> {
  const { value: codec, key, partitions, from = 'earliest', bounded = false } = options
  return {
    source: { connector: 'log', topic: name, from, bounded, codec },
    sink: { connector: 'log', topic: name, partitions, codec, key }
  }
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
