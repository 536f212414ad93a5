/** Loads a job file: TypeScript through esbuild (ES2022, define semantics), so that what the probe sees is what was written. */
import { constants } from 'node:fs'
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type BuildFailure } from 'esbuild'
import type { Job } from '../actors/stream.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { refusePrivateFields } from './private-fields.ts'

const own = (path: string): string => pathToFileURL(fileURLToPath(new URL(path, import.meta.url))).href

export interface CompiledJob {
  /** Equal for equal source texts. */
  readonly code: string
  /** Absolute paths of the job file and of all that it imports, packages apart. */
  readonly files: readonly string[]
}

export async function loadJob(path: string): Promise<Job<unknown>> {
  const { code } = await compileJob(path)
  return evaluateJob(path, code)
}

/** A job file that does not compile: which files to look at again. */
export class CompileError extends CodedError {
  readonly files: readonly string[]

  constructor(path: string, failure: Partial<BuildFailure> & Error) {
    super('JOB_FILE_INVALID', `job file "${path}" does not compile: ${failure.message}`)
    const files = (failure.errors ?? []).flatMap(({ location }) => (location === null ? [] : [resolve(location.file)]))
    this.files = [resolve(path), ...files]
  }
}

/** Throws JOB_FILE_INVALID. */
export async function compileJob(path: string): Promise<CompiledJob> {
  return bundle(await readable(path), path)
}

async function readable(path: string): Promise<string> {
  const entry = resolve(path)
  // No cause: what the file system says is not an exception of the user's code, whose stack would be shown.
  await access(entry, constants.R_OK).catch(({ code }: NodeJS.ErrnoException) => {
    throw new CodedError('JOB_FILE_INVALID', `job file "${path}" cannot be read: ${code}`, {
      remedy: 'Name a job file that is there and may be read.'
    })
  })
  return entry
}

/** Throws JOB_FILE_INVALID; an exception of the file's own code keeps its stack as the cause. */
export async function evaluateJob(path: string, code: string): Promise<Job<unknown>> {
  const entry = resolve(path)
  // Beside the job file, so that its packages are found.
  const folder = await mkdtemp(join(dirname(entry), '.cairn-job-')).catch((cause: NodeJS.ErrnoException) => {
    throw new CodedError('JOB_FILE_INVALID', `job file "${path}": nothing can be written beside it: ${cause.code}`, {
      remedy:
        'A compiled copy is put beside the job file for a moment: make its folder writable, and see that there is space.'
    })
  })
  let module: { readonly default?: unknown }
  try {
    const file = join(folder, 'job.mjs')
    await writeFile(file, code)
    module = (await import(pathToFileURL(file).href)) as { readonly default?: unknown }
  } catch (cause) {
    if (cause instanceof CodedError) throw cause
    throw new CodedError(
      'JOB_FILE_INVALID',
      `job file "${path}" throws while it is loaded: ${(cause as Error).message}`,
      { cause }
    )
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  const job = module.default
  if (typeof job !== 'object' || job === null || !('plan' in job))
    throw new CodedError('JOB_FILE_INVALID', `job file "${path}" exports no job as its default`)
  refusePrivateFields((job as Job<unknown>).plan)
  return job as Job<unknown>
}

/**
 * For the simulator, which evaluates it many times: one CommonJS text with the job's packages in it. Throws JOB_FILE_INVALID.
 */
export async function compileForSimulation(path: string): Promise<SimulatedCode> {
  const entry = await readable(path)
  const { code } = await bundle(entry, path, true)
  return { code, fileName: outFile(entry, true), path }
}

export interface SimulatedCode {
  readonly code: string
  readonly fileName: string
  readonly path: string
}

/** Where the code would lie while it is loaded: so the source map leads to the files that the user wrote. */
const outFile = (entry: string, simulated: boolean): string =>
  join(dirname(entry), '.cairn-job', simulated ? 'job.cjs' : 'job.mjs')

async function bundle(entry: string, path: string, simulated = false): Promise<CompiledJob> {
  try {
    const built = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      outfile: outFile(entry, simulated),
      format: simulated ? 'cjs' : 'esm',
      platform: 'node',
      target: 'es2022',
      // Without it a class that names itself is called _Name, and so would its stored state.
      keepNames: true,
      packages: simulated ? 'bundle' : 'external',
      sourcemap: 'inline',
      metafile: true,
      logLevel: 'silent',
      tsconfigRaw: { compilerOptions: { useDefineForClassFields: true } },
      plugins: [
        {
          name: 'cairn',
          setup(setup) {
            setup.onResolve({ filter: /^cairn(\/testing)?$/ }, ({ path }) => ({
              path: simulated ? path : own(path === 'cairn' ? '../actors/index.js' : '../simulations/driver/index.js'),
              external: true
            }))
          }
        }
      ]
    })
    const files = Object.keys(built.metafile.inputs).map(file => resolve(file))
    return { code: built.outputFiles[0]?.text ?? '', files }
  } catch (cause) {
    throw new CompileError(path, cause as BuildFailure)
  }
}
