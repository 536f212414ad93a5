/** Ordered byte streams between workers, TCP-shaped: what arrives is what was sent, in order, up to some point; chunks have no meaning. */

export interface Transport {
  /** Begins to accept connections. `address` is what others connect to. */
  listen(accept: (stream: ByteStream) => void): Promise<{ readonly address: string; close(): Promise<void> }>
  /** Rejects when nobody answers. */
  connect(address: string): Promise<ByteStream>
}

export interface ByteStream {
  /** Takes the bytes over. Nothing happens on a closed stream. False: more waits to be sent than is good; wait for `onDrain`. */
  write(bytes: Uint8Array): boolean
  onData(callback: (bytes: Uint8Array) => void): void
  /** What waited was sent. */
  onDrain(callback: () => void): void
  /** Once, when either side closed it or it broke; not called on the side that called `close`. A half-open stream never calls it. */
  onClose(callback: (reason: string) => void): void
  close(): void
}
