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
    return this.process.onDisk('disk write', () => this.files.writeSynced(path, copy))
  }
  read(path: string): Promise<Uint8Array> {
    return this.process.onDisk('disk read', () => this.files.read(path))
  }
  readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return this.process.onDisk('disk read', () => this.files.readRange(path, offset, length))
  }
  link(from: string, to: string): Promise<void> {
    return this.process.onDisk('disk link', () => this.files.link(from, to))
  }
  rename(from: string, to: string): Promise<void> {
    return this.process.onDisk('disk rename', () => this.files.rename(from, to))
  }
  remove(path: string): Promise<void> {
    return this.process.onDisk('disk remove', () => this.files.remove(path))
  }
  syncFolder(path: string): Promise<void> {
    return this.process.onDisk('disk sync', () => this.files.syncFolder(path))
  }
  makeFolder(path: string): Promise<void> {
    return this.process.onDisk('disk folder', () => this.files.makeFolder(path))
  }
  list(path: string): Promise<readonly string[]> {
    return this.process.onDisk('disk list', () => this.files.list(path))
  }
  size(path: string): Promise<number | undefined> {
    return this.process.onDisk('disk size', () => this.files.size(path))
  }
}
