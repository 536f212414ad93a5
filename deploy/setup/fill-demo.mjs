/** Set-up of the demo: its flights, appended once to a topic of its log. Call it after `prepare`. */
import { join } from 'node:path'
import { root } from './prepare.mjs'

export const demoFolder = join(root, '.cairn', 'airports')

/** 'running' when a process has the log open: then it is filled already. */
export async function fillDemo() {
  const { nodeClock } = await import('../../dist/runtime/adapters/node-clock.js')
  const { fillFlights } = await import('../../dist/deploy/demo/flights.js')
  const dataset = join(root, 'node_modules/vega-datasets/data/flights-20k.json')
  try {
    const lines = await fillFlights(join(demoFolder, 'log'), dataset, nodeClock)
    if (lines > 0)
      process.stderr.write(`filled the demo's topic "flights" with ${lines} lines, four of them broken on purpose\n`)
    return 'filled'
  } catch (error) {
    if (error.code !== 'LOCKED') throw error
    return 'running'
  }
}
