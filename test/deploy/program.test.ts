/** The manners of every command. */
import type { Command } from 'commander'
import t from 'tap'
import { cairnProgram } from '../../deploy/program.ts'

/** Commands without commands below them, with their whole names. */
function leaves(command: Command, above = ''): { readonly name: string; readonly command: Command }[] {
  const name = `${above}${command.name()}`
  return command.commands.length === 0
    ? [{ name, command }]
    : command.commands.flatMap(each => leaves(each, `${name} `))
}
function help(command: Command): string {
  let text = ''
  command.configureOutput({ writeOut: more => (text += more) }).outputHelp()
  return text
}
/** What is missing from the help of a command; [] = nothing. */
function missing(name: string, command: Command): string[] {
  const text = help(command)
  const problems: string[] = []
  if (command.description() === '') problems.push('a description')
  if (!new RegExp(`\nExamples?:\n  ${name} `).test(text)) problems.push('an example')
  for (const option of command.options) if (option.description === '') problems.push(`what ${option.flags} does`)
  return problems
}

void t.test(
  'every command has a description, an example that begins with its name, and options that explain themselves',
  async t => {
    const all = leaves(await cairnProgram())
    t.ok(all.length >= 18, `${all.length} commands`)
    for (const { name, command } of all) t.same(missing(name, command), [], name)
  }
)

void t.test('the check notices what is missing', async t => {
  const plan = leaves(await cairnProgram()).find(({ name }) => name === 'cairn plan')?.command as Command
  t.same(missing('cairn nalp', plan), ['an example'])
  t.same(missing('cairn plan', plan.description('').option('--more')), ['a description', 'what --more does'])
})

void t.test('a command that is named is loaded alone; what is no command brings all of them', async t => {
  for (const name of (await cairnProgram()).commands.map(each => each.name()))
    t.same(
      (await cairnProgram(name)).commands.map(each => each.name()),
      [name]
    )
  for (const other of [undefined, 'runn', '--help', 'help', 'toString'])
    t.ok((await cairnProgram(other)).commands.length >= 16, String(other))
})
