/**
 * `npm run fuzz -- [--inputs 1000000] [--seed text] [--only name]`: every decoder, in a thread of its own with a limited heap, watched from here:
 * one that does not come on is stopped and reported.
 */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { fuzz, type Fuzzed } from './run-fuzz.ts'
import { targetsOf } from './targets.ts'

interface Task {
  readonly target: string
  readonly inputs: number
  readonly seed: string
}

/** 1,024 inputs take some milliseconds. */
const hangMs = 60_000

const load = (file: string): Promise<unknown> => import(new URL(`../../${file}`, import.meta.url).href)

if (isMainThread) process.exitCode = await main()
else await work(workerData as Task)

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { inputs: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' } }
  })
  const inputs = Number(values.inputs ?? 1_000_000)
  const seed = values.seed ?? '1'
  if (!Number.isSafeInteger(inputs) || inputs < 1) {
    process.stderr.write(`--inputs ${values.inputs} is no number of inputs\n`)
    return 2
  }
  const names = (await targetsOf(load)).map(({ name }) => name)
  const chosen = names.filter(name => values.only === undefined || name === values.only)
  if (chosen.length === 0) {
    process.stderr.write(`nothing is called "${values.only}"; there are ${names.join(', ')}\n`)
    return 2
  }
  let findings = 0
  let total = 0
  for (const target of chosen) {
    const fuzzed = await watched({ target, inputs, seed })
    total += fuzzed.inputs
    const outcomes = Object.entries(fuzzed.outcomes).sort(([, a], [, b]) => b - a)
    process.stdout.write(
      `${target}: ${fuzzed.inputs} inputs, ${fuzzed.perSecond} per second: ${outcomes.map(([name, count]) => `${name} ${count}`).join(', ')}\n`
    )
    if (fuzzed.finding === undefined) continue
    findings++
    process.stdout.write(`  FOUND ${fuzzed.finding}\n`)
  }
  process.stdout.write(`${chosen.length} decoders, ${total} inputs of seed ${seed}, ${findings} findings\n`)
  return findings === 0 ? 0 : 1
}

function watched(task: Task): Promise<Fuzzed> {
  const worker = new Worker(fileURLToPath(import.meta.url), {
    workerData: task,
    resourceLimits: { maxOldGenerationSizeMb: 256, maxYoungGenerationSizeMb: 16 }
  })
  let done = 0
  const failed = (what: string): Fuzzed => ({
    target: task.target,
    inputs: done,
    perSecond: 0,
    outcomes: {},
    finding: `${what} within the 1024 inputs from ${done} on, of seed ${task.seed}`
  })
  return new Promise(resolve => {
    const end = (fuzzed: Fuzzed): void => {
      clearTimeout(timer)
      void worker.terminate()
      resolve(fuzzed)
    }
    const arm = (): NodeJS.Timeout => setTimeout(() => end(failed(`no progress for ${hangMs / 1000} s`)), hangMs)
    let timer = arm()
    worker.on('message', (told: number | Fuzzed) => {
      if (typeof told !== 'number') return end(told)
      done = told
      clearTimeout(timer)
      timer = arm()
    })
    worker.on('error', error => end(failed(error.message)))
  })
}

async function work({ target, inputs, seed }: Task): Promise<void> {
  const found = (await targetsOf(load)).find(({ name }) => name === target)
  if (found === undefined) throw new Error(`no decoder "${target}"`)
  parentPort?.postMessage(fuzz(found, inputs, seed, done => parentPort?.postMessage(done)))
}
