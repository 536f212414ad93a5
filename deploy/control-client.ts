/** Asks a running job over its local socket. */
import { stat } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import {
  controlPath,
  controlVersion,
  resultOf,
  type ControlAnswer,
  type ControlRequest,
  type ControlResults
} from './control-protocol.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

export class ControlClient {
  private readonly socket: Socket
  private readonly waiting: { resolve(answer: ControlAnswer): void; reject(error: unknown): void }[] = []
  private next = 1
  /** The job has ended, or this client was closed. */
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.socket = socket
    const lines = createInterface({ input: socket, crlfDelay: Infinity }).on('line', line => this.received(line))
    const gone = (): void => {
      for (const { reject } of this.waiting.splice(0))
        reject(new CodedError('NOT_RUNNING', 'the job ended before it answered'))
    }
    socket.on('close', gone).on('error', gone)
    // It repeats the socket's errors, and would throw what nobody hears.
    lines.on('error', gone)
    this.closed = new Promise(resolve => socket.once('close', () => resolve()))
  }

  /** undefined = no job runs in this folder. Never speaks to a socket of another user. */
  static async open(folder: string): Promise<ControlClient | undefined> {
    const path = controlPath(folder)
    const owner = await stat(path).then(
      found => found.uid,
      () => undefined
    )
    if (owner === undefined || (process.getuid !== undefined && owner !== process.getuid())) return undefined
    const socket = connect(path)
    return new Promise(resolve => {
      socket.once('connect', () => {
        socket.removeAllListeners('error')
        resolve(new ControlClient(socket))
      })
      socket.once('error', () => resolve(undefined))
    })
  }

  /** The job's answer; throws what it could not do. */
  async ask<K extends ControlRequest['kind']>(
    request: Extract<ControlRequest, { kind: K }>
  ): Promise<ControlResults[K]> {
    if (!this.socket.writable) throw new CodedError('NOT_RUNNING', 'the job has ended')
    const line = JSON.stringify({ v: controlVersion, id: this.next++, ...request })
    const answer = new Promise<ControlAnswer>((resolve, reject) => this.waiting.push({ resolve, reject }))
    this.socket.write(`${line}\n`)
    // The other side is a process of the same user that speaks this version of the protocol.
    return resultOf(await answer) as ControlResults[K]
  }

  close(): void {
    this.socket.destroy()
  }

  private received(line: string): void {
    const waiting = this.waiting.shift()
    try {
      waiting?.resolve(JSON.parse(line) as ControlAnswer)
    } catch (error) {
      waiting?.reject(error)
    }
  }
}
