/** In short what `npm run planted-bugs` does at length: the swarm notices mistakes, and leaves alone what is none. */
import t from 'tap'
import { patchedBuild } from '../../simulations/patched-build.ts'
import { huntIn, type HuntOutcome } from './hunt-in.ts'
import { mistakes, type Mistake } from './mistakes.ts'

t.setTimeout(600_000)

function build({ changes }: Mistake): ReturnType<typeof patchedBuild> {
  return patchedBuild(changes.map(([file, find, replace]) => ({ file, find, replace })))
}

async function hunt(name: string, seeds: string): Promise<HuntOutcome> {
  const mistake = mistakes.find(each => each.name === name)
  if (mistake === undefined) throw new Error(`no mistake "${name}"`)
  const patched = build(mistake)
  try {
    return await huntIn(patched.folder, '1', seeds)
  } finally {
    patched.remove()
  }
}

void t.test('every mistake can be planted into the code as it is now', t => {
  for (const mistake of mistakes) build(mistake).remove()
  t.ok(mistakes.filter(({ harmless, unseen }) => harmless !== true && unseen === undefined).length >= 30)
  t.equal(mistakes.filter(({ harmless }) => harmless === true).length, 5)
  t.end()
})

void t.test('mistakes are noticed by the general swarm', async t => {
  for (const name of [
    'timers are not restored',
    'the ledger entry is written in a transaction of its own',
    'a delta is acknowledged before it is stored'
  ])
    t.match(await hunt(name, '20'), { found: { checker: String } }, name)
})

void t.test('what is no mistake is not', async t => {
  t.match(await hunt('credit is returned at once', '4'), { seeds: 4, found: undefined })
})
