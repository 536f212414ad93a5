/** Certificates made for one test. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import type { TcpTls } from '../../runtime/adapters/tcp-transport.ts'

/** Options of a test that needs them. */
export const withOpenssl =
  spawnSync('openssl', ['version']).status === 0 || process.env['CAIRN_REQUIRE_SERVICES'] === '1'
    ? {}
    : { skip: 'openssl is missing here; install it to test TLS' }

/** An authority of its own, and certificates that it signed; as files `worker.pem`, `worker.key`, `ca.pem`, … in `folder`. */
export function certificates(
  t: Test
): Record<'worker' | 'elsewhere' | 'stranger', TcpTls> & { readonly folder: string } {
  const folder = mkdtempSync(join(tmpdir(), 'cairn-tls-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const openssl = (...args: string[]): void => void execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8')
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const ca of ['ca', 'other'])
    openssl('req', '-x509', ...curve, '-keyout', `${ca}.key`, '-out', `${ca}.pem`, '-days', '2', '-subj', `/CN=${ca}`)
  const make = (name: string, ca: string, names: string): TcpTls => {
    writeFileSync(join(folder, 'ext'), `subjectAltName=${names}\n`)
    openssl('req', ...curve, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`)
    const signing = ['-CA', `${ca}.pem`, '-CAkey', `${ca}.key`, '-CAcreateserial', '-days', '2', '-extfile', 'ext']
    openssl('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, ...signing)
    return { ca: read(`${ca}.pem`), certificate: read(`${name}.pem`), key: read(`${name}.key`) }
  }
  return {
    folder,
    worker: make('worker', 'ca', 'IP:127.0.0.1,DNS:workers'),
    elsewhere: make('elsewhere', 'ca', 'DNS:workers'),
    stranger: make('stranger', 'other', 'IP:127.0.0.1')
  }
}
