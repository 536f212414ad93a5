/** Modules of the build with a mistake planted into it. */
import t, { type Test } from 'tap'
import { patchedBuild } from '../../simulations/patched-build.ts'

/** File of the build, what stands there, what stands there instead. */
export type Change = readonly [file: string, find: string, replace: string]

/** What each breaks, and how. */
export type Mistakes = Readonly<Record<string, readonly [find: string, replace: string]>>
export type Load = ReturnType<typeof planted>

/** A test for each mistake in `file`, named `<who notices> <the mistake>`; `check` holds when it is noticed. */
export function testMistakes(
  who: string,
  file: string,
  mistakes: Mistakes,
  check: (t: Test, load: Load) => Promise<unknown>
): void {
  for (const [name, change] of Object.entries(mistakes))
    void t.test(`${who} ${name}`, t => check(t, planted(t, [[file, ...change]])))
}

/** Of a build with these changes, for as long as the test runs. `Module` is what the module would be without them. */
export function planted(
  t: { teardown(callback: () => void): void },
  changes: readonly Change[]
): <Module>(file: string) => Promise<Module> {
  const patched = patchedBuild(changes.map(([file, find, replace]) => ({ file, find, replace })))
  t.teardown(() => patched.remove())
  return async <Module>(file: string) => (await patched.load(file)) as Module
}
