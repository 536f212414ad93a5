/** The queries that are run here, and how their results are compared. */
import type { Job } from '../../actors/stream.ts'

/** Names and values of a result, as its JSON has them. */
export type Row = Readonly<Record<string, unknown>>

export interface Query {
  readonly title: string
  /**
   * `rows`: equal as a multiset. `updates`: the last row of each `key` is equal. `total`: depends on the wall clock, so only the sum of
   * `bid_count` is.
   */
  readonly result: 'rows' | 'updates' | 'total'
  /** Names of what tells the rows of `updates` apart. */
  readonly key: readonly string[]
}

const rows = (title: string): Query => ({ title, result: 'rows', key: [] })
const updates = (title: string, ...key: string[]): Query => ({ title, result: 'updates', key })

/** Left out: 6, which Flink's SQL cannot run; 10, which writes files by time; 13, 21 and 23, for now. */
export const queries: Readonly<Record<number, Query>> = {
  0: rows('pass through'),
  1: rows('currency conversion'),
  2: rows('selection'),
  3: rows('local item suggestion'),
  4: updates('average price for a category', 'category'),
  5: rows('hot items'),
  7: rows('highest bid'),
  8: rows('monitor new users'),
  9: updates('winning bids', 'id'),
  11: rows('user sessions'),
  12: { title: 'processing time windows', result: 'total', key: [] },
  14: rows('calculation'),
  15: updates('bidding statistics', 'day'),
  16: updates('channel statistics', 'channel', 'day'),
  17: updates('auction statistics', 'auction', 'day'),
  18: updates('last bid', 'bidder', 'auction'),
  19: updates('auction top 10', 'auction', 'rank_number'),
  20: rows('expand bid with auction'),
  22: rows('get URL directories')
}

export function queryOf(number: number): Query {
  const query = queries[number]
  if (query === undefined)
    throw new RangeError(`there is no query ${number} here; there are ${Object.keys(queries).join(', ')}`)
  return query
}

export async function loadQuery(number: number): Promise<Job<unknown>> {
  queryOf(number)
  const { href } = new URL(`./queries/q${number}.js`, import.meta.url)
  return ((await import(href)) as { readonly default: Job<unknown> }).default
}
