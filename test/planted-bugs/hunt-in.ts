/** Runs `hunt.ts` on a build, in a process of its own. */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Hunted } from './hunt.ts'
import type { Worlds } from './mistakes.ts'

const hunter = fileURLToPath(new URL('./hunt.js', import.meta.url))

export type HuntOutcome = Hunted | { readonly error: string }

export function huntIn(folder: string, first: string, seeds: string, among?: Worlds): Promise<HuntOutcome> {
  const worlds = JSON.stringify({ only: among?.faults, records: among?.records })
  return new Promise(resolve =>
    execFile(
      process.execPath,
      ['--single-threaded-gc', '--max-semi-space-size=64', hunter, folder, first, seeds, worlds],
      { maxBuffer: 1 << 24 },
      (error, stdout, stderr) => {
        const line = stdout.trim().split('\n').at(-1) ?? ''
        if (line.startsWith('{')) resolve(JSON.parse(line) as Hunted)
        else resolve({ error: (stderr || (error?.message ?? 'no answer')).slice(0, 500) })
      }
    )
  )
}
