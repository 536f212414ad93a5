import { Command } from 'commander'
import { clusterCommand } from './commands/cluster.ts'
import { checkpointCommand } from './commands/checkpoint.ts'
import { deadLettersCommand } from './commands/dead-letters.ts'
import { devCommand } from './commands/dev.ts'
import { jobCommand } from './commands/job.ts'
import { logCommand } from './commands/log.ts'
import { newCommand } from './commands/new.ts'
import { planCommand } from './commands/plan.ts'
import { quarantineCommand } from './commands/quarantine.ts'
import { runCommand } from './commands/run.ts'
import { savepointCommand } from './commands/savepoint.ts'
import { simulateCommand } from './commands/simulate.ts'
import { stateCommand } from './commands/state.ts'
import { statusCommand, stopCommand } from './commands/status.ts'
import { workerCommand } from './commands/worker.ts'

/** Every command. */
export function cairnProgram(): Command {
  const program = new Command('cairn').description(
    'Actors with durable state and exactly-once output, from one TypeScript file.'
  )
  for (const command of [
    runCommand(),
    devCommand(),
    newCommand(),
    planCommand(),
    simulateCommand(),
    statusCommand(),
    stopCommand(),
    stateCommand(),
    checkpointCommand(),
    deadLettersCommand(),
    quarantineCommand(),
    savepointCommand(),
    logCommand(),
    workerCommand(),
    clusterCommand(),
    jobCommand()
  ])
    program.addCommand(command)
  strict(program)
  return program
}

/** Settings are not inherited by commands that were made apart. */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for the options and examples)').showSuggestionAfterError()
  for (const each of command.commands) strict(each)
}
