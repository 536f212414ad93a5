/**
 * Failpoints of the kill tests: `point:count` ends the process as SIGKILL would, the count-th time the point is reached. Several,
 * comma-separated, are counted one after the other; the last one ends the process.
 */
export function killProbe(spec: string | undefined): ((point: string) => void) | undefined {
  if (spec === undefined) return undefined
  const steps = spec.split(',').map(step => {
    const [point, count] = step.split(':')
    return { point, left: Number(count) }
  })
  return reached => {
    const [step] = steps
    if (step?.point !== reached || --step.left > 0) return
    steps.shift()
    if (steps.length === 0) process.kill(process.pid, 'SIGKILL')
  }
}
