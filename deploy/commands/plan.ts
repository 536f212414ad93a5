import { Command, Option } from 'commander'
import { describePlan, planMermaid, planText, type PlanDescription } from '../../actors/plan-print.ts'
import { loadJob } from '../load-job.ts'

const formats = {
  text: planText,
  mermaid: planMermaid,
  json: plan => JSON.stringify(plan, null, 2)
} as const satisfies Record<string, (plan: PlanDescription) => string>

export function planCommand(): Command {
  return new Command('plan')
    .description('Check a job and show its stages, without running it.')
    .argument('<job>', 'a job file')
    .addOption(new Option('--format <format>', 'how to print it').choices(Object.keys(formats)).default('text'))
    .addHelpText(
      'after',
      '\nExamples:\n  cairn plan examples/orders.ts\n  cairn plan examples/orders.ts --format mermaid'
    )
    .action(async (path: string, { format }: { readonly format: keyof typeof formats }) => {
      const { plan } = await loadJob(path)
      process.stdout.write(`${formats[format](describePlan(plan))}\n`)
    })
}
