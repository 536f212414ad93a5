/** The local socket of a running job. Only the user that runs the job may speak to it. */
import { rm } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import {
  answerOf,
  controlPath,
  controlVersion,
  parseRequest,
  requestIdOf,
  requestLimitBytes,
  type ControlAnswer,
  type ControlRequest
} from './control-protocol.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

/** Every client may hold one request in memory. */
const clientLimit = 16
/** What a client that does not read may hold up the end of the job. */
const lastWordsMs = 1000

/** @param folder the job's; its lock must be held, since a socket that is left over is removed */
export async function openControl(
  folder: string,
  answer: (request: ControlRequest) => Promise<unknown>
): Promise<() => Promise<void>> {
  const path = controlPath(folder)
  await rm(path, { force: true })
  const clients = new Set<Socket>()
  const server = createServer(socket => {
    clients.add(socket)
    socket.on('close', () => clients.delete(socket))
    // A client that went away is no matter of the job.
    socket.on('error', () => socket.destroy())
    serve(socket, answer)
  })
  server.maxConnections = clientLimit
  await listen(server, path)
  server.unref()
  return () => {
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    for (const socket of clients) {
      socket.destroySoon()
      setTimeout(() => socket.destroy(), lastWordsMs).unref()
    }
    return closed
  }
}

/** The socket is bound while the mask is set, so that there is no moment in which others may connect. */
async function listen(server: Server, path: string): Promise<void> {
  const mask = process.umask(0o177)
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', cause =>
        reject(
          new CodedError(
            'STORAGE_FAILED',
            `the control socket "${path}" cannot be opened: ${(cause as NodeJS.ErrnoException).code}`,
            { cause }
          )
        )
      )
      server.listen(path, resolve)
      process.umask(mask)
    })
  } finally {
    process.umask(mask)
  }
}

function serve(socket: Socket, answer: (request: ControlRequest) => Promise<unknown>): void {
  let held: Buffer[] = []
  let heldBytes = 0
  let queue = Promise.resolve()
  const send = (id: number, reply: ControlAnswer): void => {
    if (!socket.destroyed) socket.write(`${JSON.stringify({ v: controlVersion, id, ...reply })}\n`)
  }
  const handle = async (line: string): Promise<void> => {
    try {
      const { id, request } = parseRequest(line)
      send(id, { ok: true, result: (await answer(request)) ?? null })
    } catch (error) {
      send(requestIdOf(line), answerOf(error))
    }
  }
  socket.on('data', (chunk: Buffer) => {
    for (let from = 0; from < chunk.length;) {
      const newline = chunk.indexOf(0x0a, from)
      const piece = chunk.subarray(from, newline < 0 ? chunk.length : newline)
      heldBytes += piece.length
      if (heldBytes > requestLimitBytes) {
        send(0, answerOf(new CodedError('USAGE', `a request of more than ${requestLimitBytes} bytes`)))
        socket.end()
        socket.removeAllListeners('data').resume()
        return
      }
      held.push(piece)
      if (newline < 0) return
      const line = Buffer.concat(held).toString('utf8')
      held = []
      heldBytes = 0
      socket.pause()
      queue = queue.then(() => handle(line)).then(() => void socket.resume())
      from = newline + 1
    }
  })
}
