/** A real process with so much state is killed and started again, with its disk: until it puts out something new. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, watch } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StoreKind } from '../../actors/plan.ts'
import { DirectoryLineages } from '../../checkpoint/adapters/directory-lineages.ts'
import { nodeFiles } from '../../checkpoint/adapters/node-files.ts'
import { DecisionLog } from '../../checkpoint/decision-log.ts'
import { root } from '../../simulations/chaos/installed.ts'
import { WorkerChild } from '../../simulations/chaos/worker-child.ts'
import { quantile } from '../barrier.ts'

export interface RecoverySpec {
  readonly keys: number
  readonly textBytes: number
  readonly store: StoreKind
  readonly intervalsMs: readonly number[]
  /** Kills with each interval. */
  readonly rounds: number
  readonly say: (text: string) => void
}
export interface RecoveryResult {
  readonly intervalMs: number
  /** From SIGKILL to the first new output: median, and all of them. */
  readonly medianMs: number
  readonly worstMs: number
  readonly all: readonly number[]
  /** From SIGKILL until the new process has said that its state is restored: median. */
  readonly restoredMs: number
  /** What it said of that in the last round. */
  readonly restored: string
}

const sayEveryMs = 5000
const restoredMark = 'state restored in'
const listenMs = 5
/** Events a second; while the documents are made, more would only be in their way. */
const [fillingRate, rate] = [100, 10_000]
/** Beyond what is put out when it is asked for. */
const settledEpochs = 3
/** As the sink names its files: lineage, sink, stage, slot, epoch, chunk. */
const epochOf = (file: string): number => Number(/\.(\d{12})-\d{6}/.exec(file)?.[1])

class Life {
  readonly folder = mkdtempSync(join(tmpdir(), 'cairn-bench-'))
  private readonly env: Readonly<Record<string, string>>
  private child: WorkerChild | undefined
  private lives = 0

  constructor({ keys, textBytes, store }: RecoverySpec) {
    process.on('exit', this.removed)
    mkdirSync(join(this.folder, 'checkpoints'))
    copyFileSync(join(root, 'bench', 'checkpoints', 'job.ts'), join(this.folder, 'checkpoints', 'job.ts'))
    copyFileSync(join(root, 'bench', 'document.ts'), join(this.folder, 'document.ts'))
    mkdirSync(this.out)
    this.env = { KEYS: String(keys), TEXT: String(textBytes), STORE: store }
  }

  get out(): string {
    return join(this.folder, 'out')
  }

  begin(intervalMs: number, rate: number): WorkerChild {
    const name = `life-${++this.lives}`
    const args = [join(root, 'deploy', 'bin', 'cairn.cjs'), 'run', join('checkpoints', 'job.ts')]
    const env = { ...this.env, INTERVAL: `${intervalMs}ms`, RATE: String(rate) }
    return (this.child = new WorkerChild({
      name,
      folder: this.folder,
      log: join(this.folder, `${name}.log`),
      args,
      env
    }))
  }

  async kill(): Promise<void> {
    this.child?.signal('SIGKILL')
    await this.child?.exited
  }

  /** The newest decided epoch, of a job that is not running. */
  async head(): Promise<number> {
    const lineage = new DirectoryLineages(nodeFiles, join(this.folder, '.cairn', 'documents')).storage(1)
    const { head } = await DecisionLog.open(lineage, () => 'bench')
    if (head === undefined) throw new Error('nothing was decided')
    return head.epoch
  }

  /** Until a file is put out that `wanted` names. */
  async puts(wanted: (file: string) => boolean): Promise<void> {
    const { child } = this
    const watcher = watch(this.out)
    try {
      await new Promise<void>((resolve, reject) => {
        watcher.on('change', (_, file) => {
          if (String(file).endsWith('.ndjson') && wanted(String(file))) resolve()
        })
        void child?.exited.then(how => reject(new Error(`the job ended with ${how}: ${child.text}`)))
      })
    } finally {
      watcher.close()
    }
  }

  /** Until a few checkpoints more are put out: what was late before is done. */
  async settled(): Promise<void> {
    const seen = new Set<number>()
    await this.puts(file => seen.add(epochOf(file)).size > settledEpochs)
  }

  async close(): Promise<void> {
    await this.kill()
    this.removed()
    process.off('exit', this.removed)
  }

  private readonly removed = (): void => rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 })
}

export async function measureRecovery(spec: RecoverySpec): Promise<RecoveryResult[]> {
  const { say, keys, rounds } = spec
  const life = new Life(spec)
  let child = life.begin(1000, fillingRate)
  const telling = setInterval(() => {
    const [, made] = /.* (\d+) events ·/s.exec(child.text) ?? []
    say(`${made ?? 0} of ${keys} keys are filled`)
  }, sayEveryMs)
  try {
    await life.puts(file => readFileSync(join(life.out, file), 'utf8').includes('"last"'))
    clearInterval(telling)
    await life.settled()
    const results: RecoveryResult[] = []
    for (const intervalMs of spec.intervalsMs) {
      const [all, restored]: [number[], number[]] = [[], []]
      // The first is not counted: the process that it kills had another interval, or made the documents.
      for (let round = 0; round <= rounds; round++) {
        say(`killed, and started again with a checkpoint every ${intervalMs} ms, ${round} of ${rounds}`)
        // Anywhere between two checkpoints.
        await sleep(((round * 7) % 10) * (Math.min(intervalMs, 1000) / 10))
        const start = performance.now()
        await life.kill()
        const head = await life.head()
        child = life.begin(intervalMs, rate)
        const newborn = child
        let restoredMs = NaN
        const listening = setInterval(() => {
          if (!newborn.text.includes(restoredMark)) return
          restoredMs = performance.now() - start
          clearInterval(listening)
        }, listenMs)
        await life.puts(file => epochOf(file) > head).finally(() => clearInterval(listening))
        if (round > 0) {
          all.push(performance.now() - start)
          restored.push(restoredMs)
        }
        await life.settled()
      }
      const said = child.text.slice(child.text.indexOf(restoredMark)).split('\n')[0] ?? ''
      results.push({
        intervalMs,
        medianMs: quantile(all, 0.5),
        worstMs: Math.max(...all),
        all,
        restoredMs: quantile(restored, 0.5),
        restored: said
      })
    }
    return results
  } finally {
    clearInterval(telling)
    await life.close()
  }
}
