/**
 * Checkpoint storage in a directory: conditional create = hard link of a synced temporary file, then the folder synced. What a
 * killed process left of these is listed under the object's name and a suffix, and collected with what else nobody names.
 */
import { randomUUID } from 'node:crypto'
import { posix } from 'node:path'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Files } from '../../runtime/ports/files.ts'
import { wholeRange, type CheckpointStorage } from '../storage.ts'

const { dirname, join } = posix

export class DirectoryStorage implements CheckpointStorage {
  private readonly files: Files
  private readonly root: string
  private readonly folders = new Set<string>()
  private readonly owner: string
  private temporaries = 0

  /**
   * @param root absolute; made when missing
   * @param owner in the names of temporary files: two processes that create one object must not write one file, or the winner's name
   * gets the loser's bytes
   */
  constructor(files: Files, root: string, owner: string = randomUUID()) {
    this.files = files
    this.root = root
    this.owner = owner
  }

  async create(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    const path = this.path(name)
    const temporary = `${path}.tmp-${this.owner}-${this.temporaries++}`
    return this.guarded(path, async () => {
      await this.ensureFolder(dirname(path))
      try {
        await this.files.writeSynced(temporary, bytes)
        await this.files.link(temporary, path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
        // Whoever made it may not have lived to sync its name, and the caller is about to rely on it.
        await this.files.syncFolder(dirname(path))
        return 'exists'
      } finally {
        await this.files.remove(temporary)
      }
      await this.files.syncFolder(dirname(path))
      return 'created'
    })
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    const path = this.path(name)
    return this.guarded(path, async () => {
      try {
        return await this.files.read(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    })
  }

  async readRange(name: string, offset: number, length: number): Promise<Uint8Array> {
    const path = this.path(name)
    const bytes = await this.guarded(path, () => this.files.readRange(path, offset, length))
    return wholeRange(bytes, name, offset, length)
  }

  async list(folder: string): Promise<readonly string[]> {
    const path = this.path(folder)
    return this.guarded(path, () => this.files.list(path))
  }

  async remove(name: string): Promise<void> {
    const path = this.path(name)
    await this.guarded(path, () => this.files.remove(path))
  }

  private path(name: string): string {
    if (name.split('/').some(part => part === '' || part === '.' || part === '..'))
      throw new CodedError('CORRUPT', `"${name}" is not the name of a stored object`)
    return join(this.root, name)
  }

  private async ensureFolder(folder: string): Promise<void> {
    if (this.folders.has(folder)) return
    await this.files.makeFolder(folder)
    this.folders.add(folder)
  }

  private async guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (cause) {
      if (cause instanceof CodedError) throw cause
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new CodedError('STORAGE_FAILED', `checkpoint storage at "${path}": ${code}`, { cause })
    }
  }
}
