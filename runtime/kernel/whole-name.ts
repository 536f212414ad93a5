/** Whether the pattern matches all of the name, not a part of it. What it remembers of earlier matches does not count. */
export function matchesWhole(pattern: RegExp, name: string): boolean {
  return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, '')).test(name)
}
