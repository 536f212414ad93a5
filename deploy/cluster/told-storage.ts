/** Storage whose trouble is told: once when it begins, once when it is over. Workers wait for storage in silence. */
import type { Lineages } from '../../checkpoint/lineages.ts'
import type { CheckpointStorage } from '../../checkpoint/storage.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'

export interface StorageNews {
  troubled(error: CodedError): void
  recovered(): void
}

export function toldLineages(lineages: Lineages, news: StorageNews): Lineages {
  const told = new Told(news)
  return { list: () => told.of(() => lineages.list()), storage: lineage => told.storage(lineages.storage(lineage)) }
}

class Told {
  private readonly news: StorageNews
  private troubled = false

  constructor(news: StorageNews) {
    this.news = news
  }

  storage(storage: CheckpointStorage): CheckpointStorage {
    return {
      create: (name, bytes) => this.of(() => storage.create(name, bytes)),
      read: name => this.of(() => storage.read(name)),
      readRange: (name, offset, length) => this.of(() => storage.readRange(name, offset, length)),
      list: folder => this.of(() => storage.list(folder)),
      remove: name => this.of(() => storage.remove(name))
    }
  }

  async of<T>(work: () => Promise<T>): Promise<T> {
    try {
      const done = await work()
      if (this.troubled) this.news.recovered()
      this.troubled = false
      return done
    } catch (error) {
      if (error instanceof CodedError && error.code === 'STORAGE_FAILED' && !this.troubled) {
        this.troubled = true
        this.news.troubled(error)
      }
      throw error
    }
  }
}
