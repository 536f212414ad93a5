/** `--metrics <host:port>`: what the command line needs of this folder. */
import { readFileSync } from 'node:fs'
import type { ClusterWorker } from '../../runtime/shell/cluster-worker.ts'
import type { Address } from '../address.ts'
import { startHealthServer, type HealthServer } from './health-server.ts'
import type { JobMeters } from './job-meters.ts'
import { openMetricsPage } from './metrics-page.ts'
import type { Observed } from './observed.ts'

/** Nothing when `address` is undefined. Rejects with OPTION_INVALID where nothing can listen, PACKAGE_MISSING. */
export async function serveMetrics(
  address: Address | undefined,
  meters: JobMeters,
  observe: () => Observed
): Promise<HealthServer | undefined> {
  if (address === undefined) return undefined
  const page = await openMetricsPage({ observe, meters, version: packageVersion() })
  try {
    return await startHealthServer('--metrics', address, page, observe)
  } catch (error) {
    page.close()
    throw error
  }
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}

/** @param started undefined: it does not take part yet */
export function observeWorker(
  job: string,
  worker: string,
  started: { readonly worker: ClusterWorker; readonly connected: () => boolean } | undefined
): Observed {
  const own = started?.worker
  return {
    job,
    worker,
    state: own?.phase ?? 'connecting',
    leaving: own?.isLeaving ?? false,
    generation: own?.generationNumber ?? 0,
    generations: own?.generations ?? 0,
    failures: own?.failures ?? 0,
    leads: own?.leads ?? false,
    connected: started?.connected() ?? false,
    gauges: own?.generation?.shell.gauges,
    pace: own?.leadership?.pace,
    trouble: own?.failure
  }
}
