import { Command } from 'commander'
import { askJob } from '../job-answers.ts'
import { findJob, jobArgument, withStorage } from '../job-reference.ts'
import { keyArgument } from '../key-argument.ts'
import { printOne, withOutput, type OutputFormat } from '../output.ts'
import { noSuchKey } from '../stored-job.ts'

interface Flags {
  readonly storage: string
  readonly output: OutputFormat
  readonly keyJson?: boolean
}

export function stateCommand(): Command {
  const get = new Command('get')
    .description('Show the durable fields of one actor: live while the job runs, else as of its last checkpoint.')
    .argument('<job>', jobArgument)
    .argument('<actor>', 'an actor or stage')
    .argument('<key>', 'a JSON number or array is that key; everything else is a string as it stands')
    .option('--key-json', 'take the key as JSON, so that the string "42" can be asked for')
    .addHelpText(
      'after',
      `
Examples:
  cairn state get orders Account c7
  cairn state get orders.ts Account c7 --output json
  cairn state get shop Cart '["eu",42]'
  cairn state get shop Cart '"42"' --key-json`
    )
    .action(async (name: string, actor: string, keyText: string, flags: Flags) => {
      const key = keyArgument(keyText, flags.keyJson === true)
      const job = await findJob(name, flags.storage)
      const { fields, epoch } = await askJob<'state'>(job, { kind: 'state', stage: actor, key: key as never })
      if (fields === null) throw noSuchKey(actor, key)
      printOne(fields, flags.output)
      if (epoch !== null && flags.output === 'table')
        process.stderr.write(`as of checkpoint ${epoch}; the job is not running\n`)
    })
  return new Command('state').description('Look into the state of actors.').addCommand(withOutput(withStorage(get)))
}
