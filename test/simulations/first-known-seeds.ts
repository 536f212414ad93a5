/** Smaller scenarios made of the first seeds that failed. */
import type { KnownSeed } from './known-seeds.ts'

export const firstKnownSeeds: readonly KnownSeed[] = [
  {
    seed: '200763',
    scenario: {
      seed: '200763',
      workers: 5,
      joiners: 1,
      records: 300,
      events: 1050,
      inputMs: 16000,
      batch: 16,
      tasksPerWorker: 3,
      intervalMs: 667,
      pendingLimitBytes: 4000,
      cycles: false,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      healAtMs: 20000,
      faults: [
        { kind: 'coordinator-failover', atMs: 1540, forMs: 3995, fault: { kind: 'coordinator-change' } },
        { kind: 'storage-ambiguous', atMs: 2404, forMs: 1415, rate: 0.162, lateMs: 1471, only: 'decisions' },
        { kind: 'slow-link', atMs: 2700, forMs: 17299, from: 'w4', to: 'w3', factor: 20.2 },
        { kind: 'slow-disk', atMs: 2854, forMs: 5944, host: 'w4', diskMs: 1.23 },
        { kind: 'storage-unreachable', atMs: 3985, forMs: 736, host: 'w1' },
        { kind: 'crash', host: 'w2', atMs: 4146, forMs: 28 },
        { kind: 'coordinator-failover', atMs: 4538, forMs: 1593, fault: { kind: 'coordinator-change' } },
        { kind: 'rescale', atMs: 4708, forMs: 0, tasks: 3 },
        { kind: 'bus-wipe', atMs: 5545, forMs: 0 },
        { kind: 'slow-markers', atMs: 6658, forMs: 5574, fault: { kind: 'slow-markers', delayMs: 123 } },
        {
          kind: 'hanging-transaction',
          atMs: 6930,
          forMs: 8202,
          fault: { kind: 'hanging-transaction', topic: 'ledger', partition: 0 }
        },
        { kind: 'bus-wipe', atMs: 7179, forMs: 0 },
        { kind: 'break', atMs: 11063, forMs: 0, from: 'w1', to: 'w3', mode: 'half-open' },
        { kind: 'storage-full', atMs: 11954, forMs: 1422 },
        { kind: 'crash', atMs: 12031, forMs: 1759, host: 'w1' },
        { kind: 'join', atMs: 12188, forMs: 0, host: 'j1' },
        { kind: 'storage-unreachable', atMs: 12619, forMs: 361, host: 'w2' },
        { kind: 'bus-wipe', atMs: 13064, forMs: 0 },
        { kind: 'slow-disk', atMs: 13177, forMs: 542, host: 'w4', diskMs: 13.1 },
        { kind: 'bus-loss', atMs: 14314, forMs: 2273, rate: 0.137 },
        { kind: 'broker-outage', atMs: 15056, forMs: 1581, fault: { kind: 'outage', broker: 2 } },
        { kind: 'rescale', atMs: 15087, forMs: 0, tasks: 3 },
        { kind: 'broker-outage', atMs: 15310, forMs: 882, fault: { kind: 'outage', broker: 0 } },
        { kind: 'bus-reorder', atMs: 16639, forMs: 2253, rate: 0.334, byMs: 472 },
        { kind: 'storage-unreachable', atMs: 16829, forMs: 1117, host: 'j1' },
        { kind: 'storage-full', atMs: 17091, forMs: 2909 },
        { kind: 'storage-ambiguous', atMs: 17750, forMs: 2250, rate: 0.124, lateMs: 506 },
        { kind: 'lease-expiry', atMs: 18467, forMs: 1532, early: 0.227, late: 0.111 },
        { kind: 'bus-wipe', atMs: 19517, forMs: 0 },
        { kind: 'slow-disk', atMs: 19723, forMs: 277, host: 'w3', diskMs: 1.42 },
        { kind: 'broker-outage', atMs: 19894, forMs: 105, fault: { kind: 'outage', broker: 1 } }
      ]
    },
    symptom:
      'a leader that had finished never found out that another had been made the leader for a moment, and nobody followed it'
  },
  {
    seed: '200584',
    scenario: {
      seed: '200584',
      workers: 3,
      joiners: 0,
      records: 102,
      inputMs: 10000,
      batch: 1,
      tasksPerWorker: 1,
      intervalMs: 3333,
      pendingLimitBytes: 100000,
      cycles: false,
      transactionVersion: 1,
      firstProducerEpoch: 0,
      healAtMs: 20000,
      kafka: 'old',
      faults: [
        { kind: 'bus-cut', atMs: 5552, forMs: 14448, host: 'w2', direction: 'both' },
        {
          kind: 'broker-late-request',
          atMs: 8676,
          forMs: 6060,
          fault: { kind: 'late-request', rate: 0.198, delayMs: 601 }
        }
      ]
    },
    symptom: 'a zombie that had initialised its slots again was taken for one that is not fenced'
  },
  {
    seed: '55',
    scenario: {
      seed: '55',
      workers: 4,
      joiners: 1,
      records: 900,
      inputMs: 6000,
      batch: 4,
      tasksPerWorker: 1,
      intervalMs: 200,
      pendingLimitBytes: 4000,
      cacheBytes: 1,
      cycles: false,
      transactionVersion: 1,
      firstProducerEpoch: 0,
      healAtMs: 12000,
      faults: [
        { kind: 'storage-unreachable', atMs: 1284, forMs: 2671, host: 'w1' },
        { kind: 'bus-reorder', atMs: 1930, forMs: 1486, rate: 0.145, byMs: 419 },
        { kind: 'storage-ambiguous', atMs: 2790, forMs: 1564, rate: 0.204, lateMs: 2308 },
        { kind: 'join', atMs: 3514, forMs: 0, host: 'j1' },
        { kind: 'broker-outage', atMs: 3815, forMs: 1265, fault: { kind: 'outage', broker: 0 } },
        {
          kind: 'broker-refusal',
          atMs: 4016,
          forMs: 3704,
          fault: { kind: 'error', rate: 0.0975, error: 'REQUEST_TIMED_OUT' }
        },
        {
          kind: 'broker-late-request',
          atMs: 4066,
          forMs: 4559,
          fault: { kind: 'late-request', rate: 0.0792, delayMs: 230 }
        },
        { kind: 'bus-reorder', atMs: 5084, forMs: 6916, rate: 0.162, byMs: 41 },
        { kind: 'lose-machine', atMs: 5105, forMs: 0, host: 'w2' },
        { kind: 'lease-stale', atMs: 5108, forMs: 6891, rate: 0.193 },
        { kind: 'slow-markers', atMs: 5316, forMs: 6684, fault: { kind: 'slow-markers', delayMs: 3306 } },
        { kind: 'crash', host: 'w3', atMs: 5355, forMs: 1121 },
        { kind: 'disk-error', atMs: 6070, forMs: 722, host: 'w1', rate: 0.193 },
        { kind: 'slow-process', atMs: 6194, forMs: 5806, host: 'j1', yieldMs: 12.8 },
        { kind: 'crash-machine', atMs: 6271, forMs: 5728, host: 'w1' },
        { kind: 'pause', atMs: 6346, forMs: 5654, host: 'w3' },
        { kind: 'slow-disk', atMs: 7222, forMs: 4777, host: 'w3', diskMs: 309 },
        { kind: 'storage-slow', atMs: 7251, forMs: 4749, factor: 21.4, hiccup: 0.032 },
        { kind: 'slow-process', atMs: 7745, forMs: 4254, host: 'w4', yieldMs: 43 },
        { kind: 'lease-stale', atMs: 8319, forMs: 3681, rate: 0.0741 },
        { kind: 'bus-wipe', atMs: 8351, forMs: 0 },
        { kind: 'crash-machine', atMs: 8571, forMs: 3429, host: 'w3' },
        { kind: 'lease-stale', atMs: 8776, forMs: 3223, rate: 0.113 },
        { kind: 'storage-slow', atMs: 9992, forMs: 2008, factor: 2.36, hiccup: 0.0264 },
        { kind: 'disk-full', atMs: 10972, forMs: 1027, host: 'j1' }
      ]
    },
    symptom: 'files were deleted one by one, and checkpoints came faster than that'
  },
  {
    seed: '71',
    scenario: {
      seed: '71',
      workers: 4,
      joiners: 0,
      records: 900,
      inputMs: 7200,
      batch: 64,
      tasksPerWorker: 1,
      intervalMs: 500,
      pendingLimitBytes: 100000,
      alignmentLimitMs: 1,
      cycles: true,
      transactionVersion: 2,
      firstProducerEpoch: 32760,
      healAtMs: 8000,
      faults: [
        { kind: 'bus-reorder', atMs: 542, forMs: 7458, rate: 0.331, byMs: 986 },
        { kind: 'upgrade', atMs: 554, forMs: 6710, host: 'w4' },
        { kind: 'slow-markers', atMs: 607, forMs: 1563, fault: { kind: 'slow-markers', delayMs: 6516 } },
        { kind: 'crash-machine', atMs: 754, forMs: 3222, host: 'w4' },
        { kind: 'slow-link', atMs: 918, forMs: 1425, from: 'w1', to: 'w2', factor: 45.7 },
        { kind: 'pause', atMs: 1014, forMs: 6986, host: 'w1' },
        { kind: 'slow-broker', atMs: 1029, forMs: 715, fault: { kind: 'slow', rate: 0.412, delayMs: 12 } },
        { kind: 'slow-broker', atMs: 1541, forMs: 6459, fault: { kind: 'slow', rate: 0.224, delayMs: 430 } },
        { kind: 'pause', atMs: 2015, forMs: 2361, host: 'w3' },
        { kind: 'clock-jump', atMs: 2247, forMs: 0, host: 'w2', byMs: -98 },
        {
          kind: 'broker-late-request',
          atMs: 2306,
          forMs: 5693,
          fault: { kind: 'late-request', rate: 0.0483, request: 'Produce', delayMs: 13079 }
        },
        { kind: 'slow-broker', atMs: 2789, forMs: 5211, fault: { kind: 'slow', rate: 0.145, delayMs: 20 } },
        { kind: 'broker-outage', atMs: 2813, forMs: 2831, fault: { kind: 'outage', broker: 0 } },
        { kind: 'crash-machine', atMs: 2878, forMs: 1061, host: 'w3' },
        { kind: 'crash', host: 'w4', atMs: 3183, forMs: 2000 },
        { kind: 'break', atMs: 3383, forMs: 0, from: 'w2', to: 'w1', mode: 'first' },
        { kind: 'broker-outage', atMs: 3825, forMs: 622, fault: { kind: 'outage', broker: 0 } },
        { kind: 'slow-disk', atMs: 4027, forMs: 3972, host: 'w3', diskMs: 245 },
        { kind: 'bus-cut', atMs: 4101, forMs: 3898, host: 'w3', direction: 'to-bus' },
        { kind: 'stall', atMs: 4189, forMs: 3810, from: 'w4', to: 'w1' },
        { kind: 'storage-unreachable', atMs: 4205, forMs: 3795, host: 'w4' },
        { kind: 'bus-wipe', atMs: 4382, forMs: 0 },
        { kind: 'break', atMs: 4503, forMs: 0, from: 'w2', to: 'w1', mode: 'half-open' },
        { kind: 'disk-error', atMs: 4647, forMs: 2720, host: 'w3', rate: 0.0732 },
        { kind: 'upgrade', atMs: 4773, forMs: 3226, host: 'w2' },
        { kind: 'break', atMs: 4799, forMs: 0, from: 'w4', to: 'w3', mode: 'first' },
        { kind: 'stall', atMs: 5036, forMs: 2695, from: 'w3', to: 'w1' },
        { kind: 'bus-wipe', atMs: 5057, forMs: 0 },
        { kind: 'leave', atMs: 5158, forMs: 2625, host: 'w1' },
        { kind: 'crash', atMs: 5294, forMs: 2706, host: 'w3' },
        {
          kind: 'broker-late-request',
          atMs: 5483,
          forMs: 1640,
          fault: { kind: 'late-request', rate: 0.0688, request: 'EndTxn', delayMs: 4266 }
        },
        { kind: 'bus-lost-reply', atMs: 5493, forMs: 2119, rate: 0.133 },
        {
          kind: 'broker-late-request',
          atMs: 5695,
          forMs: 2305,
          fault: { kind: 'late-request', rate: 0.198, request: 'EndTxn', delayMs: 10158 }
        },
        {
          kind: 'broker-refusal',
          atMs: 5880,
          forMs: 2119,
          fault: { kind: 'error', rate: 0.0736, error: 'COORDINATOR_LOAD_IN_PROGRESS' }
        },
        { kind: 'broker-outage', atMs: 6239, forMs: 1761, fault: { kind: 'outage', broker: 0 } },
        { kind: 'bus-cut', atMs: 6368, forMs: 1631, host: 'w4', direction: 'from-bus' },
        { kind: 'bus-duplication', atMs: 6380, forMs: 1620, rate: 0.0693 },
        { kind: 'bus-reorder', atMs: 6449, forMs: 1550, rate: 0.488, byMs: 28 },
        {
          kind: 'broker-late-request',
          atMs: 6463,
          forMs: 1537,
          fault: { kind: 'late-request', rate: 0.0503, request: 'EndTxn', delayMs: 1950 }
        },
        { kind: 'break', atMs: 6608, forMs: 0, from: 'w1', to: 'w3', mode: 'both' },
        { kind: 'pause', atMs: 6684, forMs: 1088, host: 'w2' },
        { kind: 'break', atMs: 6804, forMs: 0, from: 'w4', to: 'w1', mode: 'both' },
        { kind: 'storage-slow', atMs: 7165, forMs: 835, factor: 24.7, hiccup: 0.0896 },
        { kind: 'upgrade', atMs: 7666, forMs: 334, host: 'w3' },
        {
          kind: 'broker-unknown-outcome',
          atMs: 7984,
          forMs: 16,
          fault: { kind: 'error-after', rate: 0.0634, error: 'REQUEST_TIMED_OUT' }
        }
      ]
    },
    symptom: 'a jump of the wall clock made a partition idle, and its next events late'
  },
  {
    seed: '23',
    scenario: {
      seed: '23',
      workers: 1,
      joiners: 0,
      records: 45,
      inputMs: 7200,
      batch: 1,
      tasksPerWorker: 1,
      intervalMs: 1000,
      pendingLimitBytes: 4000,
      cacheBytes: 4000,
      cycles: false,
      transactionVersion: 2,
      firstProducerEpoch: 0,
      faults: [{ kind: 'slow-disk', atMs: 1251, forMs: 6749, host: 'w1', diskMs: 38.8 }],
      healAtMs: 8000
    },
    symptom:
      'an epoch decided while the local store was busy counted as applied: older records came back from the store'
  }
]
