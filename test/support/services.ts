/** Real servers on this machine, installed by `npm run services -- install`. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

interface ServiceTable {
  locate(name: string): string | undefined
}

const { locate } = (await import(pathToFileURL(join(root, 'deploy/setup/services.mjs')).href)) as ServiceTable

/** Where the service is. Throws where it is missing: tests that need it are skipped there, see `needs`. */
export function service(name: string): string {
  const path = locate(name)
  if (path === undefined) throw new Error(`${name} is not installed: npm run services -- install`)
  return path
}

/**
 * Options of a test that needs services: skipped where one is missing, unless CAIRN_REQUIRE_SERVICES=1.
 *
 *   void t.test('…', needs('nats-server'), async t => …)
 */
export function needs(...names: readonly string[]): { readonly skip?: string } {
  const missing = names.filter(name => locate(name) === undefined)
  if (missing.length === 0 || process.env['CAIRN_REQUIRE_SERVICES'] === '1') return {}
  return { skip: `${missing.join(', ')} is missing here; run: npm run services -- install` }
}
