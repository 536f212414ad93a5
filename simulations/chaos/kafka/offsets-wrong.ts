/** Judges what `kafka-consumer-groups --describe` prints of a group whose job has read everything. */

/** One sentence for each partition of the topic that is not at its end; [] = the next record that comes is the next one to read. */
export function offsetsWrong(text: string, topic: string, partitions: number): string[] {
  const lines = text.split('\n').map(line => line.trim().split(/\s+/))
  return Array.from({ length: partitions }, (_, partition) => {
    const found = lines.filter(([, name, number]) => name === topic && number === String(partition))
    const [line] = found
    const what = `the group's offset of ${topic}/${partition}`
    if (line === undefined) return [`${what} is missing`]
    const [, , , offset, end, lag] = line
    if (found.length > 1) return [`${what} is there ${found.length} times`]
    return offset === end && lag === '0' ? [] : [`${what} is ${offset}, and the partition ends at ${end}: lag ${lag}`]
  }).flat()
}
