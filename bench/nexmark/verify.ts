/** Whether two results of a query are the same. */
import type { Query, Row } from './catalogue.ts'

/** Few are enough to see what is wrong. */
const listed = 5

/**
 * What the two differ in, a sentence each; [] = they are the same. @param got all rows in the order in which they came out, of each key at
 * least. @param expected of updates: what is left in the end
 */
export function differences(query: Query, got: readonly Row[], expected: readonly Row[]): string[] {
  switch (query.result) {
    case 'rows':
      return differ(countsOf(got), countsOf(expected))
    case 'updates':
      return differ(lastOf(got, query.key), lastOf(expected, query.key))
    case 'total': {
      const [sum, right] = [totalOf(got), totalOf(expected)]
      return sum === right ? [] : [`the counts sum up to ${sum}, not to ${right}`]
    }
  }
}

function differ(got: ReadonlyMap<string, unknown>, expected: ReadonlyMap<string, unknown>): string[] {
  const found: string[] = []
  for (const [name, value] of expected)
    if (got.get(name) !== value)
      found.push(`${name}: ${String(got.get(name) ?? 'nothing')} instead of ${String(value)}`)
  for (const [name, value] of got) if (!expected.has(name)) found.push(`${name}: ${String(value)} instead of nothing`)
  const more = found.length - listed
  return more > 0 ? [...found.slice(0, listed), `and ${more} more`] : found
}

function canonical(row: Row): string {
  return JSON.stringify(Object.fromEntries(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1))))
}

function countsOf(rows: readonly Row[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const row of rows) {
    const text = canonical(row)
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return counts
}

function lastOf(rows: readonly Row[], key: readonly string[]): Map<string, string> {
  return new Map(rows.map(row => [key.map(name => `${name} ${String(row[name])}`).join(', '), canonical(row)]))
}

export function totalOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => sum + (row['bid_count'] as number), 0)
}
