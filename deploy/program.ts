import { Command } from 'commander'

/** Each is loaded when it is needed: what one of them imports, the others do not wait for. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./commands/run.ts')).runCommand(),
  dev: async () => (await import('./commands/dev.ts')).devCommand(),
  new: async () => (await import('./commands/new.ts')).newCommand(),
  plan: async () => (await import('./commands/plan.ts')).planCommand(),
  simulate: async () => (await import('./commands/simulate.ts')).simulateCommand(),
  status: async () => (await import('./commands/status.ts')).statusCommand(),
  stop: async () => (await import('./commands/status.ts')).stopCommand(),
  state: async () => (await import('./commands/state.ts')).stateCommand(),
  checkpoint: async () => (await import('./commands/checkpoint.ts')).checkpointCommand(),
  'dead-letters': async () => (await import('./commands/dead-letters.ts')).deadLettersCommand(),
  quarantine: async () => (await import('./commands/quarantine.ts')).quarantineCommand(),
  savepoint: async () => (await import('./commands/savepoint.ts')).savepointCommand(),
  log: async () => (await import('./commands/log.ts')).logCommand(),
  worker: async () => (await import('./commands/worker.ts')).workerCommand(),
  cluster: async () => (await import('./commands/cluster.ts')).clusterCommand(),
  job: async () => (await import('./commands/job.ts')).jobCommand()
}

/** Every command; or only the one that is named, if there is one of that name. */
export async function cairnProgram(named = ''): Promise<Command> {
  const program = new Command('cairn').description(
    'Actors with durable state and exactly-once output, from one TypeScript file.'
  )
  const wanted = Object.hasOwn(commands, named) ? [named] : Object.keys(commands)
  for (const name of wanted) program.addCommand(await (commands[name] as () => Promise<Command>)())
  strict(program)
  return program
}

/** Settings are not inherited by commands that were made apart. */
function strict(command: Command): void {
  command.exitOverride().showHelpAfterError('(add --help for the options and examples)').showSuggestionAfterError()
  for (const each of command.commands) strict(each)
}
