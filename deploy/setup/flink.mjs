/**
 * Apache Flink as its published artifacts: how Maven fetches them, how Java programs are compiled against them, and how they are started. No
 * dependencies: `services.mjs` uses it before there are any.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { compileJava, fetchArtifacts, java, logger } from './maven.mjs'

/** The newest in Maven's central repository; runs on Java 17. */
export const flinkVersion = '2.3.0'
/** Of the newest Flink that one was published for. */
export const flinkKafkaVersion = '5.0.0-2.2'

const artifacts = [
  ...[
    'flink-clients',
    'flink-table-api-java',
    'flink-table-planner-loader',
    'flink-table-runtime',
    'flink-json',
    'flink-connector-datagen',
    'flink-connector-base',
    'flink-statebackend-rocksdb'
  ].map(artifact => ['org.apache.flink', artifact, flinkVersion]),
  ['org.apache.flink', 'flink-connector-kafka', flinkKafkaVersion],
  logger
]

/** Fills `folder` with `libs`: Flink with SQL, JSON, RocksDB and Kafka. */
export const fetchFlink = (folder, step) => fetchArtifacts(artifacts, folder, step)

/** What Flink's own configuration opens for Java 17. */
const opened = [
  ...['lang', 'lang.reflect', 'net', 'io', 'nio', 'text', 'time', 'util', 'util.concurrent'].map(
    name => `java.${name}`
  ),
  'java.util.concurrent.atomic',
  'java.util.concurrent.locks',
  'sun.nio.ch'
]

/**
 * Compiles the Java source files of a folder. @param folder of `libs` @param factories classes among them that Flink looks for by what they
 * implement @throws what the compiler says
 */
export function compileForFlink(folder, sources, classes, factories) {
  compileJava(folder, [sources], classes)
  const services = join(classes, 'META-INF', 'services')
  mkdirSync(services, { recursive: true })
  writeFileSync(join(services, 'org.apache.flink.table.factories.Factory'), `${factories.join('\n')}\n`)
}

/**
 * How a class is started with Flink: program and arguments. @param temporary folder for what Flink leaves behind @param brief it is over before a
 * better compiler would pay
 */
export function flinkCommand(folder, classes, mainClass, args, { heapMb, temporary, brief }) {
  const options = [
    `-Xmx${heapMb}m`,
    ...(brief ? ['-XX:TieredStopAtLevel=1'] : []),
    ...opened.map(name => `--add-opens=java.base/${name}=ALL-UNNAMED`),
    '--add-exports=java.base/sun.net.util=ALL-UNNAMED',
    `-Djava.io.tmpdir=${temporary}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=error'
  ]
  return [
    java() ?? 'java',
    [...options, '-cp', [classes, `${join(folder, 'libs')}/*`].join(delimiter), mainClass, ...args]
  ]
}
