/** What a command line of `worker start` comes to, without carrying it out. */
import type { Command } from 'commander'
import { cairnProgram } from '../../deploy/program.ts'
import { settingsOf } from '../../deploy/settings/command-settings.ts'
import { workerProblems, workerSettings } from '../../deploy/settings/tables.ts'

interface Parsed {
  readonly arguments: readonly string[]
  readonly options: Readonly<Record<string, unknown>>
}

/** Throws what the command line says of it. */
export async function parseCommand(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {}
): Promise<Parsed> {
  const program = await cairnProgram(args[0])
  let found: Parsed | undefined
  const disarm = (command: Command): void => {
    command.configureOutput({ writeErr: () => undefined, writeOut: () => undefined })
    if (command.commands.length === 0)
      command.action(() => {
        found = { arguments: command.args, options: settingsOf(command, workerSettings, workerProblems) }
      })
    for (const each of command.commands) disarm(each)
  }
  disarm(program)
  const before = { ...process.env }
  for (const name of Object.keys(process.env)) if (name.startsWith('CAIRN_')) delete process.env[name]
  Object.assign(process.env, env)
  try {
    program.parse([...args], { from: 'user' })
  } finally {
    for (const name of Object.keys(env)) delete process.env[name]
    Object.assign(process.env, before)
  }
  if (found === undefined) throw new Error(`${args.join(' ')} is no command`)
  return found
}
