/**
 * The file layer on a disk that forgets: a crash keeps what was synced, and of everything else any part. Bytes and names are synced
 * apart, as POSIX has it: `writeSynced` makes the bytes of a file durable and not its name; `syncFolder` the names of a folder.
 *
 * Invariants
 * 1. What was there durably and was not touched since is there after a crash, byte for byte.
 * 2. Each change that was not synced survives a crash or not, whatever became of the others. A rename is one change when both
 *    names lie in one folder.
 */
import { posix } from 'node:path'
import type { Prng } from '../runtime/kernel/prng.ts'
import type { Files } from '../runtime/ports/files.ts'

const { dirname, basename } = posix

/** A file apart from its names: two links are one of these. */
interface Inode {
  bytes: Uint8Array
  /** Undefined: nothing of it ever reached the disk. */
  durable: Uint8Array | undefined
}
interface Folder {
  readonly names: Map<string, Inode | Folder>
  /** What the disk holds of `names`. */
  durable: Map<string, Inode | Folder>
  /** Since the last sync, in order: what each name became, undefined = removed. */
  changes: (readonly (readonly [string, Inode | Folder | undefined])[])[]
}

/** What a disk may do instead of one operation. */
export type Fault =
  /** Nothing of it happens. */
  | { readonly kind: 'refuse'; readonly code: 'ENOSPC' | 'EIO' }
  /** It happens, and is reported to have failed. */
  | { readonly kind: 'deny'; readonly code: 'EIO' }
  /** The process is gone: this and every later operation never ends. A write may have got half-way. */
  | { readonly kind: 'halt' }

/** Mistakes of a file layer, for proving that a test notices them. */
export interface ForgetfulOptions {
  /** `writeSynced` leaves the bytes unsynced. */
  readonly writesUnsynced?: boolean
  /** `syncFolder` does nothing. */
  readonly foldersUnsynced?: boolean
}

const newFolder = (): Folder => ({ names: new Map(), durable: new Map(), changes: [] })
const isFolder = (node: Inode | Folder | undefined): node is Folder => node !== undefined && 'names' in node

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code, path })
}

export class ForgetfulFiles implements Files {
  /** Operations that changed something, or tried to. */
  operations = 0
  /** Asked before each of these. */
  fault: ((path: string) => Fault | undefined) | undefined
  private readonly options: ForgetfulOptions
  private root = newFolder()
  private halted = false

  constructor(options: ForgetfulOptions = {}) {
    this.options = options
  }

  /** True from the halt on. */
  get down(): boolean {
    return this.halted
  }

  /** The process is gone and the machine stays up: nothing is forgotten, but what was not synced still may be. */
  restart(): ForgetfulFiles {
    this.halted = true
    const after = new ForgetfulFiles(this.options)
    after.root = this.root
    return after
  }

  /** The machine goes down and comes up again: what is left is on the disk. Whoever still waits for an operation waits forever. */
  crash(random: Prng): ForgetfulFiles {
    this.halted = true
    const after = new ForgetfulFiles(this.options)
    after.root = survivor(this.root, random, new Map())
    return after
  }

  writeSynced(path: string, bytes: Uint8Array): Promise<void> {
    return this.change(
      path,
      () => {
        const inode = this.fileForWriting(path)
        inode.bytes = bytes.slice()
        if (this.options.writesUnsynced !== true) inode.durable = inode.bytes
      },
      () => {
        this.fileForWriting(path).bytes = bytes.slice(0, bytes.length >> 1)
      }
    )
  }
  async read(path: string): Promise<Uint8Array> {
    await this.alive()
    return this.file(path).bytes.slice()
  }
  async readRange(path: string, offset: number, length: number): Promise<Uint8Array> {
    return (await this.read(path)).subarray(offset, offset + length)
  }
  link(from: string, to: string): Promise<void> {
    return this.change(to, () => {
      const inode = this.file(from)
      const folder = this.folder(dirname(to))
      if (folder.names.has(basename(to))) throw failure('EEXIST', to)
      put(folder, [[basename(to), inode]])
    })
  }
  rename(from: string, to: string): Promise<void> {
    return this.change(to, () => {
      const inode = this.file(from)
      const [source, target] = [this.folder(dirname(from)), this.folder(dirname(to))]
      if (source === target)
        put(source, [
          [basename(from), undefined],
          [basename(to), inode]
        ])
      else {
        put(target, [[basename(to), inode]])
        put(source, [[basename(from), undefined]])
      }
    })
  }
  remove(path: string): Promise<void> {
    return this.change(path, () => {
      const folder = this.find(dirname(path))
      if (isFolder(folder) && folder.names.has(basename(path))) put(folder, [[basename(path), undefined]])
    })
  }
  syncFolder(path: string): Promise<void> {
    return this.change(path, () => this.sync(this.folder(path)))
  }
  makeFolder(path: string): Promise<void> {
    const make = (synced: boolean): void => {
      let folder = this.root
      for (const name of path.split('/').filter(part => part !== '')) {
        let next = folder.names.get(name)
        if (next === undefined) put(folder, [[name, (next = newFolder())]])
        if (synced) this.sync(folder)
        if (!isFolder(next)) throw failure('ENOTDIR', path)
        folder = next
      }
    }
    return this.change(
      path,
      () => make(true),
      () => make(false)
    )
  }
  async list(path: string): Promise<readonly string[]> {
    await this.alive()
    const folder = this.find(path)
    return isFolder(folder) ? [...folder.names.keys()].sort() : []
  }
  async size(path: string): Promise<number | undefined> {
    await this.alive()
    const inode = this.find(path)
    return inode === undefined || isFolder(inode) ? undefined : inode.bytes.length
  }

