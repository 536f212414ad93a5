/** Modules of the build with a mistake planted into it. */
import { patchedBuild } from '../../simulations/patched-build.ts'

/** File of the build, what stands there, what stands there instead. */
export type Change = readonly [file: string, find: string, replace: string]

/** Of a build with these changes, for as long as the test runs. `Module` is what the module would be without them. */
export function planted(
  t: { teardown(callback: () => void): void },
  changes: readonly Change[]
): <Module>(file: string) => Promise<Module> {
  const patched = patchedBuild(changes.map(([file, find, replace]) => ({ file, find, replace })))
  t.teardown(() => patched.remove())
  return async <Module>(file: string) => (await patched.load(file)) as Module
}
