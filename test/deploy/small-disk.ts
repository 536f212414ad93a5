/** A small file system of its own for a test, without leaving anything behind: it lives in a mount namespace and dies with the test. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'

export class SmallDisk {
  private readonly holder: ChildProcess
  private readonly folder: string

  private constructor(holder: ChildProcess, folder: string) {
    this.holder = holder
    this.folder = folder
  }

  /** undefined = this machine does not let us. @param folder an empty one, in which the disk is seen from inside */
  static async mount(folder: string, sizeKiB: number): Promise<SmallDisk | undefined> {
    const script = `mount -t tmpfs -o size=${sizeKiB}k tmpfs "$0" && echo mounted && exec cat`
    const holder = spawn('unshare', ['-rm', 'sh', '-c', script, folder], { stdio: ['pipe', 'pipe', 'ignore'] })
    const mounted = await new Promise<boolean>(resolve => {
      holder.once('error', () => resolve(false))
      holder.once('exit', () => resolve(false))
      holder.stdout.once('data', () => resolve(true))
    })
    const disk = new SmallDisk(holder, folder)
    return mounted && disk.run('true').status === 0 ? disk : undefined
  }

  /** What to put in front of a command so that it sees the disk. */
  get prefix(): readonly string[] {
    const enter = ['nsenter', '-t', String(this.holder.pid), '-U', '--preserve-credentials', '-m']
    return [...enter, 'sh', '-c', 'cd "$0" && exec "$@"', this.folder]
  }

  run(...command: string[]): { readonly status: number | null } {
    const [nsenter = '', ...args] = [...this.prefix, ...command]
    return spawnSync(nsenter, args, { stdio: 'ignore' })
  }

  /** The place of a file as seen from here. */
  path(name: string): string {
    return `/proc/${this.holder.pid}/root${this.folder}/${name}`
  }

  /** Takes all the space there is. */
  fill(): void {
    const file = openSync(this.path('filler'), 'w')
    try {
      for (const size of [65536, 4096]) for (;;) if (!wrote(file, size)) break
    } finally {
      closeSync(file)
    }
  }

  free(): void {
    rmSync(this.path('filler'), { force: true })
  }

  /** The kernel refuses while any file is open for writing, so this asks until none is. */
  readOnly(on: boolean): void {
    const option = on ? 'remount,ro' : 'remount,rw'
    for (let left = 500; left > 0; left--) if (this.run('mount', '-o', option, this.folder).status === 0) return
    throw new Error('the disk cannot be mounted anew')
  }

  end(): void {
    this.holder.kill('SIGKILL')
  }
}

function wrote(file: number, size: number): boolean {
  try {
    return writeSync(file, new Uint8Array(size)) === size
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return false
    throw error
  }
}
