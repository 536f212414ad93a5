/**
 * `npm run crash-points -- [--every K] [--effect N [--when before|after] [--trace]]`: the scenario once for each effect and side of it;
 * with `--effect` that one alone, told as a story. Exit code 1 when a run fails.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { failureLines, resultLine } from '../../deploy/simulate/report.ts'
import { SeedPool } from '../../deploy/simulate/seed-pool.ts'
import { crashPointScenario as scenario, runCrashPoints } from '../../simulations/cluster/crash-points.ts'
import { runScenario, type CrashPoint } from '../../simulations/cluster/run-scenario.ts'

const { values } = parseArgs({
  options: {
    every: { type: 'string', default: '1' },
    effect: { type: 'string' },
    when: { type: 'string', default: 'before' },
    trace: { type: 'boolean', default: false }
  }
})
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`
const showEveryMs = 5_000

/** What the run without a crash does to the world, in order; a crash changes only what comes after it. */
const labels: string[] = []
const calm = await runScenario(scenario, { effect: (label, who) => labels.push(`${who}: ${label}`) })
const kindOf = (effect: string): string => effect.slice(effect.indexOf(': ') + 2)

process.exitCode = (await (values.effect === undefined ? all(Number(values.every)) : one(Number(values.effect))))
  ? 0
  : 1

async function one(effect: number): Promise<boolean> {
  if (values.when !== 'before' && values.when !== 'after') throw new TypeError('--when is "before" or "after"')
  const crashPoint: CrashPoint = { effect, when: values.when }
  say(`${values.when} effect ${effect} of ${labels.length}: ${labels[effect] ?? 'there is none'}`)
  const result = await runScenario(scenario, { crashPoint, story: true, ...(values.trace ? { trace: say } : {}) })
  for (const line of result.story ?? []) say(`  ${line}`)
  say(resultLine(result))
  if (result.outcome !== 'passed') for (const line of failureLines(result)) say(line)
  return result.outcome === 'passed'
}

async function all(every: number): Promise<boolean> {
  const processes = availableParallelism()
  const pool = new SeedPool(processes)
  const began = performance.now()
  let shown = began
  try {
    say(`without a crash: ${resultLine(calm)}`)
    const { effects, runs, failed } = await runCrashPoints(
      crashPoint => pool.run(crashPoint === undefined ? { scenario } : { scenario, crashPoint }),
      every,
      (done, of, failures) => {
        const now = performance.now()
        if (now - shown < showEveryMs && done < of) return
        shown = now
        say(`${done} of ${of} runs, ${failures} failed, ${seconds(now - began)}`)
      },
      processes
    )
    const counts = new Map<string, number>()
    for (const label of labels) counts.set(kindOf(label), (counts.get(kindOf(label)) ?? 0) + 1)
    const sorted = [...counts].sort(([, a], [, b]) => b - a)
    say(`${effects} effects: ${sorted.map(([kind, count]) => `${kind} ${count}`).join(', ')}`)
    for (const [{ effect, when }, result] of failed) {
      say(
        `FAILED ${when} effect ${effect} (${labels[effect]}): npm run crash-points -- --effect ${effect} --when ${when}`
      )
      for (const line of failureLines(result)) say(line)
    }
    const took = performance.now() - began
    say(`${runs} runs, each with one crash: ${runs - failed.length} passed, ${failed.length} failed; ${seconds(took)}`)
    return failed.length === 0 && calm.outcome === 'passed'
  } finally {
    pool.close()
  }
}
