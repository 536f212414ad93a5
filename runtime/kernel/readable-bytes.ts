/** Bytes in JSON: text where they are exactly that in UTF-8, else base64 under `$bytes`; null where there are none. */

export type ReadableBytes = string | { readonly $bytes: string } | null

const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
const encoder = new TextEncoder()

export function readableBytes(bytes: Uint8Array | undefined): ReadableBytes {
  if (bytes === undefined) return null
  try {
    return decoder.decode(bytes)
  } catch {
    return { $bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64') }
  }
}

/** The bytes that `readableBytes` wrote so; undefined where it wrote none, and for anything else. */
export function bytesOfReadable(readable: unknown): Uint8Array | undefined {
  if (typeof readable === 'string') return encoder.encode(readable)
  if (typeof readable !== 'object' || readable === null) return undefined
  const { $bytes } = readable as { readonly $bytes?: unknown }
  return typeof $bytes === 'string' ? new Uint8Array(Buffer.from($bytes, 'base64')) : undefined
}
