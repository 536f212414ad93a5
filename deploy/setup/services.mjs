/**
 * `npm run services -- install`: gets the real servers that tests talk to, into the project's cache folder, without root.
 * `npm run services -- status`: what there is. `up` and `down`: see running.mjs. No dependencies: it runs before there are any.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { delimiter, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clientIn, clientPackage, clientVersion, installClient } from './kafka-client.mjs'
import { fetchFlink, flinkKafkaVersion, flinkVersion } from './flink.mjs'
import { fetchKafka, fetchKafkaStreams, kafkaVersion } from './kafka.mjs'
import { java } from './maven.mjs'
import { root } from './prepare.mjs'
import { installRocks, rocksIn, rocksPackage, rocksVersion } from './rocksdb.mjs'
import { down, running, up } from './running.mjs'

const cache = join(root, '.cache', 'services')
const say = text => process.stderr.write(`${text}\n`)

/** A machine that cannot install a service: `message` says what was tried, `remedy` what a person can do. */
class CannotInstall extends Error {
  constructor(message, remedy) {
    super(message)
    this.remedy = remedy
  }
}

/**
 * One entry per server. `locate` answers the path of what is to be started, or undefined; `install(folder)` puts it into a new, empty
 * folder, which becomes `.cache/services/<name>` when it succeeded; `version` shows that it runs. `onlyByName`: it is large and wanted by few,
 * so it is installed only when it is named.
 */
export const services = {
  'nats-server': {
    about: 'NATS with JetStream, the control bus of a cluster',
    variable: 'CAIRN_NATS_SERVER',
    locate: () => executable('nats-server', ['usr/sbin/nats-server', 'nats-server']),
    version: path => firstLine(path, ['--version']),
    install(folder) {
      if (succeeds('apt-get', ['--version']) && succeeds('dpkg-deb', ['--version'])) fromDebian('nats-server', folder)
      else if (succeeds('go', ['version'])) fromGo('github.com/nats-io/nats-server/v2@v2.10.29', folder)
      else
        throw new CannotInstall(
          'this machine has neither apt-get with dpkg-deb nor Go',
          'Put nats-server 2.9 or newer on PATH, or name it in CAIRN_NATS_SERVER.'
        )
    }
  },
  // Its folder holds promtool, too.
  prometheus: {
    about: 'Prometheus, which reads metrics, and promtool, which checks alert rules',
    variable: 'CAIRN_PROMETHEUS',
    locate: () => executable('prometheus', ['usr/bin/prometheus']),
    version: path => firstLine(path, ['--version']),
    install(folder) {
      if (!succeeds('apt-get', ['--version']) || !succeeds('dpkg-deb', ['--version']))
        throw new CannotInstall(
          'this machine has no apt-get with dpkg-deb',
          'Put prometheus and promtool 2.42 or newer on PATH, or name prometheus in CAIRN_PROMETHEUS, with promtool beside it.'
        )
      fromDebian('prometheus', folder)
    }
  },
  // A folder of jars: broker, controller and all of Kafka's tools. Another broker may be named in KAFKA_BROKERS.
  kafka: {
    about: 'Apache Kafka, broker and tools',
    variable: 'CAIRN_KAFKA_HOME',
    locate() {
      const folder = folderOf('kafka')
      const there = java() !== undefined && existsSync(join(folder, 'libs', `kafka-tools-${kafkaVersion}.jar`))
      return there ? folder : undefined
    },
    version: () => `Apache Kafka ${kafkaVersion}`,
    install: folder => fromMaven(folder, 'java', `Apache Kafka ${kafkaVersion}`, fetchKafka)
  },
  // A folder of jars; its programs are Java source files, so a whole JDK is wanted.
  'kafka-streams': {
    about: 'Kafka Streams, with whose output and speed the same programs here are compared',
    variable: 'CAIRN_KAFKA_STREAMS_HOME',
    locate() {
      const folder = folderOf('kafka-streams')
      const there = java('javac') !== undefined && existsSync(join(folder, 'libs', `kafka-streams-${kafkaVersion}.jar`))
      return there ? folder : undefined
    },
    version: () => `Kafka Streams ${kafkaVersion}`,
    install: folder => fromMaven(folder, 'javac', `Kafka Streams ${kafkaVersion}`, fetchKafkaStreams)
  },
  // A folder of jars, for Java programs that are compiled against them: 200 MB, so only where it is asked for.
  flink: {
    about: 'Apache Flink, with which the benchmarks of Nexmark and Kafka compare',
    variable: 'CAIRN_FLINK_HOME',
    onlyByName: true,
    locate() {
      const folder = folderOf('flink')
      const jars = [`flink-clients-${flinkVersion}.jar`, `flink-connector-kafka-${flinkKafkaVersion}.jar`]
      const there = java('javac') !== undefined && jars.every(jar => existsSync(join(folder, 'libs', jar)))
      return there ? folder : undefined
    },
    version: () => `Apache Flink ${flinkVersion}`,
    install: folder => fromMaven(folder, 'javac', `Apache Flink ${flinkVersion}, 200 MB`, fetchFlink)
  },
  // Of the servers that can be built from module proxies the smallest one whose conditional writes hold under concurrency.
  versitygw: {
    about: 'an S3-compatible server, for checkpoints in a bucket',
    variable: 'CAIRN_S3_SERVER',
    locate: () => executable('versitygw', ['versitygw']),
    version: path => `versitygw (${firstLine(path, ['--version'])})`,
    install(folder) {
      if (!succeeds('go', ['version']))
        throw new CannotInstall(
          'this machine has no Go to build it with',
          'Put versitygw 1.8 or newer on PATH, or name it in CAIRN_S3_SERVER.'
        )
      fromGo('github.com/versity/versitygw/cmd/versitygw@v1.8.0', folder)
    }
  },
  'kafka-client': {
    about: `${clientPackage}, with which jobs read Kafka: a native addon, for the Node that runs this`,
    variable: 'CAIRN_KAFKA_CLIENT',
    // An addon works with one version of Node's own interface.
    folder: `kafka-client-${process.versions.modules}`,
    locate: () => clientIn(root) ?? clientIn(folderOf('kafka-client')),
    version: clientVersion,
    install(folder) {
      try {
        installClient(folder, folderOf('kafka-client'), { step, fromDebian, say })
      } catch (error) {
        throw new CannotInstall(
          error.message,
          'It needs a C++ compiler, make and Python, and the headers of OpenSSL, zlib and zstd: libssl-dev zlib1g-dev libzstd-dev.'
        )
      }
    }
  },
  rocksdb: {
    about: `${rocksPackage}, with which jobs keep their state in RocksDB`,
    variable: 'CAIRN_ROCKSDB',
    locate: () => rocksIn(root) ?? rocksIn(folderOf('rocksdb')),
    version: rocksVersion,
    install(folder) {
      try {
        installRocks(folder, { step, say })
      } catch (error) {
        throw new CannotInstall(
          error.message,
          `Its package holds a binary for Linux (glibc) on x64 and macOS on arm64. Elsewhere build it as its BUILDING.md says and name its folder in CAIRN_ROCKSDB, or do without: store 'level' needs nothing.`
        )
      }
    }
  }
}

