/** Settings on a command of the command line. */
import { readFileSync } from 'node:fs'
import { Option, type Command } from 'commander'
import { CodedError } from '../../runtime/kernel/errors.ts'
import { resolveSettings, type Given } from './resolve-settings.ts'
import { flagOf, variableOf, type Setting, type Settings, type Values } from './setting.ts'
import { allSettings } from './tables.ts'

const configVariable = 'CAIRN_CONFIG'
/** A file of settings is small; a larger one is something else. */
const fileLimitBytes = 1024 * 1024

export function withSettings(command: Command, table: Settings): Command {
  for (const [name, setting] of Object.entries(table)) command.addOption(optionOf(name, setting))
  return command.option(`--config <file>`, `a JSON file of settings (env: ${configVariable})`)
}

/** Values come as they were typed: they are read together with the environment and the file. */
function optionOf(name: string, { about, placeholder, shown, flagOnly }: Setting<unknown>): Option {
  const notes = [
    ...(shown === undefined ? [] : [`default: ${shown}`]),
    ...(flagOnly ? [] : [`env: ${variableOf(name)}`])
  ]
  const flags = placeholder === undefined ? flagOf(name) : `${flagOf(name)} ${placeholder}`
  return new Option(flags, notes.length === 0 ? about : `${about} (${notes.join(', ')})`)
}

export const settingsHelp = `
Settings: a flag beats its variable, the variable a key of the file of --config, like {"lostAfter": "10s", "nats": ["nats://a:4222"]}.
What is wrong with them is told all at once.`

/** Throws USAGE. */
export function settingsOf<Table extends Settings>(
  command: Command,
  table: Table,
  check?: (set: ReadonlySet<string>) => readonly string[]
): Values<Table> {
  const flags = command.opts<Record<string, unknown>>()
  const path = (flags['config'] as string | undefined) ?? process.env[configVariable]
  const given: Given = {
    flags,
    environment: process.env,
    file: path === undefined || path === '' ? undefined : { path, text: textOf(path) },
    all: allSettings
  }
  return resolveSettings(table, given, check)
}

function textOf(path: string): string {
  try {
    const bytes = readFileSync(path)
    if (bytes.length <= fileLimitBytes) return bytes.toString('utf8')
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    throw new CodedError('USAGE', `--config "${path}" cannot be read: ${code ?? String(cause)}`)
  }
  throw new CodedError('USAGE', `--config "${path}" is longer than a file of settings can be`)
}
