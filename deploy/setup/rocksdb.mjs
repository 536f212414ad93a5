/**
 * Gets the RocksDB driver, `@nxtedition/rocksdb`, into a folder of its own. Its package holds a binary for Linux on x64 and for macOS on
 * arm64, which works with every version of Node; elsewhere it would be compiled for a long time, which is not tried.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const pinned = join(dirname(fileURLToPath(import.meta.url)), 'rocksdb')
export const rocksPackage = '@nxtedition/rocksdb'

/** Where it is in a folder. */
export function rocksIn(folder) {
  const place = join(folder, 'node_modules', ...rocksPackage.split('/'))
  return existsSync(join(place, 'package.json')) ? place : undefined
}

export function rocksVersion(place) {
  const program = `require(${JSON.stringify(place)}); process.stdout.write(require(${JSON.stringify(join(place, 'package.json'))}).version)`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', timeout: 30_000 })
  const said = stderr.split('\n').find(line => /error/i.test(line)) ?? stderr.trim()
  if (status !== 0) throw new Error(`${place} cannot be loaded: ${said}`)
  return `${rocksPackage} ${stdout}`
}

/**
 * @param folder new and empty
 * @param tools `step(command, args, options)` runs a command, `say(text)` tells
 */
export function installRocks(folder, { step, say }) {
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(pinned, file), join(folder, file))
  say('  fetching the RocksDB driver, 21 MB …')
  step('npm', ['ci', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: folder })
  const place = rocksIn(folder)
  rocksVersion(place)
  // Sources, and binaries of other machines.
  for (const left of ['deps', 'prebuilds.zip']) rmSync(join(place, left), { recursive: true, force: true })
  const own = `${process.platform}-${process.arch}`
  for (const each of readdirSync(join(place, 'prebuilds')))
    if (each !== own) rmSync(join(place, 'prebuilds', each), { recursive: true, force: true })
}