const folderOf = name => join(cache, services[name].folder ?? name)

/** The path of a service's program or folder; undefined: it is not there. An environment variable beats PATH, PATH the cache. */
export function locate(name) {
  const service = services[name]
  if (service === undefined)
    throw new Error(`no service is named "${name}"; there are ${Object.keys(services).join(', ')}`)
  const named = process.env[service.variable]
  if (named === undefined || named === '') return service.locate()
  if (!existsSync(named)) throw new Error(`${service.variable} names "${named}", which does not exist`)
  return resolve(named)
}

/** On PATH, in the places where Debian puts servers, or among `cached` of the service's cache folder. */
function executable(name, cached) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']
  const candidates = [...folders.map(folder => join(folder, name)), ...cached.map(path => join(cache, name, path))]
  return candidates.find(path => {
    try {
      accessSync(path, constants.X_OK)
      return statSync(path).isFile()
    } catch {
      return false
    }
  })
}

function firstLine(path, args) {
  const { stdout, stderr, status, error } = spawnSync(path, args, { encoding: 'utf8', timeout: 30_000 })
  if (status !== 0) throw new Error(`${path} ${args.join(' ')} does not run: ${error?.message ?? stderr.trim()}`)
  return `${stdout}${stderr}`.trim().split('\n')[0]
}

const succeeds = (command, args) => spawnSync(command, args, { stdio: 'ignore', timeout: 30_000 }).status === 0

