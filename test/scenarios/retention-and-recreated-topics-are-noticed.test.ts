import { setTimeout } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { holdfast } from '../support/cli.ts'
import { addPartitions, createTopic, deleteTopic, removeBelow } from '../support/kafka-tools.ts'
import { generated } from '../support/model.ts'
import { ask, eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

it('writes down what retention removed before it was read, says so, and goes on behind it', async () => {
  // Given ten records settled, and twenty more that come while nobody reads
  const stream = await aStream()
  const first = await startService(stream)
  await stream.produce(recordsFor(0, 10))
  await eventually(async () => (await stream.committed()) === 10, 'the first ten being committed')
  expect(await first.stop()).toBe(0)
  await stream.produce(recordsFor(0, 20))

  // When retention takes eight of them, and the service comes back
  await removeBelow(stream.brokers, stream.topic, 0, 18)
  const second = await startService(stream)
  await stream.produce(recordsFor(1, 5))
  await eventually(async () => (await stream.settled()) === 35, 'everything that is left being settled')

  // Then the loss stands in the ledger, in the log and in a metric, and nothing is made of it silently
  const rows = (await stream.ledger()).filter(row => row.expired > 0)
  expect(rows).toMatchObject([{ partition: 0, from: 10, to: 18, records: 0, expired: 8 }])
  expect(second.log.filter(({ event }) => event === 'expired')).toMatchObject([
    { level: 'error', partition: 0, from: '10', to: '18', records: 8 },
  ])
  expect(await second.metric('expired_records_total', { partition: '0' })).toBe(8)

  // And all others are written, and the proof fails for this loss alone
  const [orders] = await stream.query<{ count: string }>('SELECT count(*) FROM orders')
  expect(orders?.count).toBe('27')
  await eventually(async () => (await stream.committed()) === 35, 'the commits')
  expect(await stream.findings()).toEqual([expect.stringContaining('8 offsets in [10, 18) were removed by retention')])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
})

it('tells no loss where retention took only what had been read', async () => {
  // Given a partition that was read to its end, and whose log is then emptied
  const stream = await aStream()
  const service = await startService(stream)
  await stream.produce(recordsFor(0, 5))
  await eventually(async () => (await stream.settled()) === 5, 'the first five being settled')
  await removeBelow(stream.brokers, stream.topic, 0, 5)

  // When more records come, then nothing was lost and nothing is said to be
  await stream.produce(recordsFor(0, 5))
  await eventually(async () => (await stream.settled()) === 10, 'the next five being settled')
  expect((await stream.ledger()).filter(row => row.expired > 0)).toEqual([])
  expect(service.log.filter(({ event }) => event === 'expired')).toEqual([])
})

it('writes down what retention takes from before a service at work, and goes on behind it', async () => {
  // Given a service that has read five records, and is frozen while twenty come, of which retention takes fifteen
  const stream = await aStream({ partitions: 1 })
  const service = await startService({ ...stream, env: { KAFKA_CONFIG: 'fetch.wait.max.ms=50' } })
  await stream.produce(recordsFor(0, 5))
  await eventually(async () => (await stream.settled()) === 5, 'the first five being settled')
  service.kill('SIGSTOP')
  // The fetch that it has under way ends empty after fetch.wait.max.ms; it would get the records otherwise. (In steps, so that a machine
  // that stands still for a while cuts one of them short, and not all.)
  for (let step = 0; step < 8; step++) await setTimeout(250)
  await stream.produce(recordsFor(0, 20))
  await removeBelow(stream.brokers, stream.topic, 0, 20)

  // When it wakes, at a position that the log does not hold any more, then it says what is lost and reads on
  service.kill('SIGCONT')
  await eventually(async () => (await stream.settled()) === 25, 'everything that is left being settled')
  expect((await stream.ledger()).filter(row => row.expired > 0)).toMatchObject([{ from: 5, to: 20, expired: 15 }])
  await stream.produce(recordsFor(0, 5))
  await eventually(async () => (await stream.settled()) === 30, 'what comes after it being settled')
})

it('halts what was read of a topic that is another one now, names the way out, and goes on with the rest', async () => {
  // Given a topic that was read, deleted, and made anew: with less on partition 0, and with more on partition 1
  const stream = await aStream({ partitions: 3 })
  const first = await startService(stream)
  await stream.produce([...recordsFor(0, 20), ...recordsFor(1, 3)])
  await eventually(async () => (await stream.committed()) === 23, 'all of them being committed')
  expect(await first.stop()).toBe(0)
  await deleteTopic(stream.brokers, stream.topic)
  const create = () =>
    createTopic(stream.brokers, stream.topic, 3)
      .then(() => true)
      .catch(() => false)
  await eventually(create, 'the topic being made anew')
  const before = await stream.ledger()
  await stream.produce([...recordsFor(0, 4), ...recordsFor(1, 9), ...recordsFor(2, 5)])

  // When the service comes back
  const second = await startService(stream)
  await eventually(async () => (await progressOf(stream, 2)) === 5, 'the partition that was never read')

  // Then both wait for an operator, and the log tells which command decides
  const haltsOf = () => second.log.filter(({ event }) => event === 'partition_halted')
  const halted = await eventually(() => haltsOf().length >= 2 && haltsOf(), 'both being halted')
  expect(halted.map(({ level, partition }) => [level, partition]).sort()).toEqual([
    ['error', 0],
    ['error', 1],
  ])
  for (const line of halted) expect(JSON.stringify(line)).toContain(`holdfast seek --partition ${line.partition}`)
  const pausedOn = (partition: string) => second.metric('partition_paused', { partition, reason: 'halted' })
  await eventually(async () => (await pausedOn('0')) + (await pausedOn('1')) === 2, 'both being paused')
  expect(await pausedOn('2')).toBe(0)
  expect(await ask(second, '/livez')).toMatchObject({ status: 200 })

  // And nothing of them was read, written down as read, or set aside
  expect(await progressOf(stream, 0)).toBe(20)
  expect(await progressOf(stream, 1)).toBe(3)
  const after = await stream.ledger()
  expect(after.filter(row => row.partition !== 2)).toEqual(before)
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  const findings = await stream.findings()
  expect(findings).toHaveLength(2)
  expect(findings[0]).toMatch(/partition 0.*20.*was deleted/)
  expect(findings[1]).toMatch(/partition 1.*3.*was deleted/)

  // And the process that was halted on two partitions still stops as it should
  expect(await second.stop()).toBe(0)

  // When the operator decides to read all that there is now, and the service comes back
  for (const partition of ['0', '1']) {
    await holdfast(stream, 'seek', '--partition', partition, '--to', 'earliest', '--because', 'the topic was made anew')
  }
  await startService(stream)

  // Then none of it is missed
  await eventually(async () => (await stream.committed()) === 18, 'everything being committed')
  expect(await stream.findings({ deep: true })).toEqual([])
  const [{ stored } = { stored: 0 }] = await stream.query<{ stored: number }>(
    'SELECT count(*)::int AS stored FROM orders',
  )
  expect(stored).toBe(20 + 3 + 18)
})

it('reads partitions that are added to the topic, from their beginning', async () => {
  // Given a service that looks for new partitions every half second, instead of every five minutes
  const stream = await aStream({ partitions: 1 })
  const service = await startService({ ...stream, env: { KAFKA_CONFIG: 'topic.metadata.refresh.interval.ms=500' } })
  await stream.produce(recordsFor(0, 5))
  await eventually(async () => (await stream.settled()) === 5, 'the first five being settled')

  // When the topic gets a second partition, and records in it at once
  await addPartitions(stream.brokers, stream.topic, 2)
  // (a producer of its own: one that knows the topic would learn of the partition minutes later)
  await using producer = await startProducer({ connection: { brokers: [stream.brokers], security: {}, extra: {} } })
  await eventually(async () => (await producer.partitionCount(stream.topic)) === 2, 'the broker knowing of it')
  for (const record of recordsFor(1, 7)) await producer.produce({ topic: stream.topic, headers: [], ...record })

  // Then none of them is missed
  await eventually(async () => (await progressOf(stream, 1)) === 7, 'the new partition being settled')
  expect(service.log.filter(({ event }) => event === 'expired' || event === 'partition_halted')).toEqual([])
  await eventually(async () => (await stream.committed()) === 12, 'the commits')
  expect(await stream.findings()).toEqual([])
})

let seed = 900
/** New orders for a partition. */
function recordsFor(partition: number, count: number) {
  seed += 1
  return generated(count, { seed }).map(record => ({ ...record, partition }))
}

async function progressOf({ query, topic, groupId }: Stream, partition: number): Promise<number> {
  const [row] = await query<{ next: string }>(
    'SELECT next_offset AS next FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2 AND partition = $3',
    [topic, groupId, partition],
  )
  return Number(row?.next ?? 0)
}
