/** One worker's part in the election of a leader: carries out at the lease what its elector asks. The lease is advice; the decision log decides. */
import { Elector, type ElectorAction, type ElectorCommand, type ElectorTiming } from '../core/elector.ts'
import type { ControlBus } from '../ports/control-bus.ts'

const leaseKey = 'leader'

export interface CandidacySettings {
  /** This incarnation. */
  readonly worker: string
  readonly leases: ControlBus['leases']
  readonly timing: ElectorTiming
  readonly elapsed: () => number
  readonly elected: () => void
  readonly deposed: () => void
}

export class Candidacy {
  private readonly settings: CandidacySettings
  private readonly elector: Elector
  private over = false

  constructor(settings: CandidacySettings) {
    this.settings = settings
    this.elector = new Elector(settings.worker, settings.timing)
  }

  get leads(): boolean {
    return this.elector.leads
  }

  nextDeadlineMs(): number {
    return this.elector.nextDeadlineMs()
  }

  step(command: ElectorCommand): void {
    if (this.over) return
    for (const action of this.elector.step(command, this.settings.elapsed())) this.carryOut(action)
  }

  /** Takes part no more. Undefined: it holds nothing; else rejects when it cannot be told whether the lease is free. */
  giveBack(): Promise<unknown> | undefined {
    this.over = true
    const { held } = this.elector
    return held === undefined ? undefined : this.settings.leases.remove(leaseKey, held)
  }

  private carryOut(action: ElectorAction): void {
    const { leases, elected, deposed } = this.settings
    switch (action.kind) {
      case 'get':
      case 'put':
        void this.ask(action).then(answer => this.step(answer))
        break
      case 'remove':
        leases.remove(leaseKey, action.revision).catch(() => undefined)
        break
      case 'elected':
        elected()
        break
      case 'deposed':
        deposed()
    }
  }

  /** Whatever goes wrong leaves it unknown. */
  private async ask(action: Extract<ElectorAction, { kind: 'get' | 'put' }>): Promise<ElectorCommand> {
    const { leases, worker } = this.settings
    try {
      if (action.kind === 'put')
        return {
          kind: 'written',
          outcome: await leases.put(leaseKey, new TextEncoder().encode(worker), action.revision)
        }
      const entry = await leases.get(leaseKey)
      if (entry === undefined) return { kind: 'got', entry: undefined }
      return { kind: 'got', entry: { holder: new TextDecoder().decode(entry.value), revision: entry.revision } }
    } catch {
      return { kind: 'unknown' }
    }
  }
}
