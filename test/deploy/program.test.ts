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
  t => {
    const all = leaves(cairnProgram())
    t.ok(all.length >= 18, `${all.length} commands`)
    for (const { name, command } of all) t.same(missing(name, command), [], name)
    t.end()
  }
)

void t.test('the check notices what is missing', t => {
  const plan = leaves(cairnProgram()).find(({ name }) => name === 'cairn plan')?.command as Command
  t.same(missing('cairn nalp', plan), ['an example'])
  t.same(missing('cairn plan', plan.description('').option('--more')), ['a description', 'what --more does'])
  t.end()
})
