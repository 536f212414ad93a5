/** Every error code is explained in docs/errors.md, and nothing else is. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { errorCodes } from '../../runtime/kernel/error-codes.ts'

const root = (function find(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : find(dirname(folder))
})(dirname(fileURLToPath(import.meta.url)))

/** One sentence per difference between the codes and the page. */
function differences(codes: readonly string[], page: string): string[] {
  const sections = page.split(/^(?=#{2,3} )/m).filter(section => section.startsWith('### '))
  const names = sections.map(section => section.slice(4, section.indexOf('\n')))
  const found = [
    ...codes.filter(code => !names.includes(code)).map(code => `${code} has no heading`),
    ...names.filter(name => !codes.includes(name)).map(name => `${name} is no code`),
    ...names.filter((name, i) => names.indexOf(name) !== i).map(name => `${name} has two headings`)
  ]
  for (const [i, section] of sections.entries()) {
    const [, example, prose] = /^```\n([^]*?)\n```\n([^]*)/m.exec(section) ?? []
    if (!example?.startsWith(`${names[i]}: `)) found.push(`${names[i]} has no example message`)
    if ((prose ?? '').trim().length < 60) found.push(`${names[i]} is not explained`)
  }
  return found
}

const codes = Object.keys(errorCodes)
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')

void t.test('every code has a heading with an example and an explanation, and every heading is a code', t => {
  t.same(differences(codes, page), [])
  t.end()
})

void t.test('the headings are in the order of the codes', t => {
  t.same(
    [...page.matchAll(/^### (.+)$/gm)].map(([, name]) => name),
    codes
  )
  t.end()
})

void t.test('the comparison sees a planted mistake of each kind', t => {
  t.same(differences([...codes, 'NEW'], page), ['NEW has no heading'])
  t.same(differences(codes.slice(1), page), [`${codes[0]} is no code`])
  const locked = /^### LOCKED\n[^]*?(?=^### )/m.exec(page)?.[0] ?? ''
  t.same(differences(codes, `${page}\n${locked}`), ['LOCKED has two headings'])
  t.same(differences(codes, page.replace('LOCKED: folder', 'folder')), ['LOCKED has no example message'])
  t.same(differences(codes, page.replace(/(LOCKED: folder[^\n]*\n```\n)[^#]*/, '$1')), ['LOCKED is not explained'])
  t.end()
})
