import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import { CodedError } from '../../runtime/kernel/errors.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const templates = join(root, 'deploy/templates')

export function newCommand(): Command {
  return new Command('new')
    .description('Make a folder with a job, its test and all that it needs to run.')
    .argument('<name>', 'of the folder and the job; the folder must not be there')
    .addHelpText('after', '\nExample:\n  cairn new shop && cd shop && npm install && npx --no-install cairn run job.ts')
    .action(async (name: string) => {
      const folder = await makeProject(name)
      process.stdout.write(
        `made ${folder}\n\nNow:\n  cd ${folder}\n  npm install\n  npx --no-install cairn run job.ts\n  npm test\n`
      )
    })
}

/** @returns the folder, as it was given */
async function makeProject(path: string): Promise<string> {
  const name = basename(resolve(path))
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name))
    throw new CodedError('NAME_INVALID', `job "${name}" must match [A-Za-z][A-Za-z0-9_-]{0,62}`)
  const folder = resolve(path)
  try {
    await mkdir(dirname(folder), { recursive: true })
    await mkdir(folder)
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    if (code === 'EEXIST')
      throw new CodedError('OPTION_INVALID', `"${path}" is there already; nothing was changed`, {
        remedy: 'Choose another name, or move it away.'
      })
    throw new CodedError('STORAGE_FAILED', `folder "${path}" cannot be made: ${code}`, { cause })
  }
  for (const template of await readdir(templates)) {
    const text = await readFile(join(templates, template), 'utf8')
    // npm leaves a file named .gitignore out of a package.
    await writeFile(join(folder, template === 'gitignore' ? '.gitignore' : template), text.replaceAll('__NAME__', name))
  }
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(await manifest(name, folder), null, 2)}\n`)
  return path
}

/** Cairn as it stands here; the tools in the versions that Cairn itself is tested with. */
async function manifest(name: string, folder: string): Promise<object> {
  const own = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    readonly devDependencies: Readonly<Record<string, string>>
  }
  const tools = ['@types/node', 'tsx', 'typescript']
  return {
    name: name.toLowerCase(),
    private: true,
    type: 'module',
    scripts: { start: 'cairn run job.ts', test: 'tsc && node --import tsx --test job.test.ts' },
    dependencies: { cairn: `file:${relative(folder, root).split(sep).join('/')}` },
    devDependencies: Object.fromEntries(tools.map(tool => [tool, own.devDependencies[tool] ?? '*']))
  }
}
