/**
 * Runs the general swarm, the same seeds for all, on a build with a mistake planted, until a checker notices.
 * `node hunt.js <folder of the build> <first seed> <seeds> [<what worlds to draw, as JSON>]`; prints one JSON line.
 */
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { RunResult } from '../../simulations/cluster/run-scenario.ts'
import type { Scenario } from '../../simulations/cluster/scenario.ts'

export interface Hunted {
  /** Seeds that were run, the one that found it included. */
  readonly seeds: number
  readonly events: number
  /** Undefined: nothing noticed it. */
  readonly found:
    { readonly seed: string; readonly outcome: string; readonly checker: string; readonly what: string } | undefined
}

const [folder = '', first = '1', seeds = '300', worlds = '{}'] = process.argv.slice(2)
const options = JSON.parse(worlds) as object
const load = async (file: string): Promise<unknown> => import(pathToFileURL(join(folder, file)).href)
const { runScenario } = (await load('simulations/cluster/run-scenario.js')) as {
  runScenario: (scenario: Scenario) => Promise<RunResult>
}
const { drawScenario } = (await load('simulations/cluster/scenario.js')) as {
  drawScenario: (seed: string, options: object) => Scenario
}

let events = 0
for (let i = 0; i < Number(seeds); i++) {
  const seed = String(Number(first) + i)
  const result = await runScenario(drawScenario(seed, options))
  events += result.events
  if (result.outcome === 'passed') continue
  const finding = result.findings[0]
  const what = finding?.violation ?? result.crashes[0] ?? result.waitingFor.join('; ')
  tell({
    seeds: i + 1,
    events,
    found: { seed, outcome: result.outcome, checker: finding?.checker ?? result.outcome, what: what.slice(0, 300) }
  })
}
tell({ seeds: Number(seeds), events, found: undefined })

function tell(hunted: Hunted): never {
  process.stdout.write(`${JSON.stringify(hunted)}\n`)
  process.exit(0)
}
