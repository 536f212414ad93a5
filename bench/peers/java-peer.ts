/** What the peers in Java have in common: how they are had, and how their programs are started. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { locate, root } from '../../simulations/chaos/installed.ts'

/** Of a main class over the jars in `folder` and the `classes` that were compiled. Brief: it is over before Java's better compiler would pay. */
export type JavaCommand = (
  folder: string,
  classes: string,
  mainClass: string,
  args: readonly string[],
  options: { readonly heapMb: number; readonly temporary: string; readonly brief: boolean }
) => readonly [program: string, args: readonly string[]]

/** Where it is, of jars their folder; it is fetched when it is not here. Undefined: it could not be had; why was told on standard error. */
export function peerFolder(service: 'flink' | 'kafka' | 'kafka-client' | 'kafka-streams'): string | undefined {
  if (locate(service) === undefined) {
    const services = join(root, 'deploy', 'setup', 'services.mjs')
    spawnSync(process.execPath, [services, 'install', service], { stdio: ['ignore', 2, 2] })
  }
  return locate(service)
}
