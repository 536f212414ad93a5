/** Appends value lines to a writable stream (standard output). A reader that went away ends the output quietly, as in any pipe. */
import type { Writable } from 'node:stream'
import type { Appender, OutputRecord } from '../ports/log.ts'

const newline = Uint8Array.of(0x0a)

export class StreamAppender implements Appender {
  private readonly stream: Writable
  private gone = false

  constructor(stream: Writable) {
    this.stream = stream
    stream.on('error', error => {
      if ((error as NodeJS.ErrnoException).code === 'EPIPE') this.gone = true
      else throw error
    })
  }

  append(records: readonly OutputRecord[]): Promise<void> {
    if (this.gone) return Promise.resolve()
    const parts: Uint8Array[] = []
    for (const { value } of records) if (value !== undefined) parts.push(value, newline)
    return new Promise(resolve => this.stream.write(Buffer.concat(parts), () => resolve()))
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
