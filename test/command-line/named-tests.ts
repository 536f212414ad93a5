/** In place of `tap`: the same, but tests know their names; while a job is looked for, only its test runs and nothing is asserted. */
import tap from 'tap'
import { currentTest, wanted } from './test-stage.ts'

type Body = (t: unknown) => unknown
interface Tap {
  test(name: string, ...rest: unknown[]): Promise<unknown>
}
/** Tests that cannot run against a process, name → reason. */
const excused = JSON.parse(process.env['DRIVE_EXCUSED'] ?? '{}') as Record<string, string>
/** Answers every assertion. */
const indifferent: unknown = new Proxy({}, { get: () => () => Promise.resolve(undefined) })

function look(name: string, rest: unknown[]): Promise<unknown> {
  const body = rest.at(-1) as Body
  if (name !== wanted?.test) return Promise.resolve()
  return Promise.resolve(currentTest.run({ name, drives: 0 }, () => body(indifferent)))
}

function run(name: string, rest: unknown[]): Promise<unknown> {
  const body = rest.at(-1) as Body
  const options = rest.length > 1 ? (rest[0] as object) : {}
  const reason = excused[name]
  const named: Body = t => currentTest.run({ name, drives: 0 }, () => body(t))
  const all = tap as unknown as Tap
  return all.test(name, reason === undefined ? options : { ...options, skip: reason }, named)
}

export default new Proxy(tap as unknown as Tap & Record<string | symbol, unknown>, {
  get(target, name) {
    if (name === 'test') return (test: string, ...rest: unknown[]) => (wanted ? look(test, rest) : run(test, rest))
    if (wanted !== undefined) return () => undefined
    const member = target[name]
    return typeof member === 'function' ? (member as () => unknown).bind(target) : member
  }
})
