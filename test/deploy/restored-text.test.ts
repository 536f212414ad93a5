import t from 'tap'
import { restoredText } from '../../deploy/restored-text.ts'
import type { Restored } from '../../runtime/core/worker-gauges.ts'

const nothing: Restored = {
  kept: 0,
  caughtUp: 0,
  fetched: 0,
  refused: [],
  changes: { records: 0, bytes: 0 },
  whole: { records: 0, bytes: 0 },
  durationMs: 1234
}

void t.test('what was used again is told apart from what was read', t => {
  t.equal(restoredText({ ...nothing, fetched: 8 }), undefined, 'a job that begins has nothing to restore')
  t.equal(restoredText({ ...nothing, kept: 8 }), 'state restored in 1.2 s: parts kept 8, caught up 0, fetched 0')
  t.equal(
    restoredText({
      ...nothing,
      kept: 5,
      caughtUp: 2,
      fetched: 1,
      refused: ['1 part: was not loaded to its end'],
      changes: { records: 30, bytes: 300_000 },
      whole: { records: 1000, bytes: 12_000_000 }
    }),
    'state restored in 1.2 s: parts kept 5, caught up 2 (30 records, 0.3 MB), fetched 1 (1000 records, 12.0 MB); ' +
      'not kept: 1 part: was not loaded to its end'
  )
  t.end()
})
