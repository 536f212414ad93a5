/** The page that Prometheus reads. Everything is read when it is asked for. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type * as PromClient from 'prom-client'
import { CodedError } from '../../runtime/kernel/errors.ts'
import type { JobMeters } from './job-meters.ts'
import { metricTable, type MetricSpec, type Reading, type Sample } from './metric-table.ts'
import type { Observed } from './observed.ts'

export interface MetricsPage {
  readonly contentType: string
  text(): Promise<string>
  close(): void
}

export interface PageSettings {
  readonly observe: () => Observed
  readonly meters: JobMeters
  readonly version: string
}

/** The label of every metric: `job` is what Prometheus itself calls the target. */
export const jobLabel = 'cairn_job'

const resolutionMs = 10
const quantiles = [50, 90, 99, 100]

/** prom-client is an optional package. Rejects with PACKAGE_MISSING. */
export async function loadPromClient(
  load: () => Promise<unknown> = () => import('prom-client')
): Promise<typeof PromClient> {
  try {
    const loaded = (await load()) as typeof PromClient & { readonly default?: typeof PromClient }
    return loaded.default ?? loaded
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new CodedError('PACKAGE_MISSING', 'metrics need package "prom-client", which is not installed', {
      cause: error,
      remedy: 'npm install prom-client@15'
    })
  }
}

/** Rejects with PACKAGE_MISSING. */
export async function openMetricsPage({ observe, meters, version }: PageSettings): Promise<MetricsPage> {
  const { Registry, collectDefaultMetrics } = await loadPromClient()
  const registry = new Registry()
  const delay = monitorEventLoopDelay({ resolution: resolutionMs })
  delay.enable()
  const beganMs = Date.now()
  let reading: Reading | undefined
  // One answer is one reading: all its figures are of the same moment.
  const read = (): Reading => {
    if (reading !== undefined) return reading
    const observed = observe()
    const eventLoopDelay = new Map(
      delay.count === 0
        ? []
        : quantiles.map(n => [String(n / 100), Math.max(0, delay.percentile(n) / 1e9 - resolutionMs / 1e3)])
    )
    delay.reset()
    const totals = meters.totals(observed.gauges)
    return (reading = { observed, totals, nowMs: Date.now(), beganMs, version, eventLoopDelay })
  }
  for (const [name, spec] of Object.entries(metricTable))
    registry.registerMetric(new TableMetric(name, spec, read) as never)
  registry.setDefaultLabels({ [jobLabel]: observe().job })
  collectDefaultMetrics({ register: registry })
  return {
    contentType: registry.contentType,
    async text() {
      reading = undefined
      return registry.metrics()
    },
    close() {
      delay.disable()
      registry.clear()
    }
  }
}

/** What a registry asks of a metric. */
class TableMetric {
  readonly name: string
  readonly help: string
  readonly type: MetricSpec['type']
  readonly aggregator = 'sum'
  private readonly read: () => readonly Sample[]

  constructor(name: string, { help, type, read }: MetricSpec, reading: () => Reading) {
    this.name = name
    this.help = help
    this.type = type
    this.read = () => read(reading())
  }

  async get(): Promise<object> {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: this.read() }
  }

  /** Of no use here: what it tells is counted elsewhere. */
  reset(): void {
    return undefined
  }
}
