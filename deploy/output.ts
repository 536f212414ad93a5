/** How commands print what they found: for people, or for programs. */
import { InvalidArgumentError, Option, type Command } from 'commander'

export type OutputFormat = 'table' | 'json' | 'jsonl'
export type Row = Readonly<Record<string, unknown>>

/** `--output`: flag over CAIRN_OUTPUT over table. */
export function withOutput(command: Command): Command {
  return command.addOption(
    new Option('--output <format>', 'how to print it')
      .choices(['table', 'json', 'jsonl'])
      .env('CAIRN_OUTPUT')
      .default('table')
  )
}

/** A list: a table, one JSON array, or one JSON value per line. */
export function printRows(rows: readonly Row[], format: OutputFormat, empty: string): void {
  if (format === 'json') write(JSON.stringify(rows, null, 2))
  else if (format === 'jsonl') for (const row of rows) write(JSON.stringify(row))
  else if (rows.length === 0) process.stderr.write(`${empty}\n`)
  else write(table(rows))
}

/** One thing: a line per property, or one JSON object. */
export function printOne(row: Row, format: OutputFormat): void {
  if (format === 'json') write(JSON.stringify(row, null, 2))
  else if (format === 'jsonl') write(JSON.stringify(row))
  else {
    const width = Math.max(0, ...Object.keys(row).map(name => cell(name).length))
    for (const [name, value] of Object.entries(row)) write(`${cell(name).padEnd(width)}  ${cell(value)}`)
  }
}

function write(line: string): void {
  process.stdout.write(`${line}\n`)
}

function table(rows: readonly Row[]): string {
  const names = [...new Set(rows.flatMap(row => Object.keys(row)))]
  const cells = [names, ...rows.map(row => names.map(name => cell(row[name])))]
  const widths = names.map((_, column) => Math.max(...cells.map(row => row[column]?.length ?? 0)))
  return cells
    .map(row =>
      row
        .map((text, column) => text.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()
    )
    .join('\n')
}

/** Text that cannot move the cursor of a terminal, whatever was stored. */
export function cell(value: unknown): string {
  if (value === undefined || value === null) return '-'
  const text = typeof value === 'string' ? value : JSON.stringify(value)

  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]|\p{Surrogate}/gu, unit => {
    const code = unit.charCodeAt(0).toString(16).padStart(4, '0')
    return `\\u${code}`
  })
}

export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return text => {
    const n = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(n) || n < least || n > most)
      throw new InvalidArgumentError(
        `It must be a whole number from ${least}${most < Number.MAX_SAFE_INTEGER ? ` to ${most}` : ''}.`
      )
    return n
  }
}
