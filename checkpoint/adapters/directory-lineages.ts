/** The lineages of a job in a directory: `<job>/lineages/<n>`. */
import { posix } from 'node:path'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { Files } from '../../runtime/ports/files.ts'
import type { Lineages } from '../lineages.ts'
import type { CheckpointStorage } from '../storage.ts'
import { DirectoryStorage } from './directory-storage.ts'

export class DirectoryLineages implements Lineages {
  private readonly files: Files
  private readonly root: string

  /** @param folder absolute, the job's own */
  constructor(files: Files, folder: string) {
    this.files = files
    this.root = posix.join(folder, 'lineages')
  }

  async list(): Promise<readonly number[]> {
    try {
      const names = await this.files.list(this.root)
      return names
        .filter(name => /^[1-9]\d*$/.test(name))
        .map(Number)
        .sort((a, b) => a - b)
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
      throw new CodedError('STORAGE_FAILED', `checkpoint storage at "${this.root}": ${code}`, { cause })
    }
  }

  storage(lineage: number): CheckpointStorage {
    return new DirectoryStorage(this.files, posix.join(this.root, String(lineage)))
  }
}
