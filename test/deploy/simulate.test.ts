/** `cairn simulate`: exit codes, what it tells, and that what it writes down can be run again. */
import { join } from 'node:path'
import t from 'tap'
import { CairnFolder, root } from './cairn-cli.ts'

t.setTimeout(600_000)

const folder = new CairnFolder()
t.teardown(() => folder.remove())
const buggy = join(root, 'examples/payments-with-a-bug.ts')

void t.test('seeds that pass: exit code 0, and what was run and what struck', t => {
  const { code, stdout, stderr } = folder.cairn('simulate', '--seed', '3', '--seeds', '3', '--processes', '2')
  t.equal(code, 0, stderr)
  t.equal(stdout, '')
  t.match(stderr, /3 seeds: 3 passed, 0 failed/)
  t.match(stderr, /faults that struck: .*\w \d+/)
  t.match(stderr, /simulated hours in .* seeds a minute and process/)
  t.end()
})

void t.test('a seed is the same run each time; --trace tells each event of the world', t => {
  const hashOf = (text: string): string | undefined => /trace ([0-9a-f]{16})/.exec(text)?.[1]
  const first = folder.cairn('simulate', '--seed', '4', '--records', '40')
  const second = folder.cairn('simulate', '--seed', '4', '--records', '40', '--trace')
  t.equal(first.code, 0)
  t.ok(hashOf(first.stderr))
  t.equal(hashOf(first.stderr), hashOf(second.stderr))
  t.match(second.stdout, /^\d+\.\d{3} w1#1 start$/m)
  t.end()
})

void t.test('a job with a bug: exit code 3, the finding, and a scenario that fails again', t => {
  const { code, stderr } = folder.cairn('simulate', buggy, '--seeds', '1', '--shrink-runs', '2', '--records', '100')
  t.equal(code, 3, stderr)
  t.match(stderr, /seed 1: wrong/)
  t.match(stderr, /depends on the wall clock|once/)
  t.match(stderr, /decision \d+: generation \d+ begins from checkpoint/)
  t.match(stderr, /run it again: cairn simulate .*payments-with-a-bug\.ts --seed 1/)
  const again = folder.cairn('simulate', buggy, '--replay', '.cairn/simulations/seed-1.json', '--shrink-runs', '0')
  t.equal(again.code, 3, again.stderr)
  t.end()
})

void t.test('what cannot be run is told at once', t => {
  t.match(folder.cairn('simulate', '--faults', 'crash,flood'), { code: 2, stderr: /no class of faults "flood"/ })
  t.match(folder.cairn('simulate', 'absent.ts'), {
    code: 1,
    stderr: /JOB_FILE_INVALID: job file "absent\.ts" cannot be read/
  })
  t.match(folder.cairn('simulate', '--replay', 'absent.json'), { code: 1, stderr: /scenario "absent\.json": ENOENT/ })
  folder.file('other.json', '{"a": 1}')
  t.match(folder.cairn('simulate', '--replay', 'other.json'), { code: 1, stderr: /is no scenario/ })
  t.match(folder.cairn('simulate', '--seeds', '0'), { code: 2 })
  t.end()
})
