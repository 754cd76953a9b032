import { afterAll, beforeAll, expect, it } from 'vitest'
import { examine } from '#src/cli/doctor-checks.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { holdfast } from '../support/cli.ts'
import { reassign } from '../support/cluster-questions.ts'
import { type KafkaCluster, startKafkaCluster } from '../support/kafka-cluster.ts'
import { addPartitions, createTopic } from '../support/kafka-tools.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { freshTopics } from '../support/stack.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { inWords, startUnderLoad } from '../support/under-load.ts'

streamTools()

let cluster: KafkaCluster
beforeAll(async () => {
  cluster = await startKafkaCluster()
})
afterAll(() => cluster[Symbol.asyncDispose]())

const PARTITIONS = 6

it('brokers restarted one after the other: the stream goes on, and nothing is lost or done twice', async () => {
  // Given two processes at work on a topic whose records are on three brokers
  const stream = await aStream({ brokers: cluster.brokers, partitions: PARTITIONS, replication: 3 })
  const services = [await startService(stream), await startService(stream)]
  const flow = await startUnderLoad(stream, services, { seed: 81, partitions: PARTITIONS })

  // When each is stopped and started, the next one once the one before has everything again
  const stop = await flow.whileMoving(async () => {
    for (const id of cluster.ids) {
      await cluster.restart(id)
      await cluster.whole(stream.topic, stream.dlqTopic, '__consumer_offsets')
    }
  })
  console.info(`rolling restart: ${inWords(stop)}`)

  // Then no partition stood still for long
  await flow.endsWhole()
  expect(stop.longestMs).toBeLessThan(20_000)
})

it('partitions added: they are taken over within a minute without a restart, from their first record on', async () => {
  // Given two processes at work, with the settings as they are
  const stream = await aStream({ brokers: cluster.brokers, partitions: PARTITIONS, replication: 3 })
  const services = [await startService(stream), await startService(stream)]
  const flow = await startUnderLoad(stream, services, { seed: 82, partitions: PARTITIONS })

  // When the topic gets twice as many, and records in them at once
  const began = performance.now()
  const stop = await flow.whileMoving(() => addPartitions(stream.brokers, stream.topic, 2 * PARTITIONS), 2 * PARTITIONS)
  const tookMs = performance.now() - began
  console.info(`partitions 6 to 12: all moved after ${(tookMs / 1_000).toFixed(1)} s; ${inWords(stop)}`)

  // Then all of them are read, and the others did not wait for it
  expect(tookMs).toBeLessThan(60_000)
  expect(stop.longestMs).toBeLessThan(20_000)
  await flow.endsWhole({ keysMoved: true })
  const [{ partitions } = { partitions: 0 }] = await stream.query<{ partitions: number }>(
    'SELECT count(*)::int AS partitions FROM holdfast.stream_progress WHERE topic = $1 AND next_offset > 0 AND first_offset = 0',
    [stream.topic],
  )
  expect(partitions).toBe(2 * PARTITIONS)
})

it('partitions moved to other brokers: the stream follows them, and nothing is lost or done twice', async () => {
  // Given a topic whose records are on two of the brokers
  const stream = await aStream({ brokers: cluster.brokers, partitions: PARTITIONS, replication: 2 })
  const service = await startService(stream)
  const flow = await startUnderLoad(stream, [service], { seed: 85, partitions: PARTITIONS })

  // When each partition leaves the broker that leads it, for the one that did not have it
  const before = await cluster.partitions(stream.topic)
  const moved = before.map(({ leader, replicas }) => [
    ...cluster.ids.filter(id => !replicas.includes(id)),
    ...replicas.filter(id => id !== leader),
  ])
  const stop = await flow.whileMoving(async () => {
    await reassign(cluster.addressOf(1), stream.topic, moved)
    const arrived = async () =>
      (await cluster.partitions(stream.topic)).every(
        ({ replicas, leader }, i) => replicas.length === 2 && leader !== before[i]?.leader,
      )
    await eventually(arrived, 'the partitions being moved')
  })
  console.info(`partitions moved: ${inWords(stop)}`)

  // Then no partition stood still for long
  await flow.endsWhole()
  expect(stop.longestMs).toBeLessThan(20_000)
})

