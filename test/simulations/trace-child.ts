/** `node trace-child.js <folder of a build> <seed>…`: prints the trace hash of each seed. */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { Scenario } from '../../simulations/cluster/scenario.ts'

const [folder = '', ...seeds] = process.argv.slice(2)
const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href)
const { runScenario } = (await load('simulations/cluster/run-scenario.js')) as {
  runScenario: (scenario: Scenario) => Promise<RunResult>
}
const { drawScenario } = (await load('simulations/cluster/scenario.js')) as { drawScenario: (seed: string) => Scenario }

for (const seed of seeds) process.stdout.write(`${(await runScenario(drawScenario(seed))).traceHash}\n`)
