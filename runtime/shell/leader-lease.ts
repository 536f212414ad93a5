/** The lease by which one worker at a time believes to lead, as requests to the control bus. It is advice: the decision log decides. */
import type { ElectorAction, ElectorCommand } from '../core/elector.ts'
import type { ControlBus } from '../ports/control-bus.ts'

const leaseKey = 'leader'

type Leases = ControlBus['leases']

/** Whatever goes wrong leaves it unknown. */
export async function askLease(
  leases: Leases,
  worker: string,
  action: Extract<ElectorAction, { kind: 'get' | 'put' }>
): Promise<ElectorCommand> {
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

/** So that the next leader need not wait until it expires. */
export function giveLeaseBack(leases: Leases, revision: number): void {
  leases.remove(leaseKey, revision).catch(() => undefined)
}
