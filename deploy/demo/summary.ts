/** What the demo says at its end. */
import type { Results } from './results.ts'

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
const hours = (ms: number): string => `${(ms / 3_600_000).toFixed(1)} h`
const most = <T>(rows: readonly T[], n: number, by: (row: T) => number): T[] =>
  [...rows].sort((a, b) => by(b) - by(a)).slice(0, n)

/** The last element of each key. Rows of one key are in order. */
function lastOf<T>(rows: readonly T[], key: (row: T) => string, by: (row: T) => number): T[] {
  const last = new Map<string, T>()
  for (const row of rows) {
    const known = last.get(key(row))
    if (known === undefined || by(row) >= by(known)) last.set(key(row), row)
  }
  return [...last.values()]
}

/** Columns as wide as their widest cell; the first to the left, numbers to the right. */
function table(title: string, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map(row => row[i]?.length ?? 0)))
  const line = (cells: readonly string[]): string =>
    `  ${cells.map((cell, i) => (/^-?\d/.test(rows[0]?.[i] ?? '') ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0))).join('   ')}`.trimEnd()
  return [title, line(head), ...rows.map(line)].join('\n')
}

export function summary(results: Results): string {
  const airports = lastOf(
    results.quiet,
    quiet => quiet.airport,
    quiet => quiet.flights
  )
  // A window that took late flights fired again.
  const rushes = lastOf(
    results.rush,
    rush => `${rush.key} ${rush.start}`,
    rush => rush.flights
  )
  const routes = lastOf(
    results.routes,
    worst => worst.route,
    worst => worst.delay
  )
  return [
    table(
      'Busiest airports',
      ['airport', 'flights', 'mean delay, min', 'deviation'],
      most(airports, 5, airport => airport.flights).map(airport => [
        airport.airport,
        String(airport.flights),
        airport.meanDelay.toFixed(1),
        airport.deviation.toFixed(1)
      ])
    ),
    table(
      'Busiest six hours (sliding windows)',
      ['airport', 'from', 'departures', 'mean delay, min'],
      most(rushes, 5, rush => rush.flights).map(rush => [
        rush.key,
        day(rush.start),
        String(rush.flights),
        rush.meanDelay.toFixed(1)
      ])
    ),
    table(
      'Longest spells of delay (sessions: no two hours without a late flight)',
      ['airport', 'from', 'lasted', 'late flights', 'worst, min'],
      most(results.delays, 5, each => each.end - each.start).map(each => [
        each.key,
        day(each.start),
        hours(each.end - each.start),
        String(each.flights),
        String(each.worst)
      ])
    ),
    table(
      'Worst routes',
      ['route', 'delay, min', 'departed'],
      most(routes, 5, worst => worst.delay).map(worst => [worst.route, String(worst.delay), worst.date])
    ),
    [
      `${airports.length} airports; ${results.stranded.length} flights arrived five hours late or more.`,
      `${results.late.length} flights came in too late for their windows: none is lost, see .cairn/airports/out/late.`,
      `${results.deadLetters.length} lines could not be read, broken on purpose, and are dead letters:`,
      ...results.deadLetters.map(letter => `  ${String(letter.event).slice(0, 70)}`),
      `Fingerprint of all output: ${results.fingerprint}. It is the same however often the job is killed on the way.`
    ].join('\n')
  ].join('\n\n')
}

export const tryNext = `Try next
  again       npm start -- --fresh     starts over; npm start alone says that the job has finished
  kill it     npm start -- --fresh     and kill -9, from another terminal, the process id that it says;
              npm start                goes on where it was, and ends with the same fingerprint
  look in     npx --no-install cairn state get airports Airport DFW              while it runs or after
              npx --no-install cairn state get airports Route '["DFW","ATL"]'
              npx --no-install cairn dead-letters list airports
  push        npm start -- --fresh     and from another terminal, while it runs:
              npx --no-install cairn log append airports flights '{"date":"2001/03/31 23:59","delay":999,"origin":"DFW","destination":"ATL"}'
              it is read when the replay comes to it, and stays in the topic: rm -r .cairn/airports forgets it
  read        examples/airports.ts     is the whole job; test/examples/airports.test.ts tests it in milliseconds
`
