/**
 * A program of its own, in a namespace of its own: two workers' places and the hub, each with a server that answers what it is told.
 * Prints what passed, one line of JSON for each step.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { insideNamespace, NamespaceNetwork } from '../../../simulations/chaos/namespace-network.ts'
import type { Cut, Place } from '../../../simulations/chaos/network.ts'

const echo = `require('node:net').createServer(s => s.on('error', () => {}).pipe(s)).listen(+process.argv[1], process.argv[2], () => console.log('ready'))`
/** Says what comes back of each line that it is told; `!` begins anew. */
const client = `
let socket
const open = () => {
  socket?.destroy()
  socket = require('node:net').connect(+process.argv[1], process.argv[2])
  socket.on('data', bytes => console.log(String(bytes).trim()))
  socket.on('error', error => console.log(error.code))
}
open()
require('node:readline').createInterface({ input: process.stdin }).on('line', line => line === '!' ? open() : socket.write(line + '\\n'))`

const children: ChildProcess[] = []
function node(place: Place | undefined, program: string, address: string): ChildProcess {
  const [host = '', port = ''] = address.split(':')
  const [command = '', ...rest] = [...(place?.within ?? []), process.execPath, '-e', program, port, host]
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  return child
}

/** A client and the lines that came back to it. */
class Caller {
  readonly lines: string[] = []
  private readonly child: ChildProcess
  private waiter: (() => void) | undefined

  constructor(child: ChildProcess) {
    this.child = child
    createInterface({ input: child.stdout as Socket }).on('line', line => {
      this.lines.push(line)
      this.waiter?.()
    })
  }
  say(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }
  async hears(line: string): Promise<void> {
    while (!this.lines.includes(line)) await new Promise<void>(resolve => (this.waiter = resolve))
  }
}

async function main(): Promise<void> {
  NamespaceNetwork.prepare()
  const hub = createServer(socket => socket.on('error', () => undefined).pipe(socket))
  hub.listen(0, NamespaceNetwork.hub)
  await once(hub, 'listening')
  const network = new NamespaceNetwork((hub.address() as AddressInfo).port)
  const [a, b, c] = [await network.place('a'), await network.place('b'), await network.place('c')]
  for (const place of [b, c]) await once(node(place, echo, place.listen).stdout as Socket, 'data')
  const toB = new Caller(node(a, client, b.advertise))
  const toC = new Caller(node(a, client, c.advertise))
  const toHub = new Caller(node(a, client, a.nats))
  const tell = (what: string, more: object = {}): void =>
    void process.stdout.write(`${JSON.stringify({ what, ...more })}\n`)

  for (const caller of [toB, toC, toHub]) caller.say('before')
  await Promise.all([toB, toC, toHub].map(caller => caller.hears('before')))
  tell('all pass')
  for (const how of ['freeze', 'swallow-up', 'swallow-down'] satisfies Cut[]) {
    const heal = network.cut('b', 'a', how)
    toB.say(how)
    // What goes another way takes its time, and passes: by then the cut one would have passed, too.
    for (const caller of [toC, toHub]) {
      caller.say(how)
      await caller.hears(how)
    }
    const passed = toB.lines.includes(how)
    heal()
    await toB.hears(how)
    tell(how, { passed, errors: toB.lines.filter(line => line.startsWith('E')) })
  }
  const heal = network.cutNats('a', 'cut')
  toHub.say('!')
  await toHub.hears('EHOSTUNREACH')
  toB.say('beside')
  await toB.hears('beside')
  heal()
  toHub.say('!')
  toHub.say('after')
  await toHub.hears('after')
  tell('cut', { refused: true })
  hub.close()
  // The machine's own network is another one: from here no way leads out.
  tell('ways out', { routes: execFileSync('ip', ['route', 'show', 'default']).toString().trim() })
  for (const child of children) child.kill('SIGKILL')
  await network.close()
  process.exit(0)
}

const code = await insideNamespace()
if (code === undefined) await main()
else process.exitCode = code
