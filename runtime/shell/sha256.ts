/** SHA-256 that leaves the event loop free while large files are digested. */
import { sha256Hex } from '../kernel/checksum.ts'

/** Handing smaller ones to another thread costs more than it saves. */
const inlineBytes = 64 * 1024

export async function sha256(bytes: Uint8Array): Promise<string> {
  if (bytes.length <= inlineBytes) return sha256Hex(bytes)
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex')
}
