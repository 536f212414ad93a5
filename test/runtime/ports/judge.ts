/** A `Test` that throws at the first failure: runs a conformance suite against a planted bug in this very process. */
import assert from 'node:assert/strict'
import type { Test } from 'tap'

const judge = {
  test: async (_name: string, work: (t: unknown) => Promise<void>): Promise<void> => work(judge),
  teardown: (): void => undefined,
  ok: (value: unknown, why?: string): void => assert.ok(value, why),
  notOk: (value: unknown, why?: string): void => assert.ok(!value, why),
  equal: (a: unknown, b: unknown, why?: string): void => assert.equal(a, b, why),
  not: (a: unknown, b: unknown, why?: string): void => assert.notEqual(a, b, why),
  same: (a: unknown, b: unknown, why?: string): void => assert.deepEqual(a, b, why),
  match: (text: string, pattern: RegExp, why?: string): void => assert.match(text, pattern, why),
  type: (value: unknown, type: string): void => assert.equal(typeof value, type),
  rejects: (promise: Promise<unknown>, expected?: object, why?: string): Promise<void> =>
    expected === undefined ? assert.rejects(promise) : assert.rejects(promise, expected, why)
}

/** What the suite found first; undefined: nothing. */
export async function verdict(suite: (t: Test) => Promise<void>): Promise<string | undefined> {
  try {
    await suite(judge as unknown as Test)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
