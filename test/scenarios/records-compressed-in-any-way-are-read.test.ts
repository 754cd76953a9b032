import { expect, it } from 'vitest'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { codecOf, fetchRaw } from '../support/raw-fetch.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const EACH = 40
/** The partition that holds all of them in turn. */
const MIXED = CODECS.length

it('none, gzip, snappy, lz4, zstd and all in turn: each record is stored or set aside, with the codec that is set', async () => {
  // Given a partition for each codec, written by such a producer, and one on which they take turns
  const stream = await aStream({ partitions: CODECS.length + 1 })
  const records = CODECS.flatMap((_, i) => generated(2 * EACH, { seed: 61 + i, updatesRatio: 0.3, invalidRatio: 0.1 }))
  for (const [i, codec] of CODECS.entries()) {
    const [alone, inTurn] = [2 * i, 2 * i + 1].map(part => records.slice(part * EACH, (part + 1) * EACH))
    await produceWith(codec, stream, { [i]: alone, [MIXED]: inTurn })
    expect(codecOf(await fetchRaw(stream.brokers, stream.topic, i))).toBe(codec)
  }

  // When a service reads them that is told to compress what it sends
  await startService({ ...stream, env: { KAFKA_CONFIG: 'compression.codec=zstd' } })
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')

  // Then all of them are stored or set aside, and the dead letters are compressed so
  const model = modelOf(records)
  expect(await differences(stream, model)).toEqual([])
  const letters = await stream.readAll(stream.dlqTopic)
  expect(letters).toHaveLength(model.invalid.length)
  for (const { partition } of letters)
    expect(codecOf(await fetchRaw(stream.brokers, stream.dlqTopic, partition))).toBe('zstd')
  expect(await stream.findings({ deep: true })).toEqual([])
})

type Records = ReturnType<typeof generated>

async function produceWith(
  codec: string,
  { brokers, topic }: Stream,
  records: Readonly<Record<number, Records | undefined>>,
): Promise<void> {
  const extra = { 'compression.codec': codec }
  await using producer = await startProducer({ connection: { brokers: [brokers], security: {}, extra } })
  for (const [partition, some = []] of Object.entries(records)) {
    const sent = some.map(({ key, value }) =>
      producer.produce({ topic, partition: Number(partition), key, value, headers: [] }),
    )
    await Promise.all(sent)
  }
}
