/** Plants each mistake into a copy of the build, and lets a short chaos run look for it. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { patchedBuild } from '../patched-build.ts'
import { chaosRun, type ChaosOptions, type ChaosReport } from './chaos-run.ts'
import { mistakes, type Mistake } from './mistakes.ts'
import { passed } from './report.ts'

export type PlantedOptions = Pick<ChaosOptions, 'seed' | 'workers' | 'natsProgram' | 'network' | 'say'> & {
  readonly folder: string
}

const durationMs = 20_000
const events = 40_000
/** A mistake may stop the job for good: that, too, is noticed. */
const stillMs = 40_000
const finishMs = 90_000

/** Those whose name holds `only`. Answers how many went unnoticed. */
export async function plantAll(only: string, options: PlantedOptions): Promise<number> {
  const wanted = mistakes.filter(({ name }) => name.includes(only))
  let unnoticed = 0
  for (const mistake of wanted) {
    const report = await plant(mistake, options)
    const right = passed(report)
    if (right) unnoticed++
    const what = report.findings[0] ?? report.stuck?.split('\n')[0] ?? 'output and state are right'
    process.stdout.write(
      `${right ? 'NOT NOTICED' : 'noticed    '}  ${mistake.name}\n             ${what.slice(0, 300)}\n`
    )
  }
  process.stdout.write(`${wanted.length - unnoticed} of ${wanted.length} noticed\n`)
  return unnoticed
}

async function plant({ name, patches }: Mistake, options: PlantedOptions): Promise<ChaosReport> {
  const build = patchedBuild(patches)
  const folder = join(options.folder, name.replaceAll(' ', '-'))
  mkdirSync(folder)
  options.say(`${name} …`)
  try {
    const report = await chaosRun({
      ...options,
      folder,
      durationMs,
      events,
      stillMs,
      finishMs,
      cairn: [join(build.folder, 'deploy', 'main.js')],
      counts: {
        kill: 6,
        'kill-all': 1,
        'kill-leader': 5,
        pause: 0,
        cut: 1,
        'cut-nats': 0,
        'restart-nats': 0,
        'wipe-disk': 0,
        join: 0,
        drain: 0,
        'rolling-restart': 0
      }
    })
    // What shows a mistake is of use; what does not, is not.
    if (!passed(report)) rmSync(join(folder, 'in'), { recursive: true, force: true })
    return report
  } finally {
    build.remove()
  }
}
