/** Every checkpoint storage against the rules of the interface. */
import t from 'tap'
import { DirectoryStorage } from '../../../checkpoint/adapters/directory-storage.ts'
import { ForgetfulFiles } from '../../../simulations/forgetful-files.ts'
import { MemoryFiles } from '../../../simulations/memory-files.ts'
import { testStorage, type StorageSubject } from './storage-conformance.ts'
import { simulatedStorage } from './world-subjects.ts'

function inDirectory(files: MemoryFiles | ForgetfulFiles): StorageSubject {
  return { open: () => new DirectoryStorage(files, '/storage'), run: work => work() }
}

void t.test('in a directory, files in memory', t => testStorage(t, async () => inDirectory(new MemoryFiles())))
void t.test('in a directory, files that forget', t => testStorage(t, async () => inDirectory(new ForgetfulFiles())))
void t.test('simulated', t => testStorage(t, async () => simulatedStorage()))
