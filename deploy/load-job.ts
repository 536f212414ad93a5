/** Loads a job file: TypeScript through esbuild (ES2022, define semantics), so that what the probe sees is what was written. */
import { access, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'esbuild'
import type { Job } from '../actors/stream.ts'
import { CodedError } from '../runtime/kernel/errors.ts'
import { refusePrivateFields } from './private-fields.ts'

const own = (path: string): string => pathToFileURL(fileURLToPath(new URL(path, import.meta.url))).href

/** Throws JOB_FILE_INVALID; an exception of the file's own code keeps its stack as the cause. */
export async function loadJob(path: string): Promise<Job<unknown>> {
  const entry = resolve(path)
  await access(entry).catch((cause: unknown) => {
    throw new CodedError('JOB_FILE_INVALID', `job file "${path}" cannot be read`, { cause })
  })
  const code = await bundle(entry, path)
  const folder = await mkdtemp(join(dirname(entry), '.cairn-job-'))
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

async function bundle(entry: string, path: string): Promise<string> {
  try {
    const built = await build({
      entryPoints: [entry],
      bundle: true,
      write: false,
      format: 'esm',
      platform: 'node',
      target: 'es2022',
      // Without it a class that names itself is called _Name, and so would its stored state.
      keepNames: true,
      packages: 'external',
      sourcemap: 'inline',
      logLevel: 'silent',
      tsconfigRaw: { compilerOptions: { useDefineForClassFields: true } },
      plugins: [
        {
          name: 'cairn',
          setup(setup) {
            setup.onResolve({ filter: /^cairn$/ }, () => ({ path: own('../actors/index.js'), external: true }))
          }
        }
      ]
    })
    return built.outputFiles[0]?.text ?? ''
  } catch (cause) {
    throw new CodedError('JOB_FILE_INVALID', `job file "${path}" does not compile: ${(cause as Error).message}`)
  }
}
