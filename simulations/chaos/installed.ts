/** Real servers on this machine, installed by `npm run services -- install`. */
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The project's folder. */
export const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

interface ServiceTable {
  locate(name: string): string | undefined
}

export const { locate } = (await import(pathToFileURL(join(root, 'deploy/setup/services.mjs')).href)) as ServiceTable

/** Where the service is. Throws where it is missing. */
export function service(name: string): string {
  const path = locate(name)
  if (path === undefined) throw new Error(`${name} is not installed: npm run services -- install`)
  return path
}
