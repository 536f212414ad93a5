/**
 * Records what a real schema registry answers: `node dist/test/support/record-registry.js <url> <file> <server, version> [user:password]`. It must
 * be an empty one of its own, for it is changed; with a user, one that lets in nobody else. The recording does not tell where it was made.
 */
import { writeFileSync } from 'node:fs'
import { ask, type Exchange, type Recording } from './registry-recording.ts'
import { registryRequests, userRequests } from './registry-requests.ts'

const [, , address, file, server, credentials] = process.argv
if (address === undefined || file === undefined || server === undefined)
  throw new TypeError('usage: record-registry <url> <file> <server, version> [user:password]')
const url = address.replace(/\/+$/, '')

const there = await ask(url, { does: 'before', method: 'GET', path: 'subjects?deleted=true' }, credentials)
if (there.status !== 200 || JSON.stringify(there.body) !== '[]')
  throw new Error(`the registry is not empty: it answers ${there.status} ${JSON.stringify(there.body)}`)

const numbers = new Map<string, number>()
const exchanges: Exchange[] = []
for (const { name, ...request } of [...(credentials === undefined ? [] : userRequests), ...registryRequests]) {
  const path = request.path.replaceAll(/\{(\w+)\}/g, (_, named: string) => String(numbers.get(named)))
  const answer = await ask(url, { ...request, path }, credentials)
  const { id } = (answer.body ?? {}) as { readonly id?: number }
  if (name !== undefined && id === undefined)
    throw new Error(`"${request.does}" was to have a number: ${answer.status}`)
  if (name !== undefined && id !== undefined) numbers.set(name, id)
  exchanges.push({ ...request, path, answer })
}
const head: Omit<Recording, 'exchanges'> = { server, recorded: new Date().toISOString().slice(0, 10) }
const lines = exchanges.map(each => JSON.stringify(each)).join(',\n')
writeFileSync(file, `${JSON.stringify(head).slice(0, -1)},"exchanges":[\n${lines}\n]}\n`)
process.stdout.write(`${exchanges.length} exchanges\n`)
