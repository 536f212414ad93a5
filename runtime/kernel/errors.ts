/**
 * The three kinds of failure, never mixed:
 * - the programmer's mistake: `assert` (our own) or `TypeError` (the caller's);
 * - an operational error: `CodedError`, with a stable code from `error-codes.ts`;
 * - a protocol outcome (stale, duplicate, fenced): a returned union member, never an exception.
 */
import { errorCodes, type ErrorCode } from './error-codes.ts'

/** Who can do something about an operational error. */
export type ErrorGroup = 'user' | 'external' | 'internal'

export class CodedError extends Error {
  readonly code: ErrorCode
  /** What the reader should do about it, one sentence. Defaults to the remedy of the code. */
  readonly remedy: string
  override readonly name = 'CodedError'

  /** @param message names the thing and the value: `job file "x.ts" exports no job` */
  constructor(code: ErrorCode, message: string, options: { cause?: unknown; remedy?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.remedy = options.remedy ?? errorCodes[code].remedy
  }

  get group(): ErrorGroup {
    return errorCodes[this.code].group
  }

  /** True when the same call may succeed later without anybody changing anything. */
  get retriable(): boolean {
    return errorCodes[this.code].retriable
  }
}

export function isCodedError(error: unknown): error is CodedError {
  return error instanceof CodedError
}

/** Throws when Cairn itself is wrong. Cheap enough for production; never used for input. */
export function assert(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Error(`assertion failed: ${message}`)
}

export function unreachable(value: never, message = 'unreachable'): never {
  throw new Error(`assertion failed: ${message}: ${String(value)}`)
}
