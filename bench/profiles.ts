/** Profiles of this process by stage, of CPU and of memory: each sample is put down to the stage that the innermost known file on its stack belongs to. */
import { Session, type HeapProfiler, type Profiler } from 'node:inspector/promises'
import { stageNames, stageOf, type Frame } from './stages.ts'

/** By name of the stage. */
export type ByStage = Readonly<Record<string, number>>

export class CpuProfile {
  private readonly session: Session

  private constructor(session: Session) {
    this.session = session
  }

  static async start(): Promise<CpuProfile> {
    const session = new Session()
    session.connect()
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 500 })
    await session.post('Profiler.start')
    return new CpuProfile(session)
  }

  /** Shares, which sum up to 1. @param isDropped what a frame that it is true of has called, and itself, is left out */
  async stop(isDropped: (frame: Frame) => boolean = () => false): Promise<ByStage> {
    const { profile } = await this.session.post('Profiler.stop')
    this.session.disconnect()
    return sharesOf(profile, isDropped)
  }
}

/** Bytes between two samples, on average. */
const samplingBytes = 8192

/**
 * What JavaScript allocates on its heap, also what garbage collection has freed again (V8's sampling heap profiler, Poisson distributed). Not what
 * buffers hold outside of it.
 */
export class AllocationProfile {
  private readonly session: Session

  private constructor(session: Session) {
    this.session = session
  }

  static async start(): Promise<AllocationProfile> {
    const session = new Session()
    session.connect()
    await session.post('HeapProfiler.startSampling', {
      samplingInterval: samplingBytes,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true
    })
    return new AllocationProfile(session)
  }

  /** Bytes by name of the stage. @param isDropped as of a CPU profile */
  async stop(isDropped: (frame: Frame) => boolean = () => false): Promise<ByStage> {
    const { profile } = await this.session.post('HeapProfiler.stopSampling')
    this.session.disconnect()
    const bytes = new Map<string, number>()
    const walk = (
      { callFrame, selfSize, children }: HeapProfiler.SamplingHeapProfileNode,
      inherited?: string
    ): void => {
      if (isDropped(callFrame)) return
      const stage = stageOf(callFrame) ?? inherited ?? 'other'
      bytes.set(stage, (bytes.get(stage) ?? 0) + selfSize)
      for (const child of children) walk(child, stage)
    }
    walk(profile.head)
    return Object.fromEntries(stageNames.map(stage => [stage, bytes.get(stage) ?? 0]))
  }
}

const dropped = 'dropped'

function sharesOf(
  { nodes, samples = [], timeDeltas = [] }: Profiler.Profile,
  isDropped: (frame: Frame) => boolean
): ByStage {
  const byId = new Map(nodes.map(node => [node.id, node]))
  // Parents come before their children.
  const stageById = new Map<number, string>()
  for (const { id, callFrame, children = [] } of nodes) {
    const inherited = stageById.get(id)
    const own = inherited === dropped || isDropped(callFrame) ? dropped : (stageOf(callFrame) ?? inherited ?? 'other')
    stageById.set(id, own)
    for (const child of children) stageById.set(child, own)
  }
  const times = new Map<string, number>()
  samples.forEach((id, i) => {
    const name = byId.get(id)?.callFrame.functionName
    if (name === '(idle)' || name === '(program)') return
    const stage = name === '(garbage collector)' ? 'garbage collection' : (stageById.get(id) ?? 'other')
    if (stage !== dropped) times.set(stage, (times.get(stage) ?? 0) + (timeDeltas[i + 1] ?? 0))
  })
  const total = [...times.values()].reduce((a, b) => a + b, 0)
  return Object.fromEntries(stageNames.map(stage => [stage, (times.get(stage) ?? 0) / total]))
}
