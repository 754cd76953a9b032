import { closeSync, openSync, readFileSync, truncateSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { type EmbeddedKafka, startKafka } from '#tools/demo/servers/kafka.ts'
import { holdfast } from '../support/cli.ts'
import { generated } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

// A broker whose files are at hand, and which may be killed.
let kafka: EmbeddedKafka
beforeAll(async () => {
  kafka = await startKafka()
})
afterAll(() => kafka[Symbol.asyncDispose]())

it('damaged on disk: what stands before is settled, the others go on, and the error names CRC, offsets and the way on', async () => {
  // Given three batches on partition 0, of which the second one is damaged on the disk of the broker, and orders on partition 1
  const stream = await aStream({ partitions: 2, brokers: kafka.brokers })
  const [, second] = await threeBatches(stream)
  const at = segment(stream).indexOf(uidOf(second?.[3]))
  flipByte(segmentFile(stream), at)
  await stream.produce(recordsFor(1, 5))

  // When a service reads them
  const service = await startService({ ...stream, brokers: kafka.brokers })

  // Then all before it is settled, and partition 0 alone stands still and says why
  // (Before it is halted readiness may say that it cannot be read, without the batch: as long as the broker has not answered.)
  await eventually(
    async () => (await service.metric('partition_paused', { partition: '0', reason: 'halted' })) === 1,
    'the partition being halted',
  )
  const said = await eventually(async () => {
    const text = await readiness(service)
    return text.includes('holdfast seek --partition 0 --to 20') && text
  }, 'readiness naming the way on')
  expect(said).toContain(`${stream.topic}-0: the batch at offset 10 cannot be read: its CRC does not match`)
  await eventually(async () => (await progressOf(stream, 1)) === 5, 'partition 1 being settled')
  expect(await progressOf(stream, 0)).toBe(10)
  expect(service.log.filter(({ event }) => event === 'partition_halted')).toMatchObject([{ partition: 0 }])
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  const rows = (await holdfast(stream, 'lag', '--json')).stdout.trim().split('\n')
  expect(rows.map(row => JSON.parse(row))).toMatchObject([
    {
      ...{ partition: 0, next_offset: '10', lag_records: 20, paused_for: 'unreadable_batch' },
      unreadable: expect.stringContaining('holdfast seek --partition 0 --to 20'),
    },
    { partition: 1, lag_records: 0, paused_for: null, unreadable: null },
  ])

  // And the other partition goes on
  await stream.produce(recordsFor(1, 5))
  await eventually(async () => (await progressOf(stream, 1)) === 10, 'partition 1 going on')
  expect(await progressOf(stream, 0)).toBe(10)

  // And when an operator skips the batch, the same process reads everything behind it
  await holdfast(stream, 'seek', '--partition', '0', '--to', '20', '--because', 'the batch is damaged')
  await eventually(async () => (await stream.committed()) === 40, 'everything being committed')
  await eventually(() => isReady(service), 'readiness')
  const [{ stored } = { stored: 0 }] = await stream.query<{ stored: number }>(
    'SELECT count(*)::int AS stored FROM orders',
  )
  expect(stored).toBe(20 + 10)
})

it('cut short and grown again beyond progress: halted at work and after a restart, and read again from where it is told to', async () => {
  // Given thirty settled orders on one partition
  const stream = await aStream({ partitions: 1, brokers: kafka.brokers })
  const env = { KAFKA_CONFIG: 'session.timeout.ms=20000' }
  const service = await startService({ ...stream, brokers: kafka.brokers, env })
  const [, , third] = await threeBatches(stream)
  await eventually(async () => (await stream.committed()) === 30, 'the first orders being committed')

  // When the broker loses the last ten, and has taken fifteen new ones in their place before the service looks again
  service.kill('SIGSTOP')
  kafka.kill('SIGKILL')
  truncateSync(segmentFile(stream), startOfBatch(segment(stream), uidOf(third?.[0])))
  await kafka.restart()
  await produceAnew(stream, recordsFor(0, 15))
  service.kill('SIGCONT')

  // Then the partition is halted, with nothing of it read, and the way on is named
  const lost = 'the log has lost records that were settled'
  await eventually(async () => (await readiness(service)).includes(lost), 'readiness saying so')
  expect(await readiness(service)).toContain('holdfast seek --partition 0')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  expect(await progressOf(stream, 0)).toBe(30)
  expect(await service.stop()).toBe(0)

  // And so it is after a restart
  const second = await startService({ ...stream, brokers: kafka.brokers })
  await eventually(async () => (await readiness(second)).includes(lost), 'readiness saying so')
  expect(await progressOf(stream, 0)).toBe(30)
  expect(await second.stop()).toBe(0)

  // And when an operator has it read again, none of the new ones is missed
  await holdfast(
    stream,
    'seek',
    '--partition',
    '0',
    '--to',
    'earliest',
    '--because',
    'the broker lost the end of its log',
  )
  await startService({ ...stream, brokers: kafka.brokers })
  await eventually(async () => (await progressOf(stream, 0)) === 35, 'everything being settled')
  const [{ stored } = { stored: 0 }] = await stream.query<{ stored: number }>(
    'SELECT count(*)::int AS stored FROM orders',
  )
  expect(stored).toBe(30 + 15)
})

let seed = 1900
function recordsFor(partition: number, count: number) {
  seed += 1
  return generated(count, { seed }).map(record => ({ ...record, partition }))
}

/** Of ten orders each, on partition 0. Each is sent as soon as it has ten, and not before, however slowly they are handed over. */
async function threeBatches(stream: Stream) {
  const batches = [recordsFor(0, 10), recordsFor(0, 10), recordsFor(0, 10)]
  for (const batch of batches) await produceAnew(stream, batch, { 'batch.num.messages': '10', 'linger.ms': '10000' })
  return batches
}

/** By a new producer: one that had produced before would miss the records that the broker has lost. */
async function produceAnew(
  { topic, brokers }: Stream,
  records: ReturnType<typeof recordsFor>,
  extra: Readonly<Record<string, string>> = {},
): Promise<void> {
  await using producer = await startProducer({ connection: { brokers: [brokers], security: {}, extra } })
  await Promise.all(records.map(record => producer.produce({ topic, headers: [], ...record })))
}

function segmentFile({ topic }: Stream): string {
  return join(kafka.dir, 'data', `${topic}-0`, '00000000000000000000.log')
}

function segment(stream: Stream): Buffer {
  return readFileSync(segmentFile(stream))
}

function uidOf(record: { readonly key?: Buffer | null } | undefined): Buffer {
  return record?.key ?? Buffer.from('no such order')
}

/** The broker writes and reads through the same page cache. */
function flipByte(file: string, at: number): void {
  const fd = openSync(file, 'r+')
  writeSync(fd, Buffer.from('#'), 0, 1, at)
  closeSync(fd)
}

/** Position of the batch that holds these bytes: each begins with its base offset (8 bytes) and its length (4 bytes). */
function startOfBatch(log: Buffer, content: Buffer): number {
  const at = log.indexOf(content)
  let start = 0
  for (let next = 0; next <= at; next += 12 + log.readInt32BE(next + 8)) start = next
  return start
}

async function readiness(service: Parameters<typeof ask>[0]): Promise<string> {
  return JSON.stringify((await ask(service, '/readyz?verbose')).body).replaceAll('\\\\\\"', '"')
}

async function progressOf({ query, topic, groupId }: Stream, partition: number): Promise<number> {
  const [row] = await query<{ next: string }>(
    'SELECT next_offset AS next FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2 AND partition = $3',
    [topic, groupId, partition],
  )
  return Number(row?.next ?? 0)
}
