import { Command } from 'commander'
import { buildStageGraph, type Step } from '../../runtime/core/stage-graph.ts'
import { loadJob } from '../load-job.ts'

export function planCommand(): Command {
  return new Command('plan')
    .description('Check a job and show its stages, without running it.')
    .argument('<job>', 'a job file')
    .addHelpText('after', '\nExample:\n  cairn plan examples/orders.ts')
    .action(async (path: string) => {
      const { plan } = await loadJob(path)
      const graph = buildStageGraph(plan)
      const lines = [
        `job ${plan.job} · parallelism ${plan.parallelism} · checkpoint every ${plan.intervalMs} ms · ${plan.keyGroups} key groups`
      ]
      const leaves = (steps: readonly Step[]): string[] =>
        steps.flatMap(step => {
          if ('next' in step) return leaves(step.next)
          if (step.kind === 'sink') return [`sink ${step.sink.name} (${step.sink.delivery})`]
          if (step.kind === 'exchange') return [`stage ${graph.stages[graph.edges[step.edge]?.to ?? -1]?.name ?? '?'}`]
          return []
        })
      for (const stage of graph.stages) {
        lines.push(
          stage.kind === 'source'
            ? `source ${stage.name} (${stage.node.source.connector})`
            : `stage ${stage.name} · onError ${stage.node.onError}`
        )
        for (const [output, steps] of stage.outputs)
          for (const leaf of leaves(steps)) lines.push(`  ${output} → ${leaf}`)
        if (stage.kind === 'keyed')
          for (const edge of stage.sends.values())
            lines.push(`  sends → stage ${graph.stages[graph.edges[edge]?.to ?? -1]?.name ?? '?'}`)
      }
      process.stdout.write(`${lines.join('\n')}\n`)
    })
}
