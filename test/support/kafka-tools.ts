/** What an administrator does to topics, and the product never: for scenarios about it. */
import kafka from '@confluentinc/kafka-javascript'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { eventually } from './service.ts'

/** It only ends a broken test: a topic is made within a second, and on a machine that is busy with others within many. */
const PATIENCE_MS = 60_000

interface Admin {
  deleteRecords(
    before: readonly { topic: string; partition: number; offset: number }[],
    options: { timeout: number },
    done: (error: Error | null) => void,
  ): void
  deleteTopic(topic: string, timeoutMs: number, done: (error: Error | null) => void): void
  createTopic(topic: object, timeoutMs: number, done: (error: Error | null) => void): void
  deleteGroups(
    groups: readonly string[],
    options: { timeout: number },
    done: (error: Error | null, results?: readonly { readonly error?: unknown }[]) => void,
  ): void
  createPartitions(topic: string, total: number, timeoutMs: number, done: (error: Error | null) => void): void
  disconnect(): void
}

/** Removes what stands below `offset` in a partition, as retention does. */
export async function removeBelow(brokers: string, topic: string, partition: number, offset: number): Promise<void> {
  await asAdmin(brokers, (admin, done) =>
    admin.deleteRecords([{ topic, partition, offset }], { timeout: PATIENCE_MS }, done),
  )
}

/** Resolves once the broker no longer lists the topic, to which it may still write for a moment after its answer. */
export async function deleteTopic(brokers: string, topic: string): Promise<void> {
  await asAdmin(brokers, (admin, done) => admin.deleteTopic(topic, PATIENCE_MS, done))
  await using inspector = await startInspector({
    connection: { brokers: [brokers], security: {}, extra: {} },
    groupId: topic,
  })
  await eventually(async () => (await inspector.partitions(topic)).length === 0, `the topic ${topic} being gone`)
}

/** Rejects while an earlier topic of that name is still being removed. */
export async function createTopic(
  brokers: string,
  topic: string,
  partitions: number,
  config: Readonly<Record<string, string>> = {},
  replication = 1,
): Promise<void> {
  const plan = { topic, num_partitions: partitions, replication_factor: replication, config }
  await asAdmin(brokers, (admin, done) => admin.createTopic(plan, PATIENCE_MS, done))
}

/** @param total partitions that the topic has afterwards */
export async function addPartitions(brokers: string, topic: string, total: number): Promise<void> {
  await asAdmin(brokers, (admin, done) => admin.createPartitions(topic, total, PATIENCE_MS, done))
}

/** Removes a group with the offsets that Kafka holds for it. @returns whether it has; not while it has members */
export async function forgetGroup(brokers: string, groupId: string): Promise<boolean> {
  let forgotten = false
  await asAdmin(brokers, (admin, done) =>
    admin.deleteGroups([groupId], { timeout: PATIENCE_MS }, (error, results) => {
      forgotten = !error && results?.every(result => !result.error) === true
      done(null)
    }),
  )
  return forgotten
}

interface ForeignConsumer {
  connect(options: { timeout: number }, done: (error: Error | null) => void): void
  subscribe(topics: readonly string[]): void
  consume(): void
  disconnect(done: () => void): void
}

/** Another application in a consumer group. Resolves once it has its partitions. */
export async function joinWith(
  brokers: string,
  { topic, groupId, strategy }: { readonly topic: string; readonly groupId: string; readonly strategy: string },
): Promise<AsyncDisposable> {
  const assigned = Promise.withResolvers<void>()
  const properties = {
    'metadata.broker.list': brokers,
    'group.id': groupId,
    'partition.assignment.strategy': strategy,
    rebalance_cb: true,
  }
  const client = new kafka.KafkaConsumer(properties, {})
  client.on('rebalance', () => assigned.resolve())
  const consumer = client as unknown as ForeignConsumer
  await new Promise<void>((resolve, reject) =>
    consumer.connect({ timeout: PATIENCE_MS }, error => (error ? reject(error) : resolve())),
  )
  consumer.subscribe([topic])
  consumer.consume()
  await assigned.promise
  return { [Symbol.asyncDispose]: () => new Promise(resolve => consumer.disconnect(resolve)) }
}

async function asAdmin(
  brokers: string,
  ask: (admin: Admin, done: (error: Error | null) => void) => void,
): Promise<void> {
  const admin = kafka.AdminClient.create({ 'metadata.broker.list': brokers }) as unknown as Admin
  try {
    await new Promise<void>((resolve, reject) => ask(admin, error => (error ? reject(error) : resolve())))
  } finally {
    admin.disconnect()
  }
}
