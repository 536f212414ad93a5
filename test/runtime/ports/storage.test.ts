/** Every checkpoint storage against the rules of the interface. */
import t from 'tap'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { ForgetfulFiles } from '../../../simulations/forgetful-files.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { S3Server } from '../../support/s3-server.ts'
import { needs } from '../../support/services.ts'
import { testStorage, type StorageSubject } from './storage-conformance.ts'
import { simulatedStorage } from './world-subjects.ts'

function inDirectory(files: MemoryFiles | ForgetfulFiles): StorageSubject {
  return { open: () => new DirectoryStorage(files, '/storage'), run: work => work() }
}

void t.test('in a directory, files in memory', t => testStorage(t, async () => inDirectory(new MemoryFiles())))
void t.test('in a directory, files that forget', t => testStorage(t, async () => inDirectory(new ForgetfulFiles())))
void t.test('on a real S3 server', needs('versitygw'), async t => {
  const server = await S3Server.start(t)
  let tests = 0
  await testStorage(t, async () => {
    const prefix = `test-${tests++}`
    const root = await server.open(prefix)
    return { open: () => root.storage('job/lineages/1'), run: work => work() }
  })
})
void t.test('simulated', t => testStorage(t, async () => simulatedStorage()))
