/**
 * How long transactions were open, by the coordinators' own log (`__transaction_state`): from the first partition to the last marker, which is as
 * long as whoever reads committed records may have to wait for one. Nobody asks while it runs, so none is missed.
 */
export interface Transaction {
  readonly id: string
  readonly startMs: number
  readonly endMs: number
  readonly isAborted: boolean
}

/** A time in which a broker was away, or came up. */
export interface Span {
  readonly fromMs: number
  readonly toMs: number
}

export interface TransactionTimes {
  readonly ended: number
  /** While all brokers were up; those in `left` are not among them. */
  readonly longestMs: number
  /** While one was away. */
  readonly longestAwayMs: number
  /** Aborted, and a worker was killed or stopped while they were open, or just before: they wait for a successor, who knows of it when the worker counts as lost. */
  readonly left: number
  readonly longestLeftMs: number
  /** One sentence for each with all brokers up that was not left, and took longer than the limit. */
  readonly tooLong: readonly string[]
}

/** What is on its way to a broker when its sender is killed begins a transaction after that. */
const onItsWayMs = 200
const completeCommit = 4
const completeAbort = 5

interface Line {
  readonly key?: { readonly data?: { readonly transactionalId?: string } }
  readonly value?: {
    readonly data?: {
      readonly transactionStatus?: number
      readonly transactionStartTimestampMs?: number
      readonly transactionLastUpdateTimestampMs?: number
    } | null
  } | null
}

/** Those of `prefix` that have ended. @param text as Kafka's TransactionLogMessageFormatter prints it */
export function transactionsIn(text: string, prefix: string): Transaction[] {
  return (
    text
      // It puts nothing between two of them.
      .split(/\n|(?<=\})(?=\{"key":)/)
      .filter(line => line.startsWith('{'))
      .flatMap(line => {
        const { key, value } = JSON.parse(line) as Line
        const id = key?.data?.transactionalId
        const {
          transactionStatus,
          transactionStartTimestampMs = -1,
          transactionLastUpdateTimestampMs = -1
        } = value?.data ?? {}
        // A producer that begins where nothing was open ends nothing.
        if (id?.startsWith(prefix) !== true || transactionStartTimestampMs < 0) return []
        if (transactionStatus !== completeCommit && transactionStatus !== completeAbort) return []
        const isAborted = transactionStatus === completeAbort
        return [{ id, startMs: transactionStartTimestampMs, endMs: transactionLastUpdateTimestampMs, isAborted }]
      })
  )
}

/** @param struckMs when workers were killed or stopped */
export function timesOf(
  all: readonly Transaction[],
  away: readonly Span[],
  struckMs: readonly number[],
  limitMs: number
): TransactionTimes {
  const longest = (some: readonly Transaction[]): number =>
    some.reduce((most, { startMs, endMs }) => Math.max(most, endMs - startMs), 0)
  const meets = ({ startMs, endMs }: Transaction): boolean =>
    away.some(({ fromMs, toMs }) => startMs <= toMs && endMs >= fromMs)
  const isLeft = ({ startMs, endMs, isAborted }: Transaction): boolean =>
    isAborted && struckMs.some(ms => ms >= startMs - onItsWayMs && ms <= endMs)
  const left = all.filter(isLeft)
  const others = all.filter(each => !isLeft(each))
  const calm = others.filter(each => !meets(each))
  return {
    ended: all.length,
    longestMs: longest(calm),
    longestAwayMs: longest(others.filter(meets)),
    left: left.length,
    longestLeftMs: longest(left),
    tooLong: calm
      .filter(({ startMs, endMs }) => endMs - startMs > limitMs)
      .map(
        ({ id, startMs, endMs, isAborted }) =>
          `a transaction of ${id} that was ${isAborted ? 'aborted' : 'committed'} was open for ${endMs - startMs} ms, from ${new Date(startMs).toISOString()} on, with all brokers up`
      )
  }
}
