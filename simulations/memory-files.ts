/** The file layer in memory, for the driver: everything counts as synced. */
import type { Files } from '../runtime/ports/files.ts'

const failure = (code: string, path: string): Error => Object.assign(new Error(`${code}: ${path}`), { code, path })

export class MemoryFiles implements Files {
  private readonly contents = new Map<string, Uint8Array>()

  writeSynced(path: string, bytes: Uint8Array): Promise<void> {
    this.contents.set(path, bytes.slice())
    return Promise.resolve()
  }
  read(path: string): Promise<Uint8Array> {
    const bytes = this.contents.get(path)
    return bytes === undefined ? Promise.reject(failure('ENOENT', path)) : Promise.resolve(bytes.slice())
  }
  async readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return (await this.read(path)).subarray(offset, offset + length)
  }
  link(from: string, to: string): Promise<void> {
    const bytes = this.contents.get(from)
    if (bytes === undefined) return Promise.reject(failure('ENOENT', from))
    if (this.contents.has(to)) return Promise.reject(failure('EEXIST', to))
    this.contents.set(to, bytes)
    return Promise.resolve()
  }
  rename(from: string, to: string): Promise<void> {
    const bytes = this.contents.get(from)
    if (bytes === undefined) return Promise.reject(failure('ENOENT', from))
    this.contents.set(to, bytes)
    this.contents.delete(from)
    return Promise.resolve()
  }
  remove(path: string): Promise<void> {
    this.contents.delete(path)
    return Promise.resolve()
  }
  syncFolder(): Promise<void> {
    return Promise.resolve()
  }
  makeFolder(): Promise<void> {
    return Promise.resolve()
  }
  list(path: string): Promise<readonly string[]> {
    const names = new Set<string>()
    for (const name of this.contents.keys())
      if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split('/')[0] as string)
    return Promise.resolve([...names].sort())
  }
  size(path: string): Promise<number | undefined> {
    return Promise.resolve(this.contents.get(path)?.length)
  }
}
