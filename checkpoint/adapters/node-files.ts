/** The file layer on `node:fs`. */
import { link, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { unfilledBytes } from '../../runtime/kernel/bytes.ts'
import type { Files } from '../../runtime/ports/files.ts'

const absent = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT'

/** What this user may not read, or is another kind of file system, somebody else made, long ago. */
const beyondReach = new Set(['EACCES', 'EPERM', 'EROFS', 'EINVAL', 'ENOTSUP'])

/** Folders that this process has made durable, parents included. */
const synced = new Set<string>()

async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

export const nodeFiles: Files = {
  async writeSynced(path, bytes) {
    const handle = await open(path, 'w', 0o600)
    try {
      await handle.writeFile(bytes)
      await handle.sync()
    } finally {
      await handle.close()
    }
  },
  read: path => readFile(path),
  async readRange(path, offset, length) {
    const handle = await open(path, 'r')
    try {
      const { buffer, bytesRead } = await handle.read(unfilledBytes(length), 0, length, offset)
      return buffer.subarray(0, bytesRead)
    } finally {
      await handle.close()
    }
  },
  link,
  rename,
  remove: path => rm(path, { force: true }),
  syncFolder,
  async makeFolder(path) {
    const made = await mkdir(path, { recursive: true, mode: 0o700 })
    if (made === undefined && synced.has(path)) return
    for (let folder = resolve(path); folder !== dirname(folder); folder = dirname(folder)) {
      try {
        await syncFolder(dirname(folder))
      } catch (error) {
        if (!beyondReach.has((error as NodeJS.ErrnoException).code ?? '')) throw error
        break
      }
    }
    synced.add(path)
  },
  async list(path) {
    try {
      return (await readdir(path)).sort()
    } catch (error) {
      if (absent(error)) return []
      throw error
    }
  },
  async size(path) {
    try {
      return (await stat(path)).size
    } catch (error) {
      if (absent(error)) return undefined
      throw error
    }
  }
}
