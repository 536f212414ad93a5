/** Runs the built command line in a folder of its own. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const bin = join(root, 'deploy/bin/cairn.cjs')

export class CairnFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'cairn-cli-'))
  private readonly children: ChildProcess[] = []

  /** Writes a file; returns its name. */
  file(name: string, text: string): string {
    writeFileSync(join(this.path, name), text)
    return name
  }

  text(name: string): string {
    return readFileSync(join(this.path, name), 'utf8')
  }

  /** Set besides the caller's. */
  env: Readonly<Record<string, string>> = {}
  /** Put in front of the command, to run it elsewhere. */
  prefix: readonly string[] = []

  cairn(...args: string[]): Ended {
    const [command = '', ...rest] = [...this.prefix, process.execPath, bin, ...args]
    const { status, stdout, stderr } = spawnSync(command, rest, {
      cwd: this.path,
      encoding: 'utf8',
      timeout: 60_000,
      killSignal: 'SIGKILL',
      env: { ...environment(), ...this.env }
    })
    return { code: status, stdout, stderr }
  }

  /** Starts it and goes on; `until` resolves when standard error or output matches, `ended` with everything. */
  start(...args: string[]): { child: ChildProcess; until(pattern: RegExp): Promise<string>; ended: Promise<Ended> } {
    const [command = '', ...rest] = [...this.prefix, process.execPath, bin, ...args]
    const child = spawn(command, rest, { cwd: this.path, env: { ...environment(), ...this.env } })
    this.children.push(child)
    let stdout = ''
    let stderr = ''
    const look = new Set<() => void>()
    const looked = (): void => {
      for (const each of look) each()
    }
    child.stdout.on('data', chunk => {
      stdout += String(chunk)
      looked()
    })
    child.stderr.on('data', chunk => {
      stderr += String(chunk)
      looked()
    })
    const ended = new Promise<Ended>(resolve => child.on('close', code => resolve({ code, stdout, stderr })))
    return {
      child,
      ended,
      until: pattern =>
        new Promise((resolve, reject) => {
          const check = (): void => {
            if (!pattern.test(stdout + stderr)) return
            look.delete(check)
            resolve(stdout + stderr)
          }
          look.add(check)
          check()
          void ended.then(() => reject(new Error(`it ended before it said ${String(pattern)}:\n${stdout}${stderr}`)))
        })
    }
  }

  remove(): void {
    for (const child of this.children) child.kill('SIGKILL')
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** Of the caller, without what would change defaults. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(CAIRN_|NODE_OPTIONS$|TAP)/.test(name)))
}
