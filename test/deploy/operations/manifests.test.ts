/** What deploy/ offers to operators is what it claims to be: valid for Kubernetes, and right for Cairn. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import t from 'tap'
import { parse, parseAllDocuments } from 'yaml'
import { usualTiming } from '../../../deploy/cluster/timing.ts'
import { workerSettings } from '../../../deploy/settings/tables.ts'
import { root } from '../cairn-cli.ts'
import { parseCommand } from '../../support/command-options.ts'
import { kubernetesMistakes, type Manifest } from '../../support/kubernetes-check.ts'

t.setTimeout(120_000)

const folder = join(root, 'deploy/kubernetes')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

interface Container {
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly args?: readonly string[]
  readonly env?: readonly { readonly name: string; readonly value?: string; readonly valueFrom?: unknown }[]
  readonly envFrom?: readonly {
    readonly configMapRef?: { readonly name: string }
    readonly secretRef?: { readonly name: string }
  }[]
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
  readonly resources?: { readonly requests?: object; readonly limits?: { readonly memory?: string } }
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[]
  readonly startupProbe?: Probe
  readonly livenessProbe?: Probe
  readonly readinessProbe?: Probe
}
interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
  readonly periodSeconds?: number
  readonly failureThreshold?: number
}
interface PodSpec {
  readonly terminationGracePeriodSeconds?: number
  readonly securityContext?: Readonly<Record<string, unknown>>
  readonly initContainers?: readonly Container[]
  readonly containers: readonly Container[]
  readonly volumes?: readonly { readonly name: string }[]
}
interface StatefulSet extends Manifest {
  readonly spec: {
    readonly serviceName: string
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> }
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> }
      readonly spec: PodSpec
    }
    readonly volumeClaimTemplates?: readonly { readonly metadata: { readonly name: string } }[]
  }
}

const { resources } = parse(read('deploy/kubernetes/kustomization.yaml')) as { readonly resources: readonly string[] }
const manifests = resources.flatMap(name =>
  parseAllDocuments(readFileSync(join(folder, name), 'utf8')).map(document => {
    if (document.errors.length > 0) throw document.errors[0] as Error
    return document.toJS() as Manifest
  })
)
const of = <M extends Manifest>(kind: string, name: string): M => {
  const found = manifests.find(each => each.kind === kind && each.metadata.name === name)
  if (found === undefined) throw new Error(`no ${kind} ${name}`)
  return found as M
}
const workers = of<StatefulSet>('StatefulSet', 'cairn')
const pod = workers.spec.template.spec
const [worker] = pod.containers as [Container]

/** The environment that Kubernetes makes of a container. */
function environmentOf({ env = [], envFrom = [] }: Container): Record<string, string> {
  const all: Record<string, string> = { NAMESPACE: 'cairn', CAIRN_NAME: 'cairn-0' }
  for (const { configMapRef, secretRef } of envFrom) {
    if (configMapRef !== undefined) Object.assign(all, of('ConfigMap', configMapRef.name)['data'])
    if (secretRef !== undefined) Object.assign(all, of('Secret', secretRef.name)['stringData'])
  }
  for (const { name, value } of env)
    if (value !== undefined) all[name] = value.replace(/\$\((\w+)\)/g, (_, other: string) => all[other] as string)
  return all
}

/** A copy of the workers with a mistake in it. */
function broken(name: string, change: (spec: Record<string, unknown>) => void): Manifest {
  const copy = { ...structuredClone(workers), metadata: { name } }
  change(copy.spec.template.spec as never)
  return copy
}

type Dependencies = Readonly<Record<string, string>>
const packageOf = (path: string): { readonly [group: `${string}ependencies`]: Dependencies | undefined } =>
  JSON.parse(read(path)) as Record<string, Dependencies>

