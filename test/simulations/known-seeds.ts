/** Seeds, or smaller scenarios made of them, that failed once, and what was wrong. */
import type { Scenario } from '../../simulations/cluster/scenario.ts'
import { firstKnownSeeds } from './first-known-seeds.ts'

export interface KnownSeed {
  readonly seed: string
  /** Where the seed alone would draw something else today. */
  readonly scenario?: Scenario
  readonly symptom: string
}

export const knownSeeds: readonly KnownSeed[] = [
  {
    seed: '1848696',
    symptom: 'whose code could not take the state kept the lease, when it had just met a conflict, and did not lead'
  },
  {
    seed: '1845877',
    symptom: 'the made-up brokers let a marker of a deposed coordinator end the next transaction of the same owner'
  },
  {
    seed: '1834229',
    symptom: 'files that a fork had copied were taken for newer than the local store, which went back to what they held'
  },
  {
    seed: '1810124',
    symptom: 'whoever led after the last checkpoint took the job for finished, though its positions were not told yet'
  },
  {
    seed: '1744347',
    symptom: 'a deposed owner that initialised a slot without output once more told older positions than its successor'
  },
  {
    seed: '1732341',
    symptom: 'who looked for a checkpoint to go back to took one that was deleted meanwhile for damage'
  },
  {
    seed: '1732844',
    symptom: 'the made-up broker gave an old owner the identity of its successor, whose epoch had run over'
  },
  {
    seed: '1731582',
    symptom: 'a worker of the lineage that had ended told positions of its checkpoint once the job was in the next one'
  },
  {
    seed: '1732236',
    symptom: 'workers that could not take the state of the lineage that had ended never heard that it had'
  },
  {
    seed: '1401034',
    scenario: {
      seed: '1401034',
      workers: 4,
      joiners: 0,
      records: 250,
      events: 1050,
      inputMs: 9600,
      batch: 4,
      tasksPerWorker: 3,
      intervalMs: 800,
      pendingLimitBytes: 10000000,
      cacheBytes: 4000,
      alignmentLimitMs: 50,
      cycles: false,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      healAtMs: 12000,
      channels: { queueRecords: 1, windowBytes: 1 },
      tells: true,
      upgrades: true,
      faults: [
        { kind: 'disk-full', atMs: 561, forMs: 11439, host: 'w4' },
        { kind: 'coordinator-failover', atMs: 1062, forMs: 126, fault: { kind: 'coordinator-change' } },
        { kind: 'storage-stale-list', atMs: 1094, forMs: 9798, rate: 0.226, byMs: 5007 },
        { kind: 'bus-duplication', atMs: 1199, forMs: 3316, rate: 0.306 },
        { kind: 'bus-cut', atMs: 1865, forMs: 10134, host: 'w1', direction: 'both' },
        { kind: 'coordinator-failover', atMs: 2472, forMs: 1534, fault: { kind: 'coordinator-change' } },
        { kind: 'lease-expiry', atMs: 2790, forMs: 7428, early: 0.507, late: 0.141 },
        {
          kind: 'hanging-transaction',
          atMs: 2824,
          forMs: 2112,
          fault: { kind: 'hanging-transaction', topic: 'ledger', partition: 0 }
        },
        { kind: 'crash', host: 'w3', atMs: 2952, forMs: 668 },
        { kind: 'stall', atMs: 3219, forMs: 8207, from: 'w1', to: 'w2' },
        { kind: 'storage-stale-list', atMs: 3492, forMs: 1671, rate: 0.168, byMs: 5886 },
        { kind: 'bus-lost-reply', atMs: 3636, forMs: 8363, rate: 0.44 },
        { kind: 'storage-stale-list', atMs: 4620, forMs: 1922, rate: 0.848, byMs: 149 },
        { kind: 'bus-duplication', atMs: 4719, forMs: 7281, rate: 0.132 },
        { kind: 'crash', atMs: 5181, forMs: 6818, host: 'w3' },
        {
          kind: 'broker-late-request',
          atMs: 5181,
          forMs: 4142,
          fault: { kind: 'late-request', rate: 0.12, request: 'EndTxn', delayMs: 2983 }
        },
        { kind: 'bus-duplication', atMs: 5477, forMs: 1043, rate: 0.0797 },
        { kind: 'crash', atMs: 5870, forMs: 224, host: 'w1' },
        { kind: 'leave', atMs: 6145, forMs: 5854, host: 'w4' },
        { kind: 'coordinator-failover', atMs: 6425, forMs: 307, fault: { kind: 'coordinator-change' } },
        { kind: 'slow-markers', atMs: 6885, forMs: 3396, fault: { kind: 'slow-markers', delayMs: 183 } },
        { kind: 'bus-outage', atMs: 7273, forMs: 4727, wiped: true },
        { kind: 'coordinator-failover', atMs: 7296, forMs: 843, fault: { kind: 'coordinator-change' } },
        {
          kind: 'broker-late-request',
          atMs: 8000,
          forMs: 4000,
          fault: { kind: 'late-request', rate: 0.0365, delayMs: 3845 }
        },
        { kind: 'coordinator-failover', atMs: 8082, forMs: 1600, fault: { kind: 'coordinator-change' } },
        { kind: 'broker-outage', atMs: 9174, forMs: 2826, fault: { kind: 'outage', broker: 0 } },
        { kind: 'slow-markers', atMs: 9198, forMs: 2801, fault: { kind: 'slow-markers', delayMs: 99 } }
      ]
    },
    symptom: 'the checker of fencing counted transactions that only tell where sources are as publications'
  },
  {
    seed: '1300018',
    scenario: {
      seed: '1300018',
      workers: 2,
      joiners: 2,
      records: 122,
      events: 1050,
      inputMs: 2500,
      batch: 16,
      tasksPerWorker: 1,
      intervalMs: 83,
      pendingLimitBytes: 100000,
      cacheBytes: 1,
      cycles: true,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      healAtMs: 5000,
      faults: [
        { kind: 'bus-loss', atMs: 575, forMs: 4425, rate: 0.0564 },
        { kind: 'bus-outage', atMs: 643, forMs: 4239, wiped: true },
        { kind: 'join', atMs: 1263, forMs: 0, host: 'j1' },
        { kind: 'crash', atMs: 1290, forMs: 322, host: 'w2' },
        { kind: 'crash-machine', atMs: 2773, forMs: 2227, host: 'w1' },
        { kind: 'crash', atMs: 3090, forMs: 1909, host: 'j1' },
        { kind: 'bus-cut', atMs: 3171, forMs: 212, host: 'w1', direction: 'from-bus' }
      ]
    },
    symptom:
      'an actor that was forgotten came back by a read of the store that was under way, and its timer fired twice'
  },
  {
    seed: '1300321',
    scenario: {
      seed: '1300321',
      workers: 1,
      joiners: 0,
      records: 20,
      inputMs: 7200,
      batch: 1,
      tasksPerWorker: 1,
      intervalMs: 133,
      pendingLimitBytes: 10000000,
      cycles: false,
      transactionVersion: 1,
      firstProducerEpoch: 32760,
      healAtMs: 7349,
      tells: true,
      faults: [
        {
          kind: 'broker-refusal',
          atMs: 4498,
          forMs: 1851,
          fault: { kind: 'error', rate: 0.303, error: 'NOT_ENOUGH_REPLICAS' }
        }
      ]
    },
    symptom: 'a broker error of the moment stopped the telling of positions for good'
  },
  {
    seed: '810208',
    scenario: {
      seed: '810208',
      workers: 2,
      joiners: 0,
      records: 100,
      inputMs: 18000,
      batch: 64,
      tasksPerWorker: 1,
      intervalMs: 3333,
      pendingLimitBytes: 100000,
      cacheBytes: 1,
      alignmentLimitMs: 50,
      cycles: false,
      loopLimit: 3,
      transactionVersion: 1,
      firstProducerEpoch: 0,
      healAtMs: 20000,
      channels: { queueRecords: 1, windowBytes: 1 },
      lateness: true,
      upgrades: true,
      faults: [
        { kind: 'upgrade', atMs: 3514, forMs: 3196, host: 'w2' },
        { kind: 'crash', atMs: 3639, forMs: 1298, host: 'w1' },
        { kind: 'pause', atMs: 4963, forMs: 68, host: 'w2' },
        { kind: 'crash', atMs: 8564, forMs: 4482, host: 'w2' },
        { kind: 'upgrade', atMs: 12754, forMs: 7245, host: 'w2' },
        { kind: 'leave', atMs: 14586, forMs: 5414, host: 'w1' },
        { kind: 'leave', atMs: 15182, forMs: 4371, host: 'w1' },
        { kind: 'leave', atMs: 15210, forMs: 4789, host: 'w1' },
        { kind: 'leave', atMs: 16388, forMs: 2723, host: 'w1' },
        { kind: 'crash', atMs: 17731, forMs: 406, host: 'w2' },
        { kind: 'leave', atMs: 17837, forMs: 2162, host: 'w1' },
        { kind: 'crash', atMs: 18391, forMs: 1608, host: 'w2' }
      ]
    },
    symptom: 'a worker of the older build, which cannot read what the newer one stored, held the lease for ever'
  },
  {
    seed: '730026',
    scenario: {
      seed: '730026',
      workers: 4,
      joiners: 2,
      records: 200,
      events: 1050,
      inputMs: 16000,
      batch: 64,
      tasksPerWorker: 2,
      intervalMs: 333,
      pendingLimitBytes: 10000000,
      cacheBytes: 1,
      cycles: true,
      slice: 10,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      healAtMs: 20000,
      faults: [
        { lie: 0.629, doubleAccept: 0.288, kind: 'lease-lies', atMs: 500, forMs: 19500 },
        { kind: 'upgrade', atMs: 826, forMs: 8349, host: 'w2' },
        { kind: 'break', atMs: 1079, forMs: 0, from: 'j2', to: 'w4', mode: 'half-open' },
        { kind: 'bus-reorder', atMs: 1245, forMs: 15626, rate: 0.113, byMs: 884 },
        {
          kind: 'broker-late-request',
          atMs: 2312,
          forMs: 2772,
          fault: { kind: 'late-request', rate: 0.133, delayMs: 1670 }
        },
        { kind: 'clock-drift', atMs: 2569, forMs: 9683, host: 'j2', rate: 0.911 },
        { kind: 'slow-link', atMs: 3199, forMs: 9704, from: 'w1', to: 'w2', factor: 63.6 },
        { kind: 'crash', atMs: 3392, forMs: 6365, host: 'j2' },
        { kind: 'crash', atMs: 4061, forMs: 1039, host: 'w2' },
        { kind: 'slow-disk', atMs: 4291, forMs: 5976, host: 'w3', diskMs: 305 },
        { kind: 'slow-process', atMs: 4437, forMs: 2438, host: 'j1', yieldMs: 1.5 },
        { kind: 'crash-machine', atMs: 5806, forMs: 6807, host: 'j2' },
        { kind: 'leave', atMs: 6390, forMs: 9770, host: 'j1' },
        { kind: 'crash-machine', atMs: 6520, forMs: 1431, host: 'w4' },
        { kind: 'rescale', atMs: 6767, forMs: 0, tasks: 4 },
        { kind: 'crash-machine', atMs: 7104, forMs: 7713, host: 'w4' },
        { kind: 'cut', atMs: 7485, forMs: 12515, from: 'w3', to: 'w4', both: true },
        { kind: 'crash', host: 'w4', atMs: 8126, forMs: 340 },
        {
          kind: 'broker-refusal',
          atMs: 8193,
          forMs: 1780,
          fault: { kind: 'error', rate: 0.266, error: 'NOT_ENOUGH_REPLICAS' }
        },
        { kind: 'crash-machine', atMs: 8663, forMs: 2559, host: 'j2' },
        { kind: 'bus-reorder', atMs: 9927, forMs: 1038, rate: 0.229, byMs: 240 },
        {
          kind: 'hanging-transaction',
          atMs: 9991,
          forMs: 1421,
          fault: { kind: 'hanging-transaction', topic: 'ledger', partition: 0 }
        },
        { kind: 'bus-reorder', atMs: 10458, forMs: 2298, rate: 0.282, byMs: 139 },
        { kind: 'slow-markers', atMs: 10707, forMs: 1257, fault: { kind: 'slow-markers', delayMs: 3195 } },
        { kind: 'upgrade', atMs: 11020, forMs: 3055, host: 'w3' },
        { kind: 'slow-markers', atMs: 11355, forMs: 3820, fault: { kind: 'slow-markers', delayMs: 135 } },
        { kind: 'lease-expiry', atMs: 11662, forMs: 8337, early: 0.35, late: 0.348 },
        { kind: 'slow-process', atMs: 12540, forMs: 5016, host: 'w1', yieldMs: 0.278 },
        { kind: 'break', atMs: 13421, forMs: 0, from: 'w3', to: 'w2', mode: 'half-open' },
        { kind: 'bus-reorder', atMs: 13492, forMs: 6507, rate: 0.27, byMs: 115 },
        { kind: 'broker-outage', atMs: 14152, forMs: 2726, fault: { kind: 'outage', broker: 1 } },
        { kind: 'broker-outage', atMs: 14509, forMs: 911, fault: { kind: 'outage', broker: 1 } },
        { kind: 'broker-outage', atMs: 17253, forMs: 2746, fault: { kind: 'outage', broker: 2 } },
        { kind: 'bus-cut', atMs: 17265, forMs: 2734, host: 'w4', direction: 'to-bus' },
        { kind: 'clock-drift', atMs: 17402, forMs: 2598, host: 'j2', rate: 0.72 },
        { kind: 'slow-process', atMs: 18038, forMs: 1961, host: 'w2', yieldMs: 0.83 },
        { kind: 'cut', atMs: 19273, forMs: 727, from: 'w3', to: 'w2', both: false }
      ]
    },
    symptom: 'after 64 decisions without a checkpoint a leader took the manifest of a retained checkpoint for an orphan'
  },
  ...firstKnownSeeds
]
