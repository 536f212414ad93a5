/** The command line of a tool here: exit codes 0 to 2 as its help says, 130 when it is interrupted. */
import { CommanderError, type Command } from 'commander'

export async function runProgram<Flags extends object>(
  program: Command,
  main: (flags: Flags) => Promise<number>
): Promise<void> {
  // What is started ends with this process.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
  try {
    program.parse()
    process.exitCode = await main(program.opts<Flags>())
  } catch (error) {
    if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2
    else {
      process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
      process.exitCode = 1
    }
  }
}
