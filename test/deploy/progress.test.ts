import t from 'tap'
import { Progress, progressLine, type Screen } from '../../deploy/progress.ts'
import type { JobStatus } from '../../deploy/running-job.ts'

const status: JobStatus = {
  job: 'shop',
  phase: 'running',
  lineage: 1,
  generation: 1,
  events: 0,
  recordsRead: 10,
  lag: 5,
  watermark: 0,
  pace: { intervalMs: 1000, goal: undefined },
  checkpoint: { epoch: 7, completedAt: 10_000, durationMs: 3, bytes: 9 },
  trouble: undefined,
  late: 0,
  quarantined: 0,
  deadLetters: 0,
  keys: 2,
  sinks: [{ name: 'out', published: 4 }]
}

class Recorded implements Screen {
  readonly isTTY: boolean
  columns = 200
  text = ''
  constructor(isTTY: boolean) {
    this.isTTY = isTTY
  }
  write(text: string): void {
    this.text += text
  }
}

void t.test('a line names events a second, lag, watermark and the last checkpoint', t => {
  t.equal(
    progressLine(status, 1234.5, 12_500),
    'shop: 1235 events/s · lag 5 · checkpoint 7 (2.5 s ago) · watermark 1970-01-01T00:00:00Z · 10 read · 0 events · 2 keys · out 4'
  )
  t.match(
    progressLine({ ...status, watermark: 9e15, late: 3, deadLetters: 1 }, undefined, 0),
    /9000000000000000 .*3 late · 1 dead letters/
  )
  t.match(
    progressLine({ ...status, trouble: 'the disk is full' }, undefined, 0),
    /^shop: no checkpoint completes: the disk is full · lag 5/
  )
  t.end()
})

void t.test('on a terminal one line is rewritten and never wraps; in a pipe every line is its own', t => {
  for (const isTTY of [true, false]) {
    const screen = new Recorded(isTTY)
    let at = 0
    let events = 0
    const progress = new Progress(
      screen,
      () => ({ ...status, events }),
      () => at
    )
    screen.columns = 40
    at = 2000
    events = 500
    progress.show()
    progress.say('draining')
    progress.close()
    if (isTTY) {
      t.equal(screen.text.split('\n').length, 3)
      t.equal(screen.text.split('\r\u001b[K')[1]?.length, 39)
    } else {
      t.notMatch(screen.text, '\u001b')
      t.match(screen.text.split('\n'), [/250 events\/s .* 500 events/, 'draining', /500 events · 2 keys/, ''])
    }
  }
  t.end()
})