void t.test("the manifests are all of the folder's, Kubernetes knows every field, and mistakes are found", t => {
  const files = readdirSync(folder).filter(name => name !== 'kustomization.yaml')
  t.same([...resources].sort(), files.sort())
  // Compiled together: each time the definitions alone take seconds.
  const mistakes = kubernetesMistakes([
    ...manifests,
    broken('unknown', spec => (spec['terminationGracePeriodSecond'] = 3)),
    broken('text', spec => (spec['terminationGracePeriodSeconds'] = '3m')),
    broken('missing', spec => delete spec['containers'])
  ])
  t.equal(mistakes.length, 3, mistakes.join('\n'))
  t.match(mistakes[0], /^StatefulSet_unknown: .*does not exist in type/)
  t.match(mistakes[1], /^StatefulSet_text: Type 'string' is not assignable to type 'number'/)
  t.match(mistakes[2], /^StatefulSet_missing: Property '"containers"' is missing/)
  t.end()
})

void t.test('the worker of the manifests is started as our own command line reads it', async t => {
  const {
    options,
    arguments: [job]
  } = await parseCommand(worker.args ?? [], environmentOf(worker))
  t.equal(job, 'job.ts')
  t.match(options, {
    name: 'cairn-0',
    advertise: 'cairn-0.cairn-workers.cairn.svc',
    nats: ['nats://nats:4222'],
    natsUser: 'cairn',
    storage: '/data/checkpoints',
    local: '/local/worker',
    listen: { host: '0.0.0.0', port: 7400 },
    metrics: { host: '0.0.0.0', port: 9464 },
    tasks: 1
  })
  const ports = Object.fromEntries((worker.ports ?? []).map(({ name, containerPort }) => [name, containerPort]))
  t.same(ports, { data: 7400, metrics: 9464 }, 'the ports are those that it listens on')
  const mounts = (worker.volumeMounts ?? []).map(({ mountPath }) => mountPath)
  for (const path of ['/data', '/local', '/app/job', '/tmp']) t.ok(mounts.includes(path), `${path} can be written`)
  t.equal(
    of('ConfigMap', 'cairn-job')['data'] && (of('ConfigMap', 'cairn-job')['data'] as Record<string, string>)['job.ts'],
    read('deploy/container/job.ts')
  )
  t.end()
})

void t.test('probes ask what is answered, and leave time to hand over', t => {
  const paths = { startupProbe: '/livez', livenessProbe: '/livez', readinessProbe: '/readyz' } as const
  for (const [probe, path] of Object.entries(paths))
    t.same(worker[probe as keyof typeof paths]?.httpGet, { path, port: 'metrics' }, probe)
  const { periodSeconds = 10, failureThreshold = 3 } = worker.livenessProbe ?? {}
  t.ok(
    periodSeconds * failureThreshold * 1000 > (workerSettings.hungAfter.fallback ?? Infinity),
    'the cluster replaces a hung worker first'
  )
  const handOverMs = usualTiming.checkpointTimeoutMs + usualTiming.startTimeoutMs
  t.ok((pod.terminationGracePeriodSeconds ?? 30) * 1000 > handOverMs, 'a checkpoint and the next generation fit in')
  t.match(of('PodDisruptionBudget', 'cairn')['spec'], { maxUnavailable: 1, selector: workers.spec.selector })
  t.match(of('Service', workers.spec.serviceName)['spec'], {
    clusterIP: 'None',
    publishNotReadyAddresses: true,
    selector: workers.spec.template.metadata.labels
  })
  t.end()
})

void t.test('nothing runs as root, may become it, or takes memory without end', t => {
  for (const set of [workers, of<StatefulSet>('StatefulSet', 'nats')]) {
    const { spec } = set.spec.template
    t.match(spec.securityContext, { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } })
    for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
      t.match(
        container.securityContext,
        { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
        container.name
      )
      t.ok(container.resources?.limits?.memory, `${container.name} has a limit of memory`)
      t.ok(/^cairn:|:[\d.]+/.test(container.image), `${container.image} has a version`)
    }
    const volumes = [...(spec.volumes ?? []), ...(set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => metadata)]
    const names = volumes.map(({ name }) => name)
    for (const { volumeMounts = [] } of [...(spec.initContainers ?? []), ...spec.containers])
      for (const { name } of volumeMounts) t.ok(names.includes(name), `volume ${name}`)
  }
  t.end()
})

