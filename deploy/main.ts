/** The command line. Exit codes: 0 ok, 1 failure, 2 usage, 130 stopped by a second interrupt. */
import { Command, CommanderError } from 'commander'
import { isCodedError } from '../runtime/kernel/errors.ts'
import { explain } from './explain.ts'
import { checkpointCommand } from './commands/checkpoint.ts'
import { deadLettersCommand } from './commands/dead-letters.ts'
import { devCommand } from './commands/dev.ts'
import { logCommand } from './commands/log.ts'
import { newCommand } from './commands/new.ts'
import { planCommand } from './commands/plan.ts'
import { runCommand } from './commands/run.ts'
import { savepointCommand } from './commands/savepoint.ts'
import { stateCommand } from './commands/state.ts'
import { statusCommand, stopCommand } from './commands/status.ts'

const program = new Command('cairn').description(
  'Actors with durable state and exactly-once output, from one TypeScript file.'
)
for (const command of [
  runCommand(),
  devCommand(),
  newCommand(),
  planCommand(),
  statusCommand(),
  stopCommand(),
  stateCommand(),
  checkpointCommand(),
  deadLettersCommand(),
  savepointCommand(),
  logCommand()
])
  program.addCommand(command)

/** Settings are not inherited by commands that were made apart. */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for the options and examples)').showSuggestionAfterError()
  for (const each of command.commands) strict(each)
}
strict(program)

// `cairn … | head` is no failure.
for (const stream of [process.stdout, process.stderr])
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
  else {
    process.stderr.write(`${explain(error)}\n`)
    process.exitCode = isCodedError(error) && error.code === 'USAGE' ? 2 : 1
  }
}
