/** Notices that a file was saved, by looking: it works on every file system, and however the editor saves. */
import { unwatchFile, watchFile } from 'node:fs'

const lookMs = 150

export class SaveWatcher {
  private readonly files = new Set<string>()
  private changed = false
  private closed = false
  private wake: (() => void) | undefined
  private readonly onChange = (): void => {
    this.changed = true
    this.wake?.()
  }

  /** Watches these besides those before: a file that is not imported any more may be imported again. */
  watch(files: readonly string[]): void {
    for (const file of files)
      if (!this.files.has(file) && !this.closed) {
        this.files.add(file)
        watchFile(file, { interval: lookMs }, this.onChange)
      }
  }

  /** Resolves when something was saved since the last call, or after `close`. */
  async saved(): Promise<void> {
    if (!this.changed && !this.closed) await new Promise<void>(resolve => (this.wake = resolve))
    this.changed = false
  }

  /** Idempotent. */
  close(): void {
    this.closed = true
    for (const file of this.files) unwatchFile(file, this.onChange)
    this.wake?.()
  }
}
