/**
 * Gets the Kafka client, `@confluentinc/kafka-javascript`, into a folder of its own: a native addon, so one per version of Node's own
 * interface. Its prebuilt binary where it can be downloaded; else it is built from the sources in its package, against the system's
 * OpenSSL, zlib and zstd, whose headers come from Debian packages that are only unpacked. No root, no dependencies.
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, existsSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const pinned = join(dirname(fileURLToPath(import.meta.url)), 'kafka-client')
export const clientPackage = '@confluentinc/kafka-javascript'

/** Where it is in a folder; a folder without the addon holds none. */
export function clientIn(folder) {
  const place = join(folder, 'node_modules', ...clientPackage.split('/'))
  return existsSync(join(place, 'build', 'Release', 'confluent-kafka-javascript.node')) ? place : undefined
}

export function clientVersion(place) {
  const program = `const { librdkafkaVersion } = require(${JSON.stringify(place)}); process.stdout.write(
    require(${JSON.stringify(join(place, 'package.json'))}).version + ' with librdkafka ' + librdkafkaVersion)`
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8', timeout: 30_000 })
  if (status !== 0) throw new Error(`${place} cannot be loaded: ${stderr.trim().split('\n')[0]}`)
  return `${clientPackage} ${stdout}`
}

/** What the build needs: a header, and the Debian packages that hold it and the library. Without curl's, it leaves OIDC out. */
const libraries = [
  { header: 'openssl/ssl.h', packages: ['libssl-dev', 'libssl3'] },
  { header: 'zlib.h', packages: ['zlib1g-dev', 'zlib1g'] },
  { header: 'zstd.h', packages: ['libzstd-dev', 'libzstd1'] }
]

const hasHeader = header =>
  spawnSync('cc', ['-E', '-x', 'c', '-o', '/dev/null', '-'], { input: `#include <${header}>\n`, stdio: 'pipe' })
    .status === 0

/**
 * @param folder new and empty; moved to `final` afterwards
 * @param tools `step(command, args, options)` runs a command, `fromDebian(name, folder)` unpacks a package, `say(text)` tells
 */
export function installClient(folder, final, { step, fromDebian, say }) {
  for (const file of ['package.json', 'package-lock.json']) copyFileSync(join(pinned, file), join(folder, file))
  const missing = libraries.filter(({ header }) => !hasHeader(header)).flatMap(({ packages }) => packages)
  const system = join(folder, 'system')
  for (const name of missing) fromDebian(name, folder, 'system')
  const include = [join(system, 'usr', 'include')]
  const lib = []
  if (missing.length > 0)
    for (const name of readdirSync(join(system, 'usr', 'lib'))) {
      lib.push(join(system, 'usr', 'lib', name))
      include.push(join(system, 'usr', 'include', name))
    }
  const rpath = lib.map(path => `-Wl,-rpath,${path.replace(folder, final)}`)
  const flags = (own, given) => [...own, given ?? ''].join(' ').trim()
  say(
    '  fetching the Kafka client, and building it where there is no binary for this machine; this takes some minutes …'
  )
  step('npm', ['ci', '--no-audit', '--no-fund', '--foreground-scripts'], {
    cwd: folder,
    env: {
      ...process.env,
      CKJS_LINKING: 'dynamic',
      ...headersOfNode(),
      ...(missing.length === 0
        ? {}
        : {
            CPPFLAGS: flags(
              include.map(path => `-I${path}`),
              process.env.CPPFLAGS
            ),
            LDFLAGS: flags([...lib.map(path => `-L${path}`), ...rpath], process.env.LDFLAGS)
          })
    }
  })
  const place = clientIn(folder)
  if (place === undefined) throw new Error('npm ci ended well, but has built no addon')
  // Sources and objects, 250 MB, which nothing reads any more.
  for (const left of ['deps/librdkafka', 'build/Release/obj.target'])
    rmSync(join(place, left), { recursive: true, force: true })
}

/** Node's headers stand beside most installations; otherwise the build downloads them. */
function headersOfNode() {
  const root = dirname(dirname(process.execPath))
  return existsSync(join(root, 'include', 'node', 'node.h')) ? { npm_config_nodedir: root } : {}
}
