/** Three brokers that may be killed, frozen and started again one by one, while the others go on. */
import { setTimeout as wait } from 'node:timers/promises'
import { type EmbeddedKafka, type KafkaOptions, newClusterId, startKafka } from '#tools/demo/servers/kafka.ts'
import { freePorts } from '#tools/demo/servers/machine.ts'
import { askController, askCoordinator, askTopics, type PartitionSight } from './cluster-questions.ts'

/** What a broker is to a partition, a group or the cluster. */
export const ROLES = ['leader', 'coordinator', 'controller'] as const
export type Role = (typeof ROLES)[number]

/**
 * Each record is on all brokers (replication 3), and acknowledged once two have it (`min.insync.replicas=2`). How long a silent
 * broker is waited for is Kafka's own default (9 s): so the stops that are measured are those of a real cluster.
 */
export interface KafkaCluster extends AsyncDisposable {
  /** For `bootstrap.servers`: all of them. */
  readonly brokers: string
  readonly ids: readonly number[]
  /** SIGKILL. */
  kill(id: number): void
  /** It keeps its connections, and says nothing. */
  freeze(id: number): void
  thaw(id: number): void
  /** Cleanly: what it leads is handed over first. */
  stop(id: number): Promise<void>
  /** Stops it if it runs, and starts it again on the same ports and data; resolves once it serves. */
  restart(id: number): Promise<void>
  /** Partitions of these topics, as a broker that runs sees them. */
  partitions(...topics: readonly string[]): Promise<PartitionSight[]>
  /** Who leads partitions of the topic (and is neither of the others, if there is such a one), coordinates the group, or controls the cluster; -1: none. */
  idOf(role: Role, of: { readonly topic: string; readonly groupId: string }): Promise<number>
  /** Resolves once all brokers have all of these topics again: another one may then fail. */
  whole(...topics: readonly string[]): Promise<void>
  /** One that runs, for requests in Kafka's own protocol: `HOST:PORT`. */
  addressOf(id: number): string
}

/** It only ends a broken test, also on a machine that is busy with others. */
const WHOLE_MS = 180_000

export async function startKafkaCluster(options: Pick<KafkaOptions, 'log' | 'properties'> = {}): Promise<KafkaCluster> {
  await using parts = new AsyncDisposableStack()
  const ids = [1, 2, 3]
  const free = await freePorts(2 * ids.length)
  const ports = new Map(ids.map((id, i) => [id, { port: free[2 * i] ?? 0, controllerPort: free[2 * i + 1] ?? 0 }]))
  const clusterId = newClusterId()
  const properties = {
    'broker.session.timeout.ms': '9000',
    'broker.heartbeat.interval.ms': '2000',
    ...options.properties,
  }
  const starting = ids.map(async id => {
    const node = parts.use(await startKafka({ ...options, properties, node: { id, clusterId, ports } }))
    return [id, node] as const
  })
  // None may start after the others have been stopped because one failed.
  await Promise.allSettled(starting)
  const nodes = new Map<number, EmbeddedKafka>(await Promise.all(starting))
  const silent = new Set<number>()
  const node = (id: number): EmbeddedKafka => {
    const found = nodes.get(id)
    if (found === undefined) throw new RangeError(`there is no broker ${id}`)
    return found
  }
  const address = (): string => {
    const id = ids.find(one => !silent.has(one))
    if (id === undefined) throw new Error('all brokers are silent')
    return node(id).brokers
  }

  const cluster: Omit<KafkaCluster, keyof AsyncDisposable> = {
    brokers: [...nodes.values()].map(({ brokers }) => brokers).join(),
    ids,
    kill(id) {
      silent.add(id)
      node(id).kill('SIGKILL')
    },
    freeze(id) {
      silent.add(id)
      node(id).kill('SIGSTOP')
    },
    thaw(id) {
      node(id).kill('SIGCONT')
      silent.delete(id)
    },
    async stop(id) {
      silent.add(id)
      await node(id).stop()
    },
    async restart(id) {
      silent.add(id)
      await node(id).restart()
      silent.delete(id)
    },
    partitions: (...topics) => askTopics(address(), topics),
    async idOf(role, { topic, groupId }) {
      const [coordinator, controller] = [await askCoordinator(address(), groupId), await askController(address())]
      if (role !== 'leader') return { coordinator, controller }[role]
      const leaders = (await cluster.partitions(topic)).map(({ leader }) => leader)
      return leaders.find(id => id !== coordinator && id !== controller) ?? leaders[0] ?? -1
    },
    async whole(...topics) {
      // Who has been away may still be missing in what the first broker knows.
      const inSync = async (at: string) =>
        (await askTopics(at, topics)).every(
          ({ leader, isr, replicas }) => leader >= 0 && isr.length === replicas.length,
        )
      const all = async () => (await Promise.all(ids.map(id => inSync(node(id).brokers)))).every(Boolean)
      for (const until = performance.now() + WHOLE_MS; !(await all().catch(() => false)); await wait(100))
        if (performance.now() > until) throw new Error(`not all replicas of ${topics.join(', ')} come to be in sync`)
    },
    addressOf: id => node(id).brokers,
  }
  const owned = parts.move()
  return {
    ...cluster,
    async [Symbol.asyncDispose]() {
      // One that is frozen does not hear that it shall stop.
      for (const id of ids) node(id).kill('SIGCONT')
      await owned.disposeAsync()
    },
  }
}
