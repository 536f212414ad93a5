/**
 * `npm run explore -- [--deep] [part of a name]`: every scope as the code is, then each rule taken out. Exit 1 when anything is not
 * as it should be.
 */
import { explore, type Exploration } from './explorer.ts'
import { deepScopes, fullScopes } from './scope.ts'
import { rules } from './rules.ts'
import { withoutRules } from './without-rules.ts'

const deep = process.argv.includes('--deep')
const pick = process.argv.slice(2).find(each => !each.startsWith('--')) ?? ''
const say = (line: string): void => void process.stdout.write(`${line}\n`)
const now = (): number => performance.now()
const count = (n: number): string => n.toLocaleString('en').padStart(11)
const seconds = (ms: number): string => `${(ms / 1000).toFixed(1).padStart(6)} s`
let wrong = 0

const tell = ({ violation }: Exploration): void => {
  if (violation === undefined) return
  say(`    ${violation.message}`)
  for (const [i, line] of violation.story.entries()) say(`    ${String(i + 1).padStart(3)}  ${line}`)
}

say('The code as it is: every order of steps within each scope')
say(`${'scope'.padEnd(44)}      states transitions  depth     time`)
const began = now()
for (const [name, scope] of Object.entries(deep ? { ...fullScopes, ...deepScopes } : fullScopes)) {
  if (!name.includes(pick)) continue
  const from = now()
  const found = await explore(scope)
  const { states, transitions, depth, violation, exhausted } = found
  const outcome = violation !== undefined ? 'VIOLATION' : exhausted ? 'no violation' : 'NOT EXHAUSTED'
  if (outcome !== 'no violation') wrong++
  say(
    `${name.padEnd(44)} ${count(states)} ${count(transitions)} ${String(depth).padStart(6)} ${seconds(now() - from)}  ${outcome}`
  )
  tell(found)
}
say(`${seconds(now() - began).trim()}, ${Math.round(process.memoryUsage().rss / 1e6)} MB\n`)

say('With one rule taken out: the shortest way to a violation')
say(`${'rule'.padEnd(56)}      states  steps     time`)
const picked = rules.filter(rule => rule.name.includes(pick))
let shortest: Exploration | undefined
for await (const { rule, found, ms } of withoutRules(picked, now)) {
  const { states, depth, violation } = found
  if (violation === undefined) wrong++
  else if (shortest === undefined || depth < shortest.depth) shortest = found
  say(
    `${rule.name.padEnd(56)} ${count(states)} ${String(depth).padStart(6)} ${seconds(ms)}  ${violation?.message ?? 'NOT FOUND'}`
  )
  if (pick !== '') tell(found)
}
if (shortest !== undefined && pick === '') {
  say('\nThe shortest of them:')
  tell(shortest)
}
process.exitCode = wrong === 0 ? 0 : 1
