/** Of the local store that outlives its process: see `mistakes.ts`. */
import type { Mistake } from './mistakes.ts'

const localState = 'runtime/shell/local-state.js'
const recovery = 'checkpoint/recovery.js'
const storeKeeper = 'runtime/shell/store-keeper.js'
const storeParts = 'checkpoint/store-parts.js'

export const storeMistakes: readonly Mistake[] = [
  {
    name: 'the local store says that it equals a checkpoint before it does',
    unseen:
      'needs a crash between two writes of one epoch, or of one load: test/runtime/shell/local-state notices it at once',
    changes: [
      [
        localState,
        'yield listWrite(before); yield* writes; yield listWrite(after);',
        'yield listWrite(after); yield* writes;'
      ]
    ]
  },
  {
    name: 'a part of the local store that was not loaded to its end is kept',
    unseen:
      'needs a crash between two writes of one epoch, or of one load: test/runtime/shell/local-state notices it at once',
    changes: [[storeParts, 'slot, at: null, to: null }', 'slot, at: point, to: null }']]
  },
  {
    name: 'a part of the local store that lags is taken for the newest checkpoint',
    changes: [[storeParts, 'part.to === null && isPoint(part.at, point)', 'true']]
  },
  {
    name: 'what was deleted since comes back when the local store catches up',
    unseen: 'needs a deletion just before a move back: test/runtime/shell/local-state notices it at once',
    changes: [
      [recovery, 'mergedGroups(storage, stage.files, origin, true', 'mergedGroups(storage, stage.files, origin, false']
    ]
  },
  {
    name: "timers are read from the first of the local store's parts only",
    changes: [
      [
        storeKeeper,
        'owned.map(slot => this.local.scan(stage.index, slot, from, to, timerPageSize))',
        'owned.slice(0, 1).map(slot => this.local.scan(stage.index, slot, from, to, timerPageSize))'
      ]
    ]
  }
]
