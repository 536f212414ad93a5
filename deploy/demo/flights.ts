/** The demo's input: real flights as they arrived, with a few lines broken on purpose. */
import { readFileSync } from 'node:fs'
import type { Clock } from '../../runtime/ports/clock.ts'
import type { OutputRecord } from '../../runtime/ports/log.ts'
import { EmbeddedLog } from '../../runtime/adapters/embedded-log/embedded-log.ts'

export interface Line {
  /** When the flight arrived: the timestamp of its record. */
  readonly arrived: number
  readonly text: string
}
interface Flown {
  readonly date: string
  readonly delay: number
  readonly origin: string
  readonly destination: string
}

/** What goes wrong with lines in real life; each says that it is meant to. */
const broken: readonly string[] = [
  'this line is not JSON, on purpose',
  '{"date":"2001/01/20 10:00","delay":"fog","origin":"SFO","destination":"LAX","note":"broken on purpose"}',
  '{"date":"2001/02/30 25:61","delay":4,"origin":"DFW","destination":"ATL","note":"broken on purpose"}',
  '{"date":"2001/03/01 09:15","delay":-3,"origin":"JFK","note":"broken on purpose"}'
]

/** All lines in order of arrival, which for more than half of them is not the order of departure. */
export function flightLines(json: string): Line[] {
  const lines = (JSON.parse(json) as Flown[])
    .map(({ date, delay, origin, destination }) => ({
      arrived: Date.parse(`${date.replaceAll('/', '-').replace(' ', 'T')}Z`) + delay * 60_000,
      text: JSON.stringify({ date, delay, origin, destination })
    }))
    .sort((a, b) => a.arrived - b.arrived)
  broken.forEach((text, n) => {
    const at = Math.floor(((n + 1) * lines.length) / (broken.length + 1))
    lines.splice(at, 0, { arrived: lines[at]?.arrived ?? 0, text })
  })
  return lines
}

/**
 * Fills the topic "flights" of the log in `folder`, once and all at once: killed in the middle, the next call does it.
 * Returns how many lines it wrote.
 */
export async function fillFlights(folder: string, dataset: string, clock: Clock): Promise<number> {
  const log = await EmbeddedLog.open(folder, clock)
  try {
    await log.createTopic('flights', 1)
    if (log.partition('flights', 0).visibleEnd > 0) return 0
    const encoder = new TextEncoder()
    const records = flightLines(readFileSync(dataset, 'utf8')).map(({ arrived, text }): OutputRecord => ({
      partition: 0,
      timestamp: arrived,
      key: undefined,
      value: encoder.encode(text)
    }))
    await log.append('flights', 0, records)
    return records.length
  } finally {
    await log.close()
  }
}