interface Compose {
  readonly services: Readonly<
    Record<
      string,
      {
        readonly image?: string
        readonly environment?: Readonly<Record<string, string>>
        readonly volumes?: readonly string[]
        readonly stop_grace_period?: string
        readonly profiles?: readonly string[]
      }
    >
  >
  readonly volumes: Readonly<Record<string, unknown>>
}

void t.test(
  'the compose file starts three workers that differ in their name only, and mounts what is there',
  async t => {
    const compose = parse(read('deploy/container/compose.yaml'), { merge: true }) as Compose
    t.same(Object.keys(compose.services).sort(), ['grafana', 'kafka', 'nats', 'prometheus', 'w1', 'w2', 'w3'])
    const dockerfile = read('deploy/container/Dockerfile')
    const defaults = Object.fromEntries(
      [...dockerfile.matchAll(/\b(CAIRN_\w+)=(\S+)/g)].map(([, name, value]) => [name, value])
    ) as Record<string, string>
    for (const name of ['w1', 'w2', 'w3']) {
      const { environment = {}, stop_grace_period } = compose.services[name] ?? {}
      const { options } = await parseCommand(['worker', 'start', 'job.ts'], { ...defaults, ...environment })
      t.match(options, {
        name,
        advertise: name,
        listen: { host: '0.0.0.0', port: 7400 },
        metrics: { host: '0.0.0.0', port: 9464 },
        storage: '/data/checkpoints',
        nats: ['nats://nats:4222']
      })
      t.equal(stop_grace_period, '2m')
    }
    for (const [service, { volumes = [] }] of Object.entries(compose.services))
      for (const volume of volumes) {
        const [from = ''] = volume.split(':')
        t.ok(
          from.startsWith('.') ? existsSync(resolve(root, 'deploy/container', from)) : from in compose.volumes,
          `${service}: ${from}`
        )
      }
    const { scrape_configs } = parse(read('deploy/monitoring/prometheus.yml')) as {
      readonly scrape_configs: readonly {
        readonly static_configs: readonly { readonly targets: readonly string[] }[]
      }[]
    }
    t.same(
      scrape_configs.flatMap(each => each.static_configs.flatMap(({ targets }) => targets)),
      ['w1:9464', 'w2:9464', 'w3:9464']
    )
    t.end()
  }
)

void t.test('the image runs as nobody in particular, without a shell, with the packages of our own tests', async t => {
  const dockerfile = read('deploy/container/Dockerfile')
  t.match(dockerfile, /^USER 1000:1000$/m)
  const [, entry = '[]'] = /^ENTRYPOINT (\[.*\])$/m.exec(dockerfile) ?? []
  const [node, bin = ''] = JSON.parse(entry) as string[]
  t.equal(node, 'node')
  t.ok(existsSync(join(root, bin.replace('/app/node_modules/cairn/', ''))), bin)
  const [, command = '[]'] = /^CMD (\[.*\])$/m.exec(dockerfile) ?? []
  t.ok(await parseCommand(JSON.parse(command) as string[]))
  const { devDependencies, peerDependencies } = packageOf('package.json')
  const pinned = (name: string) => packageOf(`deploy/setup/${name}/package.json`).dependencies
  const tested = { ...devDependencies, ...pinned('kafka-client'), ...pinned('rocksdb') }
  for (const peer of Object.keys(peerDependencies ?? {}))
    t.ok(dockerfile.includes(`${peer}@${tested[peer]}`), `${peer} at the version that is tested`)
  for (const [, from = ''] of dockerfile.matchAll(/^COPY (?!--)(\S+)/gm)) t.ok(existsSync(join(root, from)), from)
  t.ok(dirname(bin))
  t.end()
})
