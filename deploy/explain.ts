import { isCodedError } from '../runtime/kernel/errors.ts'

/** What happened, where, what to do; a stack only for an exception of the user's own code. */
export function explain(error: unknown): string {
  if (!isCodedError(error)) return `cairn: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
  const own = ['HANDLER_FAILED', 'DECODE_FAILED', 'JOB_FILE_INVALID'].includes(error.code)
  const stack = own && error.cause instanceof Error && error.cause.stack !== undefined ? `\n\n${error.cause.stack}` : ''
  return `cairn: ${error.code}: ${error.message}\n  ${error.remedy}${stack}`
}
