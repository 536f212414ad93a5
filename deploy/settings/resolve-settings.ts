/** Flag over environment over file over fallback; everything that is wrong with them is found at once. Pure, but for files that settings name. */
import { CodedError } from '../../runtime/kernel/errors.ts'
import { flagOf, variableOf, type Setting, type Settings, type Values } from './setting.ts'

export interface Given {
  /** By name, what the command line holds. */
  readonly flags: Readonly<Record<string, unknown>>
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Of `--config`. */
  readonly file: { readonly path: string; readonly text: string } | undefined
  /** Those of all commands: a file may serve several. */
  readonly all: Settings
}

/** Variables of the environment that are none of our settings. */
const otherVariables =
  /^CAIRN_(CONFIG|OUTPUT|REQUIRE_SERVICES|NATS_SERVER|S3_SERVER|KAFKA_CLIENT|ROCKSDB|PROMETHEUS|TEST_.*|CHAOS_.*)$/
/** More would tell a stranger's file back to a log. */
const shownCharacters = 60

/**
 * @param check one sentence for each thing that does not fit together, by the names of what is set
 * Throws USAGE naming each setting that is wrong, its value, where it came from and what to do.
 */
export function resolveSettings<Table extends Settings>(
  table: Table,
  given: Given,
  check: (set: ReadonlySet<string>) => readonly string[] = () => []
): Values<Table> {
  const problems: string[] = []
  const inFile = fileEntries(given, problems)
  const values: Record<string, unknown> = {}
  const set = new Set<string>()
  for (const [name, setting] of Object.entries(table)) {
    const found = find(name, setting, given, inFile)
    if (found === undefined) {
      if (setting.always) values[name] = setting.fallback
      continue
    }
    set.add(name)
    try {
      values[name] = setting.read(found.value)
    } catch (error) {
      const shown = setting.secret ? '(not shown)' : show(found.value)
      problems.push(`${found.where} ${shown}: ${(error as Error).message}`)
    }
  }
  problems.push(...misspelt(given), ...check(set))
  if (problems.length === 0) return values as Values<Table>
  const message =
    problems.length === 1
      ? (problems[0] as string)
      : `${problems.length} settings are wrong:\n  - ${problems.join('\n  - ')}`
  throw new CodedError('USAGE', message, {
    remedy: 'A flag beats the environment, the environment the file of --config. See --help, and docs/configuration.md.'
  })
}

function find(
  name: string,
  { flagOnly }: Setting<unknown>,
  { flags, environment, file }: Given,
  inFile: ReadonlyMap<string, unknown>
): { readonly where: string; readonly value: unknown } | undefined {
  if (flags[name] !== undefined) return { where: flagOf(name), value: flags[name] }
  if (flagOnly) return undefined
  const variable = environment[variableOf(name)]
  // An empty variable is how a shell or a manifest says that there is none.
  if (variable !== undefined && variable !== '') return { where: variableOf(name), value: variable }
  if (inFile.has(name)) return { where: `"${name}" in ${file?.path}`, value: inFile.get(name) }
  return undefined
}

function fileEntries({ file, all }: Given, problems: string[]): ReadonlyMap<string, unknown> {
  if (file === undefined) return new Map()
  let parsed: unknown
  try {
    parsed = JSON.parse(file.text)
  } catch (error) {
    problems.push(`--config "${file.path}" is no JSON: ${(error as Error).message}`)
    return new Map()
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    problems.push(`--config "${file.path}" holds no JSON object`)
    return new Map()
  }
  const entries = new Map<string, unknown>(Object.entries(parsed))
  for (const [name, value] of entries) {
    const own = Object.hasOwn(all, name) ? all[name] : undefined
    if (own?.flagOnly === true)
      problems.push(`"${name}" in ${file.path} ${show(value)}: it is for one start; give it as ${flagOf(name)}`)
    else if (own === undefined)
      problems.push(
        `"${name}" in ${file.path} ${show(value)}: there is no such setting${meant(name, Object.keys(all))}`
      )
  }
  return entries
}

/** A variable that looks like one of ours. Others are left alone: Kubernetes names variables after services. */
function misspelt({ environment, all }: Given): string[] {
  const variables = Object.keys(all).map(variableOf)
  return Object.keys(environment)
    .filter(name => name.startsWith('CAIRN_') && !variables.includes(name) && !otherVariables.test(name))
    .flatMap(name => {
      const near = meant(name, variables)
      return near === '' ? [] : [`${name} ${show(environment[name])}: there is no such setting${near}`]
    })
}

function meant(name: string, all: readonly string[]): string {
  const near = all.find(each => distance(name.toLowerCase(), each.toLowerCase()) <= 2)
  return near === undefined ? '' : `; ${near} is meant, it seems`
}

/** How many letters must be changed, added or taken away. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(
        Math.min(
          (row[j] as number) + 1,
          (next[j - 1] as number) + 1,
          (row[j - 1] as number) + Number(a[i - 1] !== b[j - 1])
        )
      )
    row = next
  }
  return row[b.length] as number
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value)
  return text.length > shownCharacters ? `${text.slice(0, shownCharacters)}…` : text
}
