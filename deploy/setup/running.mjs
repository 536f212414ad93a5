/**
 * `npm run services -- up kafka nats`: real servers in the background, on free ports, until `down`. What runs is written down in the cache
 * folder; only what is written there is ever ended.
 */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, openSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { brokerProperties, formatArguments, kafkaCommand, kafkaStarted } from './kafka.mjs'
import { root } from './prepare.mjs'

const folder = join(root, '.cache', 'services', 'running')
const say = text => process.stderr.write(`${text}\n`)
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

/** Each prepares its folder and says what to start, what it says when it serves, and how it is reached. */
const servers = {
  kafka: {
    service: 'kafka',
    async prepare(libs, own) {
      const brokers = [{ id: 1, port: await freePort(), controllerPort: await freePort() }]
      const file = join(own, 'server.properties')
      writeFileSync(file, brokerProperties({ id: 1, folder: own, brokers }))
      const [program, args] = kafkaCommand(libs, 'kafka.tools.StorageTool', formatArguments(file))
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' })
      if (status !== 0) throw new Error(`Kafka cannot format its folder:\n${stdout}${stderr}`)
      const address = `127.0.0.1:${brokers[0].port}`
      return {
        command: kafkaCommand(libs, 'kafka.Kafka', [file]),
        started: kafkaStarted,
        reach: `KAFKA_BROKERS=${address}`
      }
    }
  },
  nats: {
    service: 'nats-server',
    async prepare(program, own) {
      const port = await freePort()
      const file = join(own, 'nats.conf')
      writeFileSync(file, `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(own, 'data')}" }\n`)
      return { command: [program, ['-c', file]], started: 'Server is ready', reach: `CAIRN_NATS=127.0.0.1:${port}` }
    }
  }
}

/** Below those that the system gives to outgoing connections. */
async function freePort() {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 20_000)
    const probe = createServer()
    const free = await new Promise(resolve => {
      probe.once('error', () => resolve(false))
      probe.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await new Promise(resolve => probe.close(resolve))
    return port
  }
}

/** The process of that id is still the one that was started here: its arguments name its own folder. */
function runs({ pid, folder: own }) {
  const { status, stdout } = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' })
  return status === 0 && stdout.includes(own)
}

const noteOf = name => join(folder, `${name}.json`)

function noted(name) {
  if (!existsSync(noteOf(name))) return undefined
  const note = JSON.parse(readFileSync(noteOf(name), 'utf8'))
  return runs(note) ? note : undefined
}

export async function up(names, locate) {
  let failed = 0
  for (const name of names) {
    try {
      process.stdout.write(`${await upOne(name, locate)}\n`)
    } catch (error) {
      failed++
      say(`${name}: ${error.message}`)
    }
  }
  return failed
}

async function upOne(name, locate) {
  const server = servers[name]
  if (server === undefined) throw new Error(`cannot be started here; there are ${Object.keys(servers).join(', ')}`)
  const there = noted(name)
  if (there !== undefined) return there.reach
  const path = locate(server.service)
  if (path === undefined) throw new Error('is not installed; run: npm run services -- install')
  const own = join(folder, name)
  rmSync(own, { recursive: true, force: true })
  mkdirSync(own, { recursive: true })
  const { command, started, reach } = await server.prepare(path, own)
  const log = join(own, 'log')
  const out = openSync(log, 'a')
  const child = spawn(command[0], command[1], { detached: true, stdio: ['ignore', out, out] })
  const note = { pid: child.pid, folder: own, reach }
  writeFileSync(noteOf(name), JSON.stringify(note))
  child.unref()
  for (let waited = 0; ; waited += 100) {
    const told = readFileSync(log, 'utf8')
    if (told.includes(started)) return reach
    if (child.exitCode !== null) throw new Error(`ended with code ${child.exitCode}:\n${told}`)
    if (waited > 60_000) throw new Error(`did not start within a minute; see ${log}`)
    await sleep(100)
  }
}

export async function down(names) {
  const all = existsSync(folder) ? readdirSync(folder).filter(file => file.endsWith('.json')) : []
  for (const name of names.length > 0 ? names : all.map(file => file.slice(0, -'.json'.length))) {
    const note = noted(name)
    if (note === undefined) say(`${name}: does not run`)
    else {
      process.kill(note.pid, 'SIGTERM')
      for (let waited = 0; runs(note); waited += 100) {
        if (waited === 10_000) process.kill(note.pid, 'SIGKILL')
        await sleep(100)
      }
      say(`${name}: stopped`)
    }
    rmSync(noteOf(name), { force: true })
    rmSync(join(folder, name), { recursive: true, force: true })
  }
  return 0
}

/** How each server that runs is reached. */
export const running = () =>
  Object.keys(servers)
    .map(noted)
    .filter(note => note !== undefined)
    .map(note => note.reach)