it('a broker that was behind leads (unclean election): the partition halts, and is read again from where it is told to', async () => {
  // Given a topic that allows it, of which one broker alone has the last records
  const names = freshTopics()
  const unclean = { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' }
  await createTopic(cluster.brokers, names.topic, 1, unclean, 2)
  const stream = await aStream({ brokers: cluster.brokers, partitions: 1, replication: 3, names })
  const service = await startService(stream)
  await stream.produce(generated(30, { seed: 86 }))
  await eventually(async () => (await stream.committed()) === 30, 'the first orders being committed')
  const [{ leader, replicas } = { leader: -1, replicas: [] }] = await cluster.partitions(stream.topic)
  const follower = replicas.find(id => id !== leader) ?? -1
  await cluster.stop(follower)
  await stream.produce(generated(20, { seed: 87 }))
  await eventually(async () => (await stream.committed()) === 50, 'the others being committed')

  // When that one dies, and the other one leads
  cluster.kill(leader)
  await cluster.restart(follower)
  await eventually(async () => (await cluster.partitions(stream.topic))[0]?.leader === follower, 'its leading')

  // Then the partition halts, and readiness names the way on
  const reason = await eventually(async () => {
    const { body } = await ask(service, '/readyz?verbose')
    return body.includes('holdfast seek --partition 0') && body
  }, 'readiness naming the way on')
  expect(reason).toContain("progress is at offset 50, beyond the partition's end 30; the log has lost records")
  expect(await settledOn(stream, 0)).toBe(50)
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  await cluster.restart(leader)
  await cluster.whole(stream.topic, stream.dlqTopic, '__consumer_offsets')

  // And what comes anew is read when an operator says from where
  await using producer = await startProducer({ connection: { brokers: [stream.brokers], security: {}, extra: {} } })
  for (const record of generated(5, { seed: 88 }))
    await producer.produce({ topic: stream.topic, headers: [], ...record })
  await holdfast(stream, 'seek', '--partition', '0', '--to', 'earliest', '--because', 'the last records are lost')
  await eventually(async () => (await stream.committed()) === 35, 'all that is left being committed')
  const [{ stored } = { stored: 0 }] = await stream.query<{ stored: number }>(
    'SELECT count(*)::int AS stored FROM orders',
  )
  expect(stored).toBe(30 + 20 + 5)
})

it('dead-letter topic with too few replicas in sync: what needs it waits and says so, the rest flows, and it goes on by itself', async () => {
  // Given a dead-letter topic that takes records only while all three brokers have them
  const names = freshTopics()
  await createTopic(cluster.brokers, names.dlqTopic, 3, { 'min.insync.replicas': '3', 'retention.ms': '-1' }, 3)
  const stream = await aStream({ brokers: cluster.brokers, partitions: 3, replication: 3, names })
  const service = await startService({ ...stream, env: { KAFKA_CONFIG: 'message.timeout.ms=5000' } })
  const records = generated(60, { seed: 83 }).map((one, i) => ({ ...one, partition: i % 3 }))
  await stream.produce(records)
  await eventually(async () => (await stream.committed()) === 60, 'the first orders being committed')

  // When a broker is stopped, and an invalid record comes on one partition, with orders behind it and on the others
  await cluster.stop(3)
  await stream.produce([{ value: 'not an order', partition: 0 }])
  const later = generated(30, { seed: 84 }).map((one, i) => ({ ...one, partition: i % 3 }))
  await stream.produce(later)

  // Then readiness names the topic and the reason, and the other partitions flow
  await eventually(async () => {
    const { status, body } = await ask(service, '/readyz?verbose')
    return status === 503 && body.includes(stream.dlqTopic) && /dlq is away: .*2 of its 3 replicas in sync/.test(body)
  }, 'readiness saying so')
  await eventually(async () => (await settledOn(stream, 1)) === 30 && (await settledOn(stream, 2)) === 30, 'the others')
  expect(await settledOn(stream, 0)).toBe(20)
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  await expect.poll(() => service.metric('partition_paused', { partition: '0', reason: 'dlq_away' })).toBe(1)

  const env = { KAFKA_BROKERS: stream.brokers, KAFKA_TOPIC: stream.topic, KAFKA_DLQ_TOPIC: stream.dlqTopic }
  // (It may give up on a server that is silent for seconds, as on a busy machine.)
  await eventually(async () => {
    const found = await Array.fromAsync(examine({ ...env, DATABASE_URL: stream.databaseUrl, HTTP_PORT: '0' }))
    const named = found.find(({ name }) => name === `replicas of ${stream.dlqTopic}`)
    return named?.detail.includes(`${stream.dlqTopic}-0`)
  }, 'doctor naming it')

  // And with the broker back it goes on by itself
  await cluster.restart(3)
  await eventually(async () => (await stream.committed()) === 91, 'all of them being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(await stream.readAll(stream.dlqTopic)).not.toEqual([])
  expect(await differences(stream, modelOf([...records, ...later]))).toEqual([])
  expect(await stream.findings({ deep: true })).toEqual([])
})

async function settledOn({ query, topic, groupId }: Stream, partition: number): Promise<number> {
  const [row] = await query<{ next: string }>(
    'SELECT next_offset AS next FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2 AND partition = $3',
    [topic, groupId, partition],
  )
  return Number(row?.next ?? 0)
}
