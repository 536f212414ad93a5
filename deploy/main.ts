/** The command line. Exit codes: 0 ok, 1 failure, 2 usage, 130 stopped by a second interrupt. */
import { CommanderError } from 'commander'
import { isCodedError } from '../runtime/kernel/errors.ts'
import { explain } from './explain.ts'
import { cairnProgram } from './program.ts'

// `cairn … | head` is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })

try {
  await (await cairnProgram(process.argv[2])).parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.stderr.write(`${explain(error)}\n`)
    process.exitCode = isCodedError(error) && error.code === 'USAGE' ? 2 : 1
  }
}
