/** What handlers call outside of the job: the real thing in production, a stand-in under simulation. */

/** Under which a service is known; on the object that `service` returns. */
export const serviceName: unique symbol = Symbol('cairn.service')

/** An outside with a name. Its methods return promises. */
export type Service<S extends object> = S & { readonly [serviceName]: string }

/* eslint-disable @typescript-eslint/no-explicit-any -- any arguments, any answer */
export type Methods<S> = {
  readonly [P in keyof S]: S[P] extends (...args: any) => infer R
    ? R extends Promise<any>
      ? S[P]
      : { 'a method of a service returns a promise': P }
    : S[P]
}
/* eslint-enable @typescript-eslint/no-explicit-any */

/**
 * Names an outside that handlers call: a bank, a mail server, a database. In production the result *is* `implementation`; under
 * `cairn simulate` each call goes to the stand-in given by `standIn`, with latency and failures, and what was called is
 * remembered though the caller has crashed since.
 *
 * A call may happen more than once for an event: give it `ctx.id`, which is the same on every replay.
 */
export function service<S extends object>(name: string, implementation: S & Methods<S>): Service<S> {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name))
    throw new TypeError(`service ${JSON.stringify(name)}: a name matches [A-Za-z][A-Za-z0-9_-]{0,62}`)
  return Object.defineProperty(implementation, serviceName, { value: name }) as unknown as Service<S>
}
