/** Ctrl-C, and SIGTERM: the first asks for an orderly end, the second ends the process at once with exit code 130. */
export function onInterrupts(first: () => void): () => void {
  let interrupts = 0
  const interrupted = (): void => {
    if (++interrupts > 1) process.exit(130)
    first()
  }
  process.on('SIGINT', interrupted).on('SIGTERM', interrupted)
  return () => void process.off('SIGINT', interrupted).off('SIGTERM', interrupted)
}
