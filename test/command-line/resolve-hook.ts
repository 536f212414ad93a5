/** Puts the substitutes of this folder in place; a query (`?real`) or an import from this folder gets the real thing. */
import type { ResolveHook } from 'node:module'

const own = new URL('.', import.meta.url).href
const driver = new URL('../../simulations/driver/index.js', import.meta.url).href
const substitute = new URL('substitute.js', import.meta.url).href
const namedTests = new URL('named-tests.js', import.meta.url).href

export const resolve: ResolveHook = async (specifier, context, next) => {
  if (specifier === 'tap' && context.parentURL?.startsWith(own) !== true) return { url: namedTests, shortCircuit: true }
  const resolved = await next(specifier, context)
  return resolved.url === driver ? { url: substitute, shortCircuit: true } : resolved
}
