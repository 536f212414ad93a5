/**
 * `npm run planted-bugs`: plants each mistake into a copy of the build and lets the general swarm look for it: the table says after how
 * many seeds which checker noticed. Exit code 1 when a mistake was not noticed, or a harmless change was.
 */
import { availableParallelism } from 'node:os'
import { Command } from 'commander'
import { huntIn, type HuntOutcome } from './hunt-in.ts'
import { mistakes, type Mistake } from './mistakes.ts'
import { patchedBuild } from '../../simulations/patched-build.ts'

const { args } = new Command('npm run planted-bugs --')
  .description('Plants mistakes into copies of the build, and looks for each with the same random worlds.')
  .argument('[name]', 'only mistakes whose name holds this text', '')
  .argument('[seeds]', 'at most so many worlds each', '300')
  .argument('[first]', 'the first seed', '1')
  .addHelpText(
    'after',
    '\nEach takes up to some minutes; all of them 25 on two cores. Exit code 1: one was not noticed, or what is none was; 2: none has that name.'
  )
  .parse()
const [only = '', seeds = '300', first = '1'] = args
const wanted = mistakes.filter(({ name }) => name.includes(only))
if (wanted.length === 0) {
  process.stderr.write(
    `no mistake has "${only}" in its name; there are:\n${mistakes.map(({ name }) => `  ${name}\n`).join('')}`
  )
  process.exit(2)
}

let next = 0
let wrong = 0
let done = 0
const lane = async (): Promise<void> => {
  for (let at = next++; at < wanted.length; at = next++) {
    const mistake = wanted[at] as Mistake
    const build = patchedBuild(mistake.changes.map(([file, find, replace]) => ({ file, find, replace })))
    try {
      report(mistake, await huntIn(build.folder, first, mistake.harmless === true ? '50' : seeds, mistake.among))
    } finally {
      build.remove()
    }
  }
}

process.stdout.write(`seeds   checker                  mistake\n`)
await Promise.all(Array.from({ length: availableParallelism() }, lane))
process.stdout.write(`${done} of ${wanted.length}: ${done - wrong} as they should be, ${wrong} not\n`)
process.exitCode = wrong === 0 ? 0 : 1

function report(mistake: Mistake, hunted: HuntOutcome): void {
  done++
  // A process that dies of the mistake has noticed it.
  const found = 'error' in hunted ? { checker: 'process died', what: hunted.error } : hunted.found
  const count = 'error' in hunted ? '?' : String(hunted.seeds)
  const right = mistake.unseen !== undefined || (found === undefined) === (mistake.harmless === true)
  if (!right) wrong++
  const checker =
    found?.checker ??
    (mistake.harmless === true ? '- (harmless)' : mistake.unseen === undefined ? 'NOT NOTICED' : '- (see below)')
  process.stdout.write(`${count.padStart(5)}   ${checker.padEnd(24)} ${mistake.name}${right ? '' : '   <<<'}\n`)
  if (mistake.among !== undefined) {
    const { faults, records, why } = mistake.among
    const short = records === undefined ? '' : ` and ${records} records`
    process.stdout.write(`        in worlds with ${faults.join()} alone${short}: ${why}\n`)
  }
  if (mistake.unseen !== undefined && found === undefined) process.stdout.write(`        ${mistake.unseen}\n`)
  if (!right && found !== undefined) process.stdout.write(`        ${found.what}\n`)
}
