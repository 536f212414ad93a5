/** Installs and builds what is missing, inside the project folder. No dependencies: it runs before there are any. */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const rooms = ['actors', 'checkpoint', 'runtime', 'deploy', 'simulations', 'examples', 'bench', 'test']

/** Runs a command in the project folder; ends this process with its exit code when it fails. */
export function run(what, command, args, options = {}) {
  process.stderr.write(`${what} …\n`)
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options })
  if (status === 0) return
  process.stderr.write(`${what} failed${error === undefined ? '' : `: ${error.message}`}\n`)
  process.exit(status ?? 1)
}

function newest(folder) {
  let time = 0
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) time = Math.max(time, newest(path))
    else if (/\.(ts|json)$/.test(entry.name)) time = Math.max(time, statSync(path).mtimeMs)
  }
  return time
}

const mtime = path => (existsSync(path) ? statSync(path).mtimeMs : 0)

export function prepare() {
  if (mtime(join(root, 'node_modules', '.package-lock.json')) < mtime(join(root, 'package-lock.json')))
    run('installing packages', 'npm', ['ci', '--no-audit', '--no-fund'])
  const sources = Math.max(
    mtime(join(root, 'tsconfig.json')),
    ...rooms
      .map(room => join(root, room))
      .filter(existsSync)
      .map(newest)
  )
  if (mtime(join(root, 'dist', 'built')) < sources)
    run('building', process.execPath, [
      '-e',
      `const { spawnSync } = require('child_process'), fs = require('fs')
       fs.rmSync('dist', { recursive: true, force: true })
       const { status } = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '-p', '.'], { stdio: ['ignore', 2, 2] })
       if (status === 0) fs.writeFileSync('dist/built', '')
       process.exit(status ?? 1)`
    ])
}
