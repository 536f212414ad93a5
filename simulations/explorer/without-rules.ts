/** Takes one rule after another out of a copy of the build and explores that. */
import { patchedBuild } from '../patched-build.ts'
import type { Exploration } from './explorer.ts'
import type { Rule } from './rules.ts'
import type { Scope } from './scope.ts'

export interface Without {
  readonly rule: Rule
  readonly found: Exploration
  readonly ms: number
}

export async function* withoutRules(rules: readonly Rule[], clock: () => number): AsyncGenerator<Without> {
  for (const rule of rules) {
    const build = patchedBuild(rule.patches)
    try {
      const { explore } = (await build.load('simulations/explorer/explorer.js')) as {
        readonly explore: (scope: Scope) => Promise<Exploration>
      }
      const from = clock()
      yield { rule, found: await explore(rule.scope), ms: clock() - from }
    } finally {
      build.remove()
    }
  }
}
