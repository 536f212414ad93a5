/**
 * The signer of S3 requests is an optional package, loaded when a job first keeps its checkpoints there. Why `aws4fetch`: it is the whole of
 * Signature Version 4 and nothing else (11 KB, no dependencies). What a client library adds — retries, pooled sockets, paging — is where the
 * contract of a conditional create is decided, so it stands here in the open; `@aws-sdk/client-s3` would bring some dozens of packages.
 */
import type * as Signer from 'aws4fetch'
import { CodedError } from '../../../runtime/kernel/errors.ts'

export type S3Signer = typeof Signer

const packageName = 'aws4fetch'

/** Rejects with PACKAGE_MISSING. */
export async function loadSigner(load: (name: string) => Promise<unknown> = name => import(name)): Promise<S3Signer> {
  try {
    return (await load(packageName)) as S3Signer
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new CodedError('PACKAGE_MISSING', `storage on S3 needs package "${packageName}", which is not installed`, {
      cause,
      remedy: `npm install ${packageName}@1`
    })
  }
}
