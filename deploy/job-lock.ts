/** Keeps a second process off a job's folder. The decision log protects when the lock fails. */
import { createServer } from 'node:net'
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFiles } from '../checkpoint/adapters/node-files.ts'
import { CodedError } from '../runtime/kernel/errors.ts'

/** Throws STORAGE_FAILED. */
export async function makeJobFolder(folder: string): Promise<void> {
  try {
    await nodeFiles.makeFolder(folder)
  } catch (cause) {
    throw new CodedError('STORAGE_FAILED', `folder "${folder}" cannot be made: ${codeOf(cause)}`, { cause })
  }
}

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException).code ?? String(error)

/** A listening local socket is the lock: the kernel closes it when the process dies, however it dies. */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = socketPath(folder)
  if (await answers(path)) throw new CodedError('LOCKED', `folder "${folder}" is in use by another process`)
  await rm(path, { force: true }).catch((cause: unknown) => {
    throw new CodedError('STORAGE_FAILED', `folder "${folder}" cannot be locked: ${codeOf(cause)}`, { cause })
  })
  const server = createServer(socket => socket.end())
  await new Promise<void>((resolve, reject) => {
    server.once('error', cause => {
      const code = codeOf(cause)
      reject(
        code === 'EADDRINUSE'
          ? new CodedError('LOCKED', `folder "${folder}" is in use by another process`, { cause })
          : new CodedError('STORAGE_FAILED', `folder "${folder}" cannot be locked: ${code}`, { cause })
      )
    })
    server.listen(path, resolve)
  })
  server.unref()
  return () => new Promise(resolve => server.close(() => resolve()))
}

function socketPath(folder: string): string {
  const path = join(folder, 'lock.sock')
  // The longest path a local socket may have.
  return path.length < 104
    ? path
    : join(tmpdir(), `cairn-${createHash('sha256').update(folder).digest('hex').slice(0, 32)}.sock`)
}

function answers(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
