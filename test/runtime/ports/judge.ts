/** A `Test` that throws at the first failure: runs a conformance suite against a planted bug in this very process. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import type { Test } from 'tap'

type Release = () => unknown

/** Of an object what is wanted of it, and more. */
function matches(value: unknown, pattern: unknown): boolean {
  if (pattern instanceof RegExp) return pattern.test(String(value))
  if (typeof pattern !== 'object' || pattern === null) return value === pattern
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(pattern).every(([name, each]) => matches((value as Record<string, unknown>)[name], each))
}

const judgeOf = (releases: Release[]): object => ({
  test: (_name: string, work: (t: Test) => Promise<void>): Promise<void> => judged(work),
  teardown: (release: Release): unknown => releases.unshift(release),
  pass: (): void => undefined,
  ok: (value: unknown, why?: string): void => assert.ok(value, why),
  notOk: (value: unknown, why?: string): void => assert.ok(!value, why),
  equal: (a: unknown, b: unknown, why?: string): void => assert.equal(a, b, why),
  not: (a: unknown, b: unknown, why?: string): void => assert.notEqual(a, b, why),
  same: (a: unknown, b: unknown, why?: string): void => assert.deepEqual(a, b, why),
  match: (value: unknown, pattern: unknown, why?: string): void =>
    assert.ok(matches(value, pattern), why ?? `${inspect(value)} is not as ${inspect(pattern)}`),
  type: (value: unknown, type: string): void => assert.equal(typeof value, type),
  throws: (work: () => unknown, expected: object, why?: string): void => assert.throws(work, expected, why),
  rejects: (promise: Promise<unknown>, expected?: object, why?: string): Promise<void> =>
    expected === undefined ? assert.rejects(promise) : assert.rejects(promise, expected, why)
})

async function judged(work: (t: Test) => Promise<void>): Promise<void> {
  const releases: Release[] = []
  try {
    await work(judgeOf(releases) as Test)
  } finally {
    for (const release of releases) await release()
  }
}

/** What the suite found first; undefined: nothing. */
export async function verdict(suite: (t: Test) => Promise<void>): Promise<string | undefined> {
  try {
    await judged(suite)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
