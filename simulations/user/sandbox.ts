/**
 * Evaluates a job's compiled code as often as asked, each time as a new process would: nothing kept in a module variable of one
 * evaluation is seen by another. In this realm, so that plain values stay plain to the codecs.
 */
import { SourceMap, type SourceMapPayload } from 'node:module'
import { dirname, relative, resolve } from 'node:path'
import { compileFunction } from 'node:vm'
import * as cairn from '../../actors/index.ts'
import type { Job } from '../../actors/stream.ts'
import { CodedError } from '../../runtime/kernel/errors.ts'
import * as testing from '../driver/index.ts'
import { nodeModule } from './node-modules.ts'
import { worldGlobals, type CodeHost } from './world-globals.ts'
import type { Simulation } from './simulation-of.ts'

export interface SandboxCode {
  /** CommonJS, everything but `cairn` and the modules of Node in it; the source map inline. */
  readonly code: string
  /** Where the code would lie, for stack traces. */
  readonly fileName: string
  /** As the user named it. */
  readonly path: string
}

/** One process's copy of the job's modules. */
export interface Evaluated {
  readonly job: Job<unknown>
  /** What the file exports as `simulation`, if it does. */
  readonly simulation: Simulation | undefined
}

export type MakeService = (name: string, implementation: object) => object

type Outer = (...given: unknown[]) => { readonly default?: unknown; readonly simulation?: unknown }

export class Sandbox {
  readonly path: string
  private readonly fileName: string
  private readonly outer: Outer
  private readonly names: readonly string[]
  private readonly map: SourceMap | undefined

  /** Throws JOB_FILE_INVALID. */
  constructor({ code, fileName, path }: SandboxCode) {
    this.path = path
    this.fileName = fileName
    this.map = mapOf(code)
    this.names = Object.keys(worldGlobals(nobody))
    // Two functions: the code may declare what the outer one has as a parameter.
    const body = `const module = { exports: {} }; return (function (exports) {\n${code}\nreturn module.exports }).call(module.exports, module.exports)`
    try {
      this.outer = compileFunction(body, ['require', ...this.names], { filename: fileName, lineOffset: -1 }) as Outer
    } catch (cause) {
      throw new CodedError('JOB_FILE_INVALID', `job file "${path}" cannot be simulated: ${(cause as Error).message}`, {
        cause
      })
    }
  }

  /** Throws JOB_FILE_INVALID, or what reached for the outside. */
  evaluate(host: CodeHost, makeService: MakeService): Evaluated {
    const globals = worldGlobals(host)
    const own = { ...cairn, service: makeService }
    const found = new Map<string, unknown>([
      ['cairn', own],
      ['cairn/testing', testing]
    ])
    const require = (name: string): unknown => {
      if (!found.has(name)) found.set(name, nodeModule(name, host, globals))
      const module = found.get(name)
      if (module === undefined)
        throw new CodedError('JOB_FILE_INVALID', `job file "${this.path}" imports "${name}", which is not there`)
      return module
    }
    const exports = this.run(require, globals)
    const job = exports.default
    if (typeof job !== 'object' || job === null || !('plan' in job))
      throw new CodedError('JOB_FILE_INVALID', `job file "${this.path}" exports no job as its default`)
    return { job: job as Job<unknown>, simulation: this.simulation(exports.simulation) }
  }

  /** The first place in the user's files that a stack names: `payments.ts:12:3`. */
  place(stack: string | undefined): string | undefined {
    for (const line of stack?.split('\n') ?? []) {
      const at = line.lastIndexOf(`${this.fileName}:`)
      if (at < 0) continue
      const [row, column] = line
        .slice(at + this.fileName.length + 1)
        .split(':')
        .map(part => parseInt(part, 10))
      const entry = this.map?.findEntry((row ?? 1) - 1, (column ?? 1) - 1)
      if (entry === undefined || !('originalSource' in entry) || entry.originalSource.includes('node_modules')) continue
      const file = relative(dirname(resolve(this.path)), resolve(dirname(this.fileName), entry.originalSource))
      return `${file}:${entry.originalLine + 1}:${entry.originalColumn + 1}`
    }
    return undefined
  }

  private run(require: (name: string) => unknown, globals: Readonly<Record<string, unknown>>): ReturnType<Outer> {
    try {
      return this.outer(require, ...this.names.map(name => globals[name]))
    } catch (cause) {
      if (cause instanceof CodedError) throw cause
      const { message, stack } = cause as Error
      const place = this.place(stack)
      throw new CodedError(
        'JOB_FILE_INVALID',
        `job file "${this.path}" throws while it is loaded: ${message}${place === undefined ? '' : ` (${place})`}`,
        { cause }
      )
    }
  }

  private simulation(given: unknown): Simulation | undefined {
    if (given === undefined) return undefined
    if (typeof given === 'object' && given !== null && 'simulates' in given) return given as Simulation
    throw new CodedError(
      'JOB_FILE_INVALID',
      `job file "${this.path}": \`simulation\` is not made by simulationOf(job, …)`
    )
  }
}

function mapOf(code: string): SourceMap | undefined {
  const marker = 'sourceMappingURL=data:application/json;base64,'
  const at = code.lastIndexOf(marker)
  if (at < 0) return undefined
  const text = Buffer.from(code.slice(at + marker.length).trim(), 'base64').toString()
  return new SourceMap(JSON.parse(text) as SourceMapPayload)
}

/** For the names only. */
const nobody = { name: '', random: { next: () => 0, int: () => 0 } } as unknown as CodeHost
