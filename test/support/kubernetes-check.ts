/**
 * Checks manifests against Kubernetes' own definitions: each is written as a literal of its type and compiled, so that a field nobody knows, a missing
 * one and a value of another type are found at any depth, as by the server's strict check.
 */
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

export interface Manifest {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata: { readonly name: string; readonly labels?: Readonly<Record<string, string>> }
  readonly [field: string]: unknown
}

/** One sentence per mistake. */
export function kubernetesMistakes(manifests: readonly Manifest[]): string[] {
  const here = dirname(fileURLToPath(import.meta.url))
  const file = join(here, 'manifests-under-test.ts')
  const lines = manifests.map(manifest => {
    const { apiVersion, kind } = manifest
    const type = `import('kubernetes-models/${apiVersion.replace(/^(rbac|networking)\//, '$1.k8s.io/')}/${kind}').I${kind}`
    return `export const ${kind}_${manifest.metadata.name.replace(/\W/g, '_')}: ${type} = ${JSON.stringify(manifest, null, 1)}`
  })
  const text = `${lines.join('\n')}\n`
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    types: []
  }
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.getSourceFile = (name, version) =>
    name === file ? ts.createSourceFile(name, text, version) : getSourceFile.call(host, name, version)
  host.fileExists = name => name === file || fileExists.call(host, name)
  host.readFile = name => (name === file ? text : readFile.call(host, name))
  const program = ts.createProgram([file], options, host)
  const owners = [...text.matchAll(/^export const (\w+):/gm)]
  return ts.getPreEmitDiagnostics(program, program.getSourceFile(file)).map(({ messageText, start }) => {
    const [, owner = ''] = owners.findLast(({ index }) => index <= (start ?? 0)) ?? []
    return `${owner}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
  })
}
