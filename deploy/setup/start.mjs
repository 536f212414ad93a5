/** `npm start`: prepares the project and runs the example job, embedded, with no servers. Arguments go to `cairn run`. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { prepare, root } from './prepare.mjs'

prepare()
process.stderr.write('running examples/orders.ts; kill it at any time and start again: it goes on where it was\n')
const job = spawn(
  process.execPath,
  [join(root, 'deploy/bin/cairn.cjs'), 'run', 'examples/orders.ts', ...process.argv.slice(2)],
  { cwd: root, stdio: 'inherit' }
)
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined)
job.on('exit', code => {
  if (code === 0) process.stderr.write('its output is in .cairn/orders/receipts; the code is examples/orders.ts\n')
  process.exit(code ?? 1)
})
