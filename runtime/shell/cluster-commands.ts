/** What people ask of a running cluster, as a worker takes it. Each is repeated until it shows, so all of them may come again. */
import { decodeValue, encodeValue } from '../../actors/state-codec.ts'
import { decodeCommand, type Command } from '../core/cluster-messages.ts'
import type { QuarantineCommand } from '../core/quarantine.ts'
import { ByteReader, ByteWriter } from '../kernel/bytes.ts'
import { CodedError } from '../kernel/errors.ts'
import { decodeKey, encodeKey } from '../kernel/keys.ts'
import { reached } from '../kernel/marks.ts'
import type { ClusterWorker } from './cluster-worker.ts'

type Operate = Extract<Command, { kind: 'operate' }>

export function obey(worker: ClusterWorker, bytes: Uint8Array): void {
  const command = decodeCommand(bytes)
  if (command === undefined) return reached('cluster worker: a message that is no command')
  switch (command.kind) {
    case 'leave':
      if (command.worker === worker.id) worker.leave()
      break
    case 'elect':
      worker.bereft(command.worker)
      break
    case 'operate':
      operate(worker, command)
      break
    default:
      // Of the leader of that term.
      if (command.term !== worker.leadership?.term) return
      if (command.kind === 'drain') worker.drain()
      else if (command.kind === 'rescale') worker.rescale(command.tasks)
      else worker.savepoint(command.name)
  }
}

/** Whoever has the key carries it out; the answer is in a checkpoint then. */
function operate({ generation }: ClusterWorker, command: Operate): void {
  const wanted = quarantineCommandOf(command)
  if (wanted === undefined) return reached('cluster worker: a message that is no command')
  if (generation?.worker.keyedTaskOf(wanted)?.state.quarantine.holds(wanted) !== true) return
  generation.shell.command({ kind: 'operate', command: wanted })
}

/** @throws VALUE_NOT_STORABLE */
export function operateOf({ id, stage, key, action, value }: QuarantineCommand): Operate {
  const writer = new ByteWriter()
  encodeValue(value, writer, 'the event')
  return { kind: 'operate', id, stage, key: base64(encodeKey(key)), action, value: base64(writer.take()) }
}

function quarantineCommandOf({ id, stage, key, action, value }: Operate): QuarantineCommand | undefined {
  try {
    const reader = new ByteReader(bytesOf(value))
    const decoded = decodeValue(reader)
    reader.expectEnd()
    return { id, stage, key: decodeKey(bytesOf(key)), action, value: decoded }
  } catch (error) {
    if (error instanceof CodedError) return undefined
    throw error
  }
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
const bytesOf = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