/** Runs a step; its output is shown only when it fails. */
function step(command, args, options = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 900_000, ...options })
  if (status === 0) return stdout
  const told = `${stdout ?? ''}${stderr ?? ''}`.trim().split('\n').slice(-15).join('\n')
  throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}\n${told}`)
}

/** Downloads a Debian package and unpacks it; with package lists of its own where the machine has none. */
function fromDebian(name, folder, into = '.') {
  const download = options => step('apt-get', [...options, 'download', name], { cwd: folder })
  try {
    say(`  downloading the Debian package ${name} …`)
    download([])
  } catch (first) {
    const lists = join(cache, 'apt')
    mkdirSync(join(lists, 'lists', 'partial'), { recursive: true })
    mkdirSync(join(lists, 'archives', 'partial'), { recursive: true })
    const options = ['-o', `Dir::State::Lists=${join(lists, 'lists')}`, '-o', `Dir::Cache=${lists}`]
    try {
      say('  reading the package lists …')
      step('apt-get', [...options, '-o', 'APT::Sandbox::User=', 'update'])
      download(options)
    } catch (second) {
      throw new CannotInstall(
        `${first.message}\n${second.message}`,
        `Install ${name} by hand (apt-get install ${name}), or let apt-get reach a Debian mirror.`
      )
    }
  }
  const file = readdirSync(folder).find(each => each.endsWith('.deb'))
  if (file === undefined) throw new Error(`apt-get downloaded no package of ${name}`)
  say(`  unpacking ${file} …`)
  step('dpkg-deb', ['-x', file, into], { cwd: folder })
  rmSync(join(folder, file))
}

/** @param program of the JDK, without which it is of no use */
function fromMaven(folder, program, what, fetch) {
  const missing = [java(program) === undefined && `Java (${program})`, !succeeds('mvn', ['-version']) && 'Maven']
  const remedy = 'Install a JDK, 17 or newer, and Maven (apt-get install openjdk-17-jdk-headless maven), then again.'
  const told = missing.filter(Boolean).join(' and no ')
  if (told !== '') throw new CannotInstall(`this machine has no ${told}`, remedy)
  say(`  fetching ${what} with Maven; this takes a minute …`)
  try {
    fetch(folder, step)
  } catch (error) {
    throw new CannotInstall(error.message, "Let Maven reach its central repository, or a mirror in Maven's settings.")
  }
}

/** Builds a program from the Go module proxy. */
function fromGo(module, folder) {
  say(`  building ${module}; this takes some minutes …`)
  try {
    step('go', ['install', module], { env: { ...process.env, GOBIN: folder, CGO_ENABLED: '0' } })
  } catch (error) {
    throw new CannotInstall(
      error.message,
      'Let Go reach its module proxy (see GOPROXY), or install the program by hand.'
    )
  }
}

function install(names) {
  let failed = 0
  for (const name of names) {
    try {
      say(`${name}: ${installOne(name)}`)
    } catch (error) {
      failed++
      say(`${name}: NOT INSTALLED\n  ${error.message.replaceAll('\n', '\n  ')}`)
      if (error.remedy !== undefined) say(`  What to do: ${error.remedy}`)
    }
  }
  return failed
}

function installOne(name) {
  const service = services[name]
  const there = locate(name)
  if (there !== undefined) return `there already, ${service.version(there)} (${there})`
  say(`${name}: ${service.about}`)
  mkdirSync(cache, { recursive: true })
  // Made aside, so that a half-installed service is never taken for one.
  const aside = join(cache, `${name}.${process.pid}`)
  rmSync(aside, { recursive: true, force: true })
  mkdirSync(aside)
  try {
    service.install(aside)
    rmSync(folderOf(name), { recursive: true, force: true })
    renameSync(aside, folderOf(name))
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  const path = locate(name)
  if (path === undefined) throw new Error('it was installed, but is not where it is expected')
  return `installed, ${service.version(path)} (${path})`
}

function status() {
  let missing = 0
  for (const [name, { about, version, onlyByName }] of Object.entries(services)) {
    let found = onlyByName
      ? `not there; to have it: npm run services -- install ${name}`
      : 'missing: npm run services -- install'
    try {
      const path = locate(name)
      if (path === undefined) missing += onlyByName ? 0 : 1
      else found = `${version(path)} (${path})`
    } catch (error) {
      missing++
      found = error.message
    }
    process.stdout.write(`${name}: ${found}\n    ${about}\n`)
  }
  for (const reach of running()) process.stdout.write(`running: ${reach}\n`)
  return missing
}

async function main([command, ...names]) {
  if (command === 'up' && names.length > 0) return (await up(names, locate)) === 0 ? 0 : 1
  if (command === 'down') return down(names)
  const unknown = names.filter(name => services[name] === undefined)
  if ((command !== 'install' && command !== 'status') || unknown.length > 0) {
    if (unknown.length > 0) say(`no service is named ${unknown.map(name => `"${name}"`).join(', ')}`)
    say(
      [
        `usage: npm run services -- install [${Object.keys(services).join(' | ')}] …`,
        '       npm run services -- status',
        '       npm run services -- up kafka nats     starts them on free ports and says how to reach them',
        '       npm run services -- down [kafka | nats] …'
      ].join('\n')
    )
    return 2
  }
  if (command === 'status') return status() === 0 ? 0 : 1
  const all = Object.keys(services).filter(name => services[name].onlyByName !== true)
  return install(names.length > 0 ? names : all) === 0 ? 0 : 1
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url))
  process.exitCode = await main(process.argv.slice(2))
