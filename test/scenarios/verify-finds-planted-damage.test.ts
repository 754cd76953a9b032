import { expect, it } from 'vitest'
import { startInspector } from '#src/kafka/inspector.ts'
import { holdfast } from '../support/cli.ts'
import { generated, modelOf } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

it('names each place that does not add up, with partition and offset, and fails', async () => {
  // Given books that were written by the service, batch by batch, dead letters among them, and that add up
  const stream = await aStream({ partitions: 4 })
  const records = generated(400, { seed: 141, invalidRatio: 0.05 })
  const at = await stream.produce(records)
  expect(modelOf(records).invalid.length).toBeGreaterThan(4)
  const service = await startService({ ...stream, env: { BATCH_MAX_RECORDS: '10' } })
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  expect(await service.stop()).toBe(0)
  expect(await verify(stream)).toMatchObject({ code: 0 })

  // When a row of the ledger is deleted, in partition 0
  const [, second, third] = (await stream.ledger()).filter(({ partition }) => partition === 0)
  expect(third?.from).toBe(second?.to)
  await stream.query('DELETE FROM stream_ledger WHERE partition = 0 AND from_offset = $1', [second?.from])

  // And an order of partition 1 claims to come from an offset that nobody has read yet
  const uid = records.find(({ uid }, i) => uid !== null && at[i]?.partition === 1)?.uid
  const beyond = 100_000
  await stream.query('UPDATE orders SET source_offset = $1 WHERE order_uid = $2', [beyond, uid])

  // And the index knows of a dead letter of partition 2 that the topic has not got
  const lonely = `${stream.topic}-2-${beyond}`
  await stream.query(
    `INSERT INTO dead_letters
     SELECT (jsonb_populate_record(letter, jsonb_build_object('id', $1::text, 'source_partition', 2, 'source_offset', $2::bigint))).*
     FROM dead_letters AS letter LIMIT 1`,
    [lonely, beyond],
  )

  // And somebody commits beyond what is settled, in partition 3
  const [progress] = await stream.query<{ next: string }>(
    'SELECT next_offset AS next FROM stream_progress WHERE partition = 3',
  )
  const ahead = BigInt(progress?.next ?? 0) + 1n
  await commit(stream, 3, ahead)

  // Then verify fails, and names each of them
  const { code, said } = await verify(stream)
  expect(code).toBe(1)
  expect(said).toContain(`partition 0 offset ${third?.from}: the ledger has a hole: [${second?.from}, ${second?.to})`)
  expect(said).toContain(`partition 1 offset ${beyond}: order ${uid} comes from an offset that is not settled`)
  expect(said).toContain(
    `partition 2 offset ${beyond}: the dead letter ${lonely} is in the index, but not in the topic`,
  )
  expect(said).toContain(
    `partition 3 offset ${ahead}: Kafka holds ${ahead} as committed, but progress is ${progress?.next}`,
  )

  // And the same for a program
  const json = await verify(stream, '--json')
  expect(json.code).toBe(1)
  expect(JSON.parse(json.stdout)).toMatchObject({
    verify: 'failed',
    findings: expect.arrayContaining([expect.objectContaining({ partition: 3, offset: String(ahead) })]),
  })
})

async function commit(stream: Stream, partition: number, nextOffset: bigint): Promise<void> {
  const connection = { brokers: [stream.brokers], security: {}, extra: {} }
  await using inspector = await startInspector({ connection, groupId: stream.groupId })
  await inspector.commit([{ topic: stream.topic, partition, nextOffset }])
}

async function verify(
  stream: Stream,
  ...args: readonly string[]
): Promise<{ readonly code: number; readonly stdout: string; readonly said: string }> {
  try {
    const { stdout, stderr } = await holdfast(stream, 'verify', ...args)
    return { code: 0, stdout, said: stderr }
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
    return { code, stdout, said: stderr }
  }
}
