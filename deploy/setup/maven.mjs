/** What runs on Java: how Maven fetches it, how programs are compiled against it, and where Java is. No dependencies: `services.mjs` uses it before there are any. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Without a logger of any kind nobody hears what a server says. */
export const logger = ['org.slf4j', 'slf4j-simple', '1.7.36']

const pomOf = artifacts => `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>cairn</groupId>
  <artifactId>services</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
${artifacts.map(([group, artifact, version]) => `    <dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`).join('\n')}
  </dependencies>
</project>
`

/** Fills `folder` with `libs`: the artifacts, each `[group, artifact, version]`, and what they need. `step` runs a command. */
export function fetchArtifacts(artifacts, folder, step) {
  const repository = join(folder, 'maven')
  mkdirSync(repository, { recursive: true })
  writeFileSync(join(folder, 'pom.xml'), pomOf(artifacts))
  const args = ['-B', '-q', '-f', join(folder, 'pom.xml'), `-Dmaven.repo.local=${repository}`]
  step('mvn', [
    ...args,
    'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
    '-DincludeScope=runtime',
    `-DoutputDirectory=${join(folder, 'libs')}`
  ])
  rmSync(repository, { recursive: true, force: true })
}

/** `java`, or another program beside it. Undefined: there is none. That of JAVA_HOME beats that of PATH. */
export function java(program = 'java') {
  const home = process.env.JAVA_HOME
  const folders = [
    ...(home === undefined || home === '' ? [] : [join(home, 'bin')]),
    ...(process.env.PATH ?? '').split(delimiter)
  ]
  return folders.map(folder => join(folder, program)).find(path => existsSync(path))
}

/** Compiles the Java source files of some folders into `classes`. @param folder of `libs` @throws what the compiler says */
export function compileJava(folder, sources, classes) {
  const files = sources.flatMap(each => readdirSync(each).map(name => join(each, name)))
  const args = ['-cp', `${join(folder, 'libs')}/*`, '-d', classes, ...files.filter(path => path.endsWith('.java'))]
  const { status, error, stderr } = spawnSync(java('javac') ?? 'javac', args, { encoding: 'utf8' })
  if (status !== 0)
    throw new Error(`the Java files of ${sources.join(', ')} cannot be compiled: ${error?.message ?? stderr}`)
}