  /** @param half what a halt in the middle may have done */
  private async change(path: string, work: () => void, half: () => void = () => undefined): Promise<void> {
    await this.alive()
    this.operations++
    const fault = this.fault?.(path)
    if (fault?.kind === 'refuse') throw failure(fault.code, path)
    if (fault?.kind === 'halt') {
      half()
      this.halted = true
      await this.alive()
    }
    work()
    if (fault?.kind === 'deny') throw failure(fault.code, path)
  }

  /** Never resolves once the machine is down. */
  private alive(): Promise<void> {
    return this.halted ? new Promise(() => undefined) : Promise.resolve()
  }

  private sync(folder: Folder): void {
    if (this.options.foldersUnsynced === true) return
    folder.durable = new Map(folder.names)
    folder.changes = []
  }

  private find(path: string): Inode | Folder | undefined {
    let node: Inode | Folder | undefined = this.root
    for (const name of path.split('/').filter(part => part !== ''))
      node = isFolder(node) ? node.names.get(name) : undefined
    return node
  }
  private file(path: string): Inode {
    const inode = this.find(path)
    if (inode === undefined) throw failure('ENOENT', path)
    if (isFolder(inode)) throw failure('EISDIR', path)
    return inode
  }
  private folder(path: string): Folder {
    const folder = this.find(path)
    if (!isFolder(folder)) throw failure('ENOENT', path)
    return folder
  }
  private fileForWriting(path: string): Inode {
    const folder = this.folder(dirname(path))
    const known = folder.names.get(basename(path))
    if (isFolder(known)) throw failure('EISDIR', path)
    if (known !== undefined) return known
    const inode: Inode = { bytes: new Uint8Array(), durable: undefined }
    put(folder, [[basename(path), inode]])
    return inode
  }
}

function put(folder: Folder, change: readonly (readonly [string, Inode | Folder | undefined])[]): void {
  apply(folder.names, change)
  folder.changes.push(change)
}

function apply(
  names: Map<string, Inode | Folder>,
  change: readonly (readonly [string, Inode | Folder | undefined])[]
): void {
  for (const [name, node] of change)
    if (node === undefined) names.delete(name)
    else names.set(name, node)
}

/** @param inodes survivors by what they were: links stay links */
function survivor(folder: Folder, random: Prng, inodes: Map<Inode, Inode>): Folder {
  const durable = new Map(folder.durable)
  for (const change of folder.changes) if (random.int(2) === 0) apply(durable, change)
  const names = new Map<string, Inode | Folder>()
  for (const [name, node] of durable) names.set(name, isFolder(node) ? survivor(node, random, inodes) : kept(node))
  return { names, durable: new Map(names), changes: [] }

  function kept(inode: Inode): Inode {
    let found = inodes.get(inode)
    if (found === undefined) {
      const bytes = contentAfterCrash(inode, random)
      inodes.set(inode, (found = { bytes, durable: bytes }))
    }
    return found
  }
}

/** Unsynced bytes: what was there before, all of the new, or the new cut short; what was never written reads as zeros. */
function contentAfterCrash({ bytes, durable }: Inode, random: Prng): Uint8Array {
  if (durable === bytes) return bytes
  switch (random.int(4)) {
    case 0:
      return bytes
    case 1:
      return bytes.slice(0, random.int(bytes.length + 1))
    case 2:
      return new Uint8Array(bytes.length)
    default:
      return durable ?? new Uint8Array()
  }
}
