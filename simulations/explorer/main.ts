import { explore } from './explorer.ts'
import { scopes } from './scope.ts'
const name = (process.argv[2] ?? 'failover') as keyof typeof scopes
const scope = { ...scopes[name], ...(JSON.parse(process.argv[3] ?? '{}') as object) }
const from = performance.now()
const { violation, ends, ...rest } = await explore(scope, Number(process.argv[4] ?? 3_000_000))
process.stdout.write(
  `${JSON.stringify(scope)}\n${JSON.stringify(rest)} ${Math.round(performance.now() - from)} ms ${Math.round(process.memoryUsage().rss / 1e6)} MB\n`
)
for (const [reason, count] of ends) process.stdout.write(`  ${count} ${reason}\n`)
if (violation)
  process.stdout.write(`${violation.message}\n${violation.story.map((l, i) => `  ${i + 1} ${l}`).join('\n')}\n`)
