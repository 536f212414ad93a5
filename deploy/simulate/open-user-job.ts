/** Opens a user's job file for the simulator: compiles it, and reads the files that it reads, once. */
import { resolve } from 'node:path'
import type { SourceNode } from '../../actors/plan.ts'
import { CsvReader } from '../../runtime/adapters/csv-reader.ts'
import { LinesReader } from '../../runtime/adapters/lines-reader.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { LogReader, RecordBatch } from '../../runtime/ports/log.ts'
import { Sandbox } from '../../simulations/user/sandbox.ts'
import type { RecordedFiles } from '../../simulations/user/user-inputs.ts'
import { UserJob } from '../../simulations/user/user-job.ts'
import type { LogRecord } from '../../simulations/workload/memory-log.ts'
import { compileForSimulation } from '../load-job.ts'

/** Of one partition; runs read a beginning of them. More would only be kept in memory. */
const recordLimit = 10_000
const fetchBytes = 256 * 1024

/** Throws JOB_FILE_INVALID, SIMULATION_OUTSIDE, INPUT_MISSING. */
export async function openUserJob(path: string): Promise<UserJob> {
  return UserJob.open(new Sandbox(await compileForSimulation(path)), recordFiles)
}

async function recordFiles(sources: readonly SourceNode[]): Promise<RecordedFiles> {
  const recorded = new Map<string, LogRecord[][]>()
  for (const node of sources) {
    const reader = readerOf(node)
    const partitions: LogRecord[][] = []
    for (const partition of (await reader.partitions()).keys())
      partitions.push(await recordPartition(reader, partition))
    await reader.close()
    recorded.set(node.name, partitions)
  }
  return recorded
}

function readerOf({ name, source }: SourceNode): LogReader {
  if (source.connector === 'lines') return new LinesReader(source.paths.map(path => resolve(path)))
  if (source.connector === 'csv')
    return new CsvReader(
      source.paths.map(path => resolve(path)),
      source
    )
  throw new CodedError('OPTION_INVALID', `source "${name}" reads no file`)
}

async function recordPartition(reader: LogReader, partition: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  let position = await reader.start(partition, 'earliest')
  while (records.length < recordLimit) {
    const fetched = await reader.fetch(partition, position, fetchBytes, 0)
    if (fetched.kind !== 'records' && fetched.kind !== 'caught-up') break
    position = fetched.next
    if (fetched.kind === 'records')
      for (let i = 0; i < fetched.batch.count && records.length < recordLimit; i++) records.push(keep(fetched.batch, i))
  }
  return records
}

/** A copy: a batch is valid until the next fetch. */
function keep(batch: RecordBatch, i: number): LogRecord {
  const record = { timestamp: batch.timestamp(i), value: (batch.value(i) ?? new Uint8Array()).slice() }
  if (batch.valueObject === undefined) return record
  try {
    const value = batch.valueObject(i)
    return { ...record, object: () => structuredClone(value) }
  } catch (error) {
    // A malformed row is refused in the run, as it would be.
    return {
      ...record,
      object: () => {
        throw error
      }
    }
  }
}
