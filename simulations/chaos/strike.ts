/** Does one fault of the plan to the world, and what undoes it later. */
import type { Fault, Moment } from './plan.ts'
import type { Watch } from './watch.ts'
import type { Managed, World } from './world.ts'

export interface Battlefield {
  readonly world: World
  readonly watch: Watch
  /** Workers there are in a calm moment. */
  readonly workers: number
  /** Runs the command line. */
  readonly cairn: (...args: string[]) => Promise<void>
  /** It happens now: told before the blow. */
  readonly strikes: (fault: Fault, what: string) => void
  readonly sleep: (ms: number) => Promise<void>
}

/** How long a fault waits for its moment. */
const momentMs = 5_000
const lookMs = 2
/** A worker that was told to go hands over behind a checkpoint; with other faults about that may take some. */
const leaveMs = 45_000

/** False: there was nobody to strike. */
export async function strike(fault: Fault, field: Battlefield): Promise<boolean> {
  const { world, strikes, sleep } = field
  switch (fault.kind) {
    case 'kill':
    case 'wipe-disk': {
      const victim = pick(field, fault.worker)
      if (victim === undefined) return false
      strikes(fault, victim.name)
      await killAndBack(field, victim, fault.downMs, fault.kind === 'wipe-disk')
      return true
    }
    case 'kill-all': {
      const victims = world.up()
      if (victims.length === 0) return false
      strikes(fault, victims.map(({ name }) => name).join(' '))
      await Promise.all(victims.map(victim => killAndBack(field, victim, fault.downMs, false)))
      return true
    }
    case 'kill-leader': {
      const leader = await leaderAt(fault.during, field)
      if (leader === undefined) return false
      strikes(fault, leader.name)
      await killAndBack(field, leader, fault.downMs, false)
      return true
    }
    case 'pause': {
      const victim = pick(field, fault.worker)
      if (victim === undefined) return false
      strikes(fault, `${victim.name} for ${fault.forMs} ms`)
      victim.state = 'paused'
      victim.child?.signal('SIGSTOP')
      await sleep(fault.forMs)
      victim.child?.signal('SIGCONT')
      if (victim.child?.isOver === false) victim.state = 'up'
      return true
    }
    case 'cut': {
      const from = pick(field, fault.from)
      const to = pick(field, fault.to, from)
      if (from === undefined || to === undefined) return false
      strikes(fault, `${fault.how} between ${from.name} and ${to.name} for ${fault.forMs} ms`)
      const heal = world.network.cut(from.name, to.name, fault.how)
      await sleep(fault.forMs)
      heal()
      return true
    }
    case 'cut-nats': {
      const victim = pick(field, fault.worker)
      if (victim === undefined) return false
      strikes(fault, `${fault.how} between ${victim.name} and NATS for ${fault.forMs} ms`)
      const heal = world.network.cutNats(victim.name, fault.how)
      await sleep(fault.forMs)
      heal()
      return true
    }
    case 'restart-nats':
      strikes(fault, `${fault.empty ? 'empty' : 'with its data'}, away for ${fault.downMs} ms`)
      await world.nats.kill()
      await sleep(fault.downMs)
      await (fault.empty ? world.nats.restartEmpty() : world.nats.restart())
      return true
    case 'join': {
      // One that has left comes back; else somebody new.
      const gone = world.workers.find(({ state }) => state === 'over')
      strikes(fault, gone?.name ?? `w${world.workers.length + 1}`)
      if (gone === undefined) await world.add()
      else world.begin(gone)
      return true
    }
    case 'drain':
      return drain(fault, field)
    case 'rolling-restart':
      return rollingRestart(fault, field)
  }
}

function pick({ world }: Battlefield, index: number, other?: Managed): Managed | undefined {
  const { workers } = world
  for (let i = 0; i < workers.length; i++) {
    const candidate = workers[(index + i) % workers.length]
    if (candidate?.state === 'up' && candidate !== other) return candidate
  }
  return undefined
}

async function killAndBack(
  { world, sleep }: Battlefield,
  victim: Managed,
  downMs: number,
  wipes: boolean
): Promise<void> {
  await world.kill(victim)
  if (wipes) world.wipe(victim)
  await sleep(downMs)
  if (victim.state === 'down') world.begin(victim)
}

async function leaderAt(during: Moment, { world, watch, sleep }: Battlefield): Promise<Managed | undefined> {
  const leading = (): Managed | undefined => world.up().find(({ name }) => name === watch.leader)
  const before = watch.decidedEpoch
  const isNow = (): boolean => {
    if (during === 'checkpoint') return watch.checkpointRuns
    return during === 'anything' || (watch.decidedEpoch !== undefined && watch.decidedEpoch !== before)
  }
  for (const end = performance.now() + momentMs; performance.now() < end; await sleep(lookMs)) {
    const leader = leading()
    if (leader !== undefined && isNow()) return leader
  }
  return leading()
}

async function drain(fault: Fault, field: Battlefield): Promise<boolean> {
  const { world, cairn, strikes, workers } = field
  const victim = world.up().at(-1)
  if (victim === undefined || world.up().length < 2) return false
  strikes(fault, victim.name)
  victim.state = 'leaving'
  try {
    await cairn(
      'worker',
      'drain',
      victim.name,
      '--job',
      'chaos',
      '--nats',
      world.natsAddress,
      '--storage',
      world.storage
    )
    await world.gone(victim, leaveMs)
  } catch {
    // NATS is away, too: a supervisor says it by a signal.
    await world.leave(victim, leaveMs)
  }
  const there = world.workers.filter(({ state }) => state !== 'over').length
  if (there < workers) world.begin(victim)
  return true
}

async function rollingRestart(fault: Fault, field: Battlefield): Promise<boolean> {
  const { world, strikes } = field
  strikes(fault, 'one after the other')
  for (const worker of [...world.workers]) {
    if (worker.state !== 'up') continue
    await world.leave(worker, leaveMs)
    world.begin(worker)
  }
  return true
}
