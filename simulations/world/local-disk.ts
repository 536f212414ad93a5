/** The disk of one machine as one process uses it: each operation takes time, and ends with the process. */
import type { Files } from '../../runtime/ports/files.ts'
import type { SimProcess } from './process.ts'

export class LocalDisk implements Files {
  private readonly process: SimProcess
  private readonly files: Files

  constructor(process: SimProcess, files: Files) {
    this.process = process
    this.files = files
  }

  writeSynced(path: string, bytes: Uint8Array): Promise<void> {
    const copy = bytes.slice()
    return this.ask('disk write', () => this.files.writeSynced(path, copy))
  }
  read(path: string): Promise<Uint8Array> {
    return this.ask('disk read', () => this.files.read(path))
  }
  readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.ask('disk read', () => this.files.readRange(path, offset, length))
  }
  link(from: string, to: string): Promise<void> {
    return this.ask('disk link', () => this.files.link(from, to))
  }
  rename(from: string, to: string): Promise<void> {
    return this.ask('disk rename', () => this.files.rename(from, to))
  }
  remove(path: string): Promise<void> {
    return this.ask('disk remove', () => this.files.remove(path))
  }
  syncFolder(path: string): Promise<void> {
    return this.ask('disk sync', () => this.files.syncFolder(path))
  }
  makeFolder(path: string): Promise<void> {
    return this.ask('disk folder', () => this.files.makeFolder(path))
  }
  list(path: string): Promise<readonly string[]> {
    return this.ask('disk list', () => this.files.list(path))
  }
  size(path: string): Promise<number | undefined> {
    return this.ask('disk size', () => this.files.size(path))
  }

  private ask<T>(label: string, work: () => Promise<T>): Promise<T> {
    const { process } = this
    return process.ask<T>(label, answer => {
      const perform = (): void =>
        void work().then(
          value => answer({ value }),
          (error: unknown) => answer({ error: error as Error })
        )
      process.time.schedule(process.host.diskMs, perform, label, process.name)
    })
  }
}
