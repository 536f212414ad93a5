/** How fast a cluster notices and how long it waits. Shorter ones notice sooner, and take busy workers for lost ones. */
import type { ClusterTiming } from '../../runtime/core/cluster-timing.ts'
import type { ElectorTiming } from '../../runtime/core/elector.ts'

export const usualTiming: ClusterTiming & ElectorTiming = {
  heartbeatMs: 500,
  lostAfterMs: 5_000,
  silentAfterMs: 10_000,
  gatherMs: 1_000,
  startTimeoutMs: 60_000,
  checkpointTimeoutMs: 60_000,
  leaseMs: 6_000,
  renewMs: 2_000
}
