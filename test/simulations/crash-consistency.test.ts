/**
 * Jobs on a disk that forgets: processes are killed and machines go down at random file operations, again and again; output and
 * state equal those of an undisturbed run, and nothing stored is ever found damaged.
 */
import t from 'tap'
import type { Job } from '../../actors/index.ts'
import { Prng } from '../../runtime/kernel/prng.ts'
import { ForgetfulFiles, type Fault, type ForgetfulOptions } from '../../simulations/forgetful-files.ts'
import { differences, DiskWorld, isDiskFailure, type Remains, type Settings } from '../support/disk-world.ts'
import { lifeJobs, randomFeed, type Feed } from '../support/life-jobs.ts'

t.setTimeout(3_000_000)
const timeout = { timeout: 3_000_000 }

const base = process.env['CAIRN_SEED'] ?? String(process.hrtime.bigint())
const calm: Settings = { parallelism: 1, cacheBytes: undefined }

const randomSettings = (random: Prng): Settings => ({
  parallelism: 1 + random.int(3),
  cacheBytes: random.int(3) === 0 ? 1 : undefined
})

async function undisturbed(job: Job<unknown>, feed: Feed, random: Prng): Promise<Remains> {
  const world = new DiskWorld(new ForgetfulFiles(), job, feed, random)
  const ending = await world.run(calm)
  if (ending !== 'finished') throw typeof ending === 'object' ? ending.failed : new Error(ending)
  return world.remains()
}

/** What is wrong after a life of `interruptions`, [] = nothing. */
async function lifeOf(
  seed: string,
  options: ForgetfulOptions,
  interrupt: (world: DiskWorld, random: Prng) => Promise<void>
): Promise<string[]> {
  const random = new Prng(seed)
  const job = lifeJobs[random.int(lifeJobs.length)] as Job<unknown>
  const feed = randomFeed(job, random.fork('feed'), 2, 160)
  const expected = await undisturbed(job, feed, random.fork('calm'))
  const world = new DiskWorld(new ForgetfulFiles(options), job, feed, random.fork('world'))
  try {
    await interrupt(world, random.fork('interruptions'))
    world.files.fault = undefined
    const ending = await world.run(randomSettings(random))
    if (ending !== 'finished') return [typeof ending === 'object' ? String(ending.failed) : ending]
    return differences(expected, await world.remains())
  } catch (error) {
    return [String(error)]
  }
}

/** Several runs, each cut off at some operation or some turn; then the machine forgets, or only the process is gone. */
async function crashes(world: DiskWorld, random: Prng): Promise<void> {
  for (let left = 1 + random.int(6); left > 0; left--) {
    const { files } = world
    const halt = random.int(3) > 0 ? files.operations + 1 + random.int(150) : Infinity
    files.fault = () => (files.operations >= halt ? { kind: 'halt' } : undefined)
    const ending = await world.run(randomSettings(random), 1 + random.int(400))
    if (typeof ending === 'object') throw ending.failed
    if (random.int(3) === 0) world.kill()
    else world.crash()
  }
}

const randomFault = (random: Prng): Fault =>
  random.int(2) === 0 ? { kind: 'deny', code: 'EIO' } : { kind: 'refuse', code: random.int(2) === 0 ? 'ENOSPC' : 'EIO' }

/** Operations fail here and there; a job that ended for it is started again, a machine goes down now and then. */
async function failures(world: DiskWorld, random: Prng): Promise<void> {
  for (let left = 1 + random.int(8); left > 0; left--) {
    const oneIn = 2 + random.int(60)
    world.files.fault = () => (random.int(oneIn) === 0 ? randomFault(random) : undefined)
    const ending = await world.run(randomSettings(random), 1 + random.int(400))
    if (typeof ending === 'object' && !isDiskFailure(ending.failed)) throw ending.failed
    if (random.int(2) === 0) world.kill()
    else world.crash()
  }
}

/** More find more, and take a tenth of a second each. */
const lives = Number(process.env['CAIRN_LIVES'] ?? 150)
const seeds = (what: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${base}/${what}/${i}`)

const properties = { crashes, failures }
for (const [what, interrupt] of Object.entries(properties))
  void t.test(
    `${what} at random file operations: output and state are those of an undisturbed run`,
    timeout,
    async t => {
      t.comment(`CAIRN_SEED=${base}`)
      for (const seed of seeds(what, lives)) {
        const wrong = await lifeOf(seed, {}, interrupt)
        if (wrong.length > 0) return t.fail(`seed ${seed}`, { wrong })
      }
      t.pass(`${lives} lives`)
    }
  )

void t.test('checkpoint storage that fails now and then does not end the job', timeout, async t => {
  for (const seed of seeds('storage', 60)) {
    const wrong = await lifeOf(seed, {}, async (world, random) => {
      let left = 40
      let began = false
      world.files.fault = path => {
        // What a starting job reads and writes, it needs.
        began ||= path.includes('/deltas') || path.includes('/outbox')
        return began && path.startsWith('/checkpoints') && left > 0 && random.int(4) === 0
          ? (left--, randomFault(random))
          : undefined
      }
      const ending = await world.run(randomSettings(random))
      if (ending !== 'finished') throw typeof ending === 'object' ? ending.failed : new Error(ending)
      world.kill()
    })
    if (wrong.length > 0) return t.fail(`seed ${seed}`, { wrong })
  }
  t.pass('60 lives')
})

const mistakes: Record<string, ForgetfulOptions> = {
  'files that are not synced': { writesUnsynced: true },
  'folders that are not synced': { foldersUnsynced: true }
}
for (const [mistake, options] of Object.entries(mistakes))
  void t.test(`${mistake} are noticed`, timeout, async t => {
    let noticed = 0
    for (const seed of seeds('planted', 25)) if ((await lifeOf(seed, options, crashes)).length > 0) noticed++
    t.ok(noticed >= 3, `in ${noticed} of 25 lives`)
  })
