/** Mistakes of going back to an older checkpoint. See `mistakes.ts`. */
import type { Mistake } from './mistakes.ts'

const clusterWorker = 'runtime/shell/cluster-worker.js'
const fork = 'runtime/shell/fork.js'

export const restoreMistakes: readonly Mistake[] = [
  {
    name: 'epoch numbers are used again after a restore: slots of the new lineage have the names of the old ones',
    changes: [['runtime/adapters/kafka/ledger-records.js', '${slot.job}.${slot.lineage}.', '${slot.job}.1.']]
  },
  {
    name: 'a lineage ends though not all that it decided is published',
    changes: [[fork, 'await sealSlots(settings, head, generation)', 'void 0']]
  },
  {
    name: 'what seals a lineage publishes without reading the ledger',
    changes: [[fork, 'await producer.readLedger()', 'machine.entry(0, 0, true)']]
  },
  {
    name: 'outboxes of the old lineage are taken along into the new one',
    changes: [[fork, 'outboxes: [],', 'outboxes: point.manifest.outboxes,']]
  },
  {
    name: 'a checkpoint is restored though it is not kept any more',
    changes: [[fork, 'refuseGone(settings, log, head?.manifest);', '']]
  },
  {
    name: 'what a fork has copied counts by the numbers of the epochs where it came from',
    changes: [['checkpoint/manifest.js', 'lineage === undefined ? epoch : 0', 'epoch']],
    among: {
      faults: ['restore', 'crash-machine', 'crash'],
      why: 'a store has to lag behind a lineage that is younger than the checkpoint from which it came'
    }
  },
  {
    name: 'a leader of a lineage that has ended is believed',
    changes: [[clusterWorker, 'if (directive.lineage < lineage)', 'if (false)']],
    among: {
      faults: ['crash', 'pause', 'restore'],
      records: 30,
      why: 'the job has to be taken back just when it has come to its end'
    }
  },
  {
    name: 'a worker of a lineage that has ended stays',
    changes: [
      [clusterWorker, 'if (directive.lineage > lineage)', 'if (false)'],
      [clusterWorker, "if (error instanceof CodedError && error.code === 'LINEAGE_ENDED')", 'if (false)'],
      [clusterWorker, 'if (leadership.lineageEnded !== undefined)', 'if (false)']
    ]
  }
]
