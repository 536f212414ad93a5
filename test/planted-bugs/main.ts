/**
 * `npm run planted-bugs`: plants each mistake into a copy of the build and lets the general swarm look for it: the table says after how
 * many seeds which checker noticed. Exit code 1 when a mistake was not noticed, or a harmless change was.
 */
import { execFile } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Hunted } from './hunt.ts'
import { mistakes, type Mistake } from './mistakes.ts'
import { patchedBuild } from '../../simulations/patched-build.ts'

const hunter = fileURLToPath(new URL('./hunt.js', import.meta.url))
const [only = '', seeds = '200', first = '1'] = process.argv.slice(2)
const wanted = mistakes.filter(({ name }) => name.includes(only))

let next = 0
let wrong = 0
let done = 0
const lane = async (): Promise<void> => {
  for (let at = next++; at < wanted.length; at = next++) {
    const mistake = wanted[at] as Mistake
    const build = patchedBuild(mistake.changes.map(([file, find, replace]) => ({ file, find, replace })))
    try {
      report(mistake, await hunt(build.folder, mistake.harmless === true ? '50' : seeds))
    } finally {
      build.remove()
    }
  }
}

process.stdout.write(`seeds   checker                  mistake\n`)
await Promise.all(Array.from({ length: availableParallelism() }, lane))
process.stdout.write(`${done} of ${wanted.length}: ${done - wrong} as they should be, ${wrong} not\n`)
process.exitCode = wrong === 0 ? 0 : 1

function hunt(folder: string, count: string): Promise<Hunted | { readonly error: string }> {
  return new Promise(resolve =>
    execFile(process.execPath, [hunter, folder, first, count], { maxBuffer: 1 << 24 }, (error, stdout, stderr) => {
      const line = stdout.trim().split('\n').at(-1) ?? ''
      if (line.startsWith('{')) resolve(JSON.parse(line) as Hunted)
      else resolve({ error: (stderr || (error?.message ?? 'no answer')).slice(0, 500) })
    })
  )
}

function report(mistake: Mistake, hunted: Hunted | { readonly error: string }): void {
  done++
  // A process that dies of the mistake has noticed it.
  const found = 'error' in hunted ? { checker: 'process died', what: hunted.error } : hunted.found
  const count = 'error' in hunted ? '?' : String(hunted.seeds)
  const right = (found === undefined) === (mistake.harmless === true)
  if (!right) wrong++
  const checker = found?.checker ?? (mistake.harmless === true ? '- (harmless)' : 'NOT NOTICED')
  process.stdout.write(`${count.padStart(5)}   ${checker.padEnd(24)} ${mistake.name}${right ? '' : '   <<<'}\n`)
  if (!right && found !== undefined) process.stdout.write(`        ${found.what}\n`)
}
