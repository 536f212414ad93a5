/** Files that are read as a bounded log: one partition each, read to the size that the file has when it is first opened. */
import { constants } from 'node:fs'
import { access, open, stat, type FileHandle } from 'node:fs/promises'
import { CodedError } from '../kernel/errors.ts'

interface InputFile {
  readonly handle: FileHandle
  readonly size: number
}

export class InputFiles {
  readonly paths: readonly string[]
  private readonly open = new Map<number, Promise<InputFile>>()

  constructor(paths: readonly string[]) {
    this.paths = paths
  }

  /** Throws INPUT_MISSING when one cannot be read. */
  async partitions(): Promise<readonly { readonly name: string }[]> {
    for (const path of this.paths)
      try {
        await access(path, constants.R_OK)
        if (!(await stat(path)).isFile()) throw Object.assign(new Error(), { code: 'not a file' })
      } catch (cause) {
        throw missing(path, cause)
      }
    return this.paths.map(name => ({ name }))
  }

  async size(partition: number): Promise<number> {
    return (await this.file(partition)).size
  }

  /** Fewer bytes than `length` only when the file ends before them, be it cut off while it is read. */
  async read(partition: number, position: number, length: number): Promise<Uint8Array> {
    const { handle, size } = await this.file(partition)
    const chunk = new Uint8Array(Math.min(length, size - position))
    let filled = 0
    while (filled < chunk.length) {
      const { bytesRead } = await handle.read(chunk, filled, chunk.length - filled, position + filled)
      if (bytesRead === 0) break
      filled += bytesRead
    }
    return chunk.subarray(0, filled)
  }

  async close(): Promise<void> {
    const files = [...this.open.values()]
    this.open.clear()
    for (const file of files) await file.then(({ handle }) => handle.close()).catch(() => undefined)
  }

  private file(partition: number): Promise<InputFile> {
    const known = this.open.get(partition)
    if (known !== undefined) return known
    const path = this.paths[partition] as string
    const file = open(path, 'r').then(
      async handle => ({ handle, size: (await handle.stat()).size }),
      (cause: unknown) => {
        throw missing(path, cause)
      }
    )
    this.open.set(partition, file)
    return file
  }
}

function missing(path: string, cause: unknown): CodedError {
  return new CodedError('INPUT_MISSING', `input "${path}" cannot be read: ${(cause as NodeJS.ErrnoException).code}`, {
    cause
  })
}
