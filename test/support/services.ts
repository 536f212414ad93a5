/** Real servers on this machine, installed by `npm run services -- install`. */
import { locate } from '../../simulations/chaos/installed.ts'

export { locate, service } from '../../simulations/chaos/installed.ts'

/**
 * Options of a test that needs services: skipped where one is missing, unless CAIRN_REQUIRE_SERVICES=1.
 *
 *   void t.test('…', needs('nats-server'), async t => …)
 */
export function needs(...names: readonly string[]): { readonly skip?: string } {
  const missing = names.filter(name => locate(name) === undefined)
  if (missing.length === 0 || process.env['CAIRN_REQUIRE_SERVICES'] === '1') return {}
  const install = missing.includes('flink') ? 'install flink' : 'install'
  return { skip: `${missing.join(', ')} is missing here; run: npm run services -- ${install}` }
}
