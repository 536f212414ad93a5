/** The conformance suites catch planted bugs; without one they pass. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { mutants } from './mutants.ts'

const script = fileURLToPath(new URL('./mutants.js', import.meta.url))

/** Bails at the first failure: a reader that never ends would keep the others busy. */
function exitCode(mutant: string): Promise<number | null> {
  const child = spawn(process.execPath, [script, mutant], {
    stdio: 'ignore',
    env: { ...process.env, TAP_BAIL: '1', TAP_TIMEOUT: '10' }
  })
  return new Promise(resolve => child.on('close', code => resolve(code)))
}

for (const mutant of mutants)
  void t.test(mutant, async t => {
    if (mutant.endsWith(': none')) t.equal(await exitCode(mutant), 0, 'the truth passes')
    else t.not(await exitCode(mutant), 0, 'it is caught')
  })
