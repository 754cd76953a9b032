import { expect, it } from 'vitest'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { holdfast } from '../support/cli.ts'
import { addPartitions, createTopic, removeBelow } from '../support/kafka-tools.ts'
import { generated, modelOf } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

it('names each place that does not add up, with partition and offset, and fails', async () => {
  // Given a ledger that was written by the service, batch by batch, dead letters among them, and that adds up
  const stream = await aStream({ partitions: 4 })
  const records = generated(400, { seed: 141, invalidRatio: 0.05, updatesRatio: 0.1 })
  const at = await stream.produce(records)
  expect(modelOf(records).invalid.length).toBeGreaterThan(4)
  const service = await startService({ ...stream, env: { BATCH_MAX_RECORDS: '10' } })
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  // And that are looked at, the topic read again, while the service writes further versions of the same orders
  const [meanwhile] = await Promise.all([verify(stream, '--deep'), stream.produce(records)])
  expect(meanwhile).toMatchObject({ code: 0 })
  await eventually(async () => (await stream.committed()) === 2 * records.length, 'all of them being committed')
  expect(await service.stop()).toBe(0)

  // And that a second reading of the topic finds as they are
  const deep = await verify(stream, '--deep', '--json')
  expect(deep.code).toBe(0)
  expect(JSON.parse(deep.stdout)).toMatchObject({
    verify: 'ok',
    deep: { records: 2 * records.length, compared: modelOf(records).orders.size, elsewhere: 0, unknown: 0 },
  })

  // And that the next proof does not read once more: it goes on from where that one ended, dead letters included
  const next = await verify(stream, '--json')
  expect(JSON.parse(next.stdout)).toMatchObject({
    ...{ verify: 'ok', kind: 'checkpoint', checkpoint_left: true, totals: { records: 2 * records.length } },
    checkpoint: { proven_at: expect.stringMatching(/^20/), full_at: expect.stringMatching(/^20/) },
  })
  const whole = await verify(stream, '--full', '--json')
  expect(JSON.parse(whole.stdout)).toMatchObject({
    verify: 'ok',
    kind: 'full',
    checkpoint: null,
    checkpoint_left: true,
  })
  expect((await verify(stream)).said).toMatch(
    /ok.*\nwent on from the proof of 20.*everything was last read at 20.*--full/,
  )

  // When an amount is altered, an item added, an order deleted, and one put back to the position of an earlier version
  const back = records.findLast(({ kind }) => kind === 'update')?.uid
  const earlier = at[records.findIndex(({ uid }) => uid === back)]
  const [altered, longer, gone] = [...modelOf(records).orders.keys()].reverse().filter(uid => uid !== back)
  await stream.query('UPDATE payments SET amount = amount + 1 WHERE order_uid = $1', [altered])
  await stream.query(
    `INSERT INTO items SELECT (jsonb_populate_record(item, jsonb_build_object('position', count))).*
     FROM items AS item, (SELECT count(*) FROM items WHERE order_uid = $1) AS counted
     WHERE order_uid = $1 AND position = 0`,
    [longer],
  )
  for (const table of ['orders', 'deliveries', 'payments', 'items']) {
    await stream.query(`DELETE FROM ${table} WHERE order_uid = $1`, [gone])
  }
  await stream.query('UPDATE orders SET source_offset = $1 WHERE order_uid = $2', [earlier?.offset, back])

  // Then the deep proof names each, and the number of orders gives the deletion away to any
  const planted = await verify(stream, '--deep')
  expect(planted.code).toBe(1)
  expect(planted.said).toContain(`value ${altered} of orders is not what its record says, in /payment/amount`)
  expect(planted.said).toContain(`value ${longer} of orders is not what its record says, in /items/`)
  expect(planted.said).toContain(`value ${gone} of orders is missing: its record was settled`)
  expect(planted.said).toContain(`value ${back} of orders stands at ${earlier?.partition}-${earlier?.offset}, older`)
  expect(planted.said).toMatch(/orders holds \d+ rows, but the ledger counts \d+ new keys: 1 are missing/)

  // When a row of the ledger is deleted, in partition 0
  const [, second, third] = (await stream.ledger()).filter(({ partition }) => partition === 0)
  expect(third?.from).toBe(second?.to)
  await stream.query('DELETE FROM holdfast.stream_ledger WHERE partition = 0 AND from_offset = $1', [second?.from])

  // And an order of partition 1 claims to come from an offset that nobody has read yet
  const uid = records.find(({ uid }, i) => uid !== null && at[i]?.partition === 1)?.uid
  const beyond = 100_000
  await stream.query('UPDATE orders SET source_offset = $1 WHERE order_uid = $2', [beyond, uid])

  // And the index knows of a dead letter of partition 2 that the topic has not got
  const lonely = `${stream.topic}-2-${beyond}`
  await stream.query(
    `INSERT INTO holdfast.dead_letters
     SELECT (jsonb_populate_record(letter, jsonb_build_object('id', $1::text, 'source_partition', 2, 'source_offset', $2::bigint))).*
     FROM holdfast.dead_letters AS letter LIMIT 1`,
    [lonely, beyond],
  )

  // And somebody commits beyond what is settled, in partition 3
  const [progress] = await stream.query<{ next: string }>(
    'SELECT next_offset AS next FROM holdfast.stream_progress WHERE partition = 3',
  )
  const ahead = BigInt(progress?.next ?? 0) + 1n
  await commit(stream, 3, ahead)

  // Then verify fails, and names each of them
  const { code, said } = await verify(stream)
  expect(code).toBe(1)
  expect(said).toContain(`partition 0 offset ${third?.from}: the ledger has a hole: [${second?.from}, ${second?.to})`)
  expect(said).toContain(
    `partition 1 offset ${beyond}: value ${uid} of orders comes from an offset that is not settled`,
  )
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
    kind: 'full',
    checkpoint_left: false,
    findings: expect.arrayContaining([expect.objectContaining({ partition: 3, offset: String(ahead) })]),
  })
})

it('takes nothing for proven that it could not ask, or has not seen', async () => {
  // Given a group that has consumed everything, with a dead-letter topic that has grown since, and lost a partition's letters
  const fresh = await aStream({ partitions: 4 })
  const stream = { ...fresh, dlqTopic: `${fresh.topic}.small` }
  await createTopic(stream.brokers, stream.dlqTopic, 2)
  await stream.produce(Array.from({ length: 8 }, (_, i) => ({ value: 'broken', partition: i % 4 })))
  const service = await startService(stream)
  await eventually(async () => (await stream.committed()) === 8, 'all of them being committed')
  expect(await service.stop()).toBe(0)
  await addPartitions(stream.brokers, stream.dlqTopic, 4)
  await removeBelow(stream.brokers, stream.dlqTopic, 1, 4)
  // And progress of topics that are not there, as seen on another cluster, and of one of which the beginning was left out
  const copy = (topic: string, set: string) =>
    stream.query(
      `INSERT INTO holdfast.stream_progress SELECT (jsonb_populate_record(p, jsonb_build_object('topic', $1::text) || ${set})).*
       FROM holdfast.stream_progress AS p WHERE topic = $2`,
      [topic, stream.topic],
    )
  const late = await aStream({ partitions: 4, databaseUrl: stream.databaseUrl, migrated: false })
  await late.produce(Array.from({ length: 8 }, (_, i) => ({ value: 'broken', partition: i % 4 })))
  await copy('elsewhere', `'{"next_offset": 0}'`)
  await copy(late.topic, `'{"first_offset": 1, "next_offset": 1, "topic_id": null}'`)

  // When it is verified as it is, with a name misspelt, from other places, and without its database
  const seen = (env: Readonly<Record<string, string>>) => verify({ ...stream, env })
  const [whole, misspelt, elsewhere, begunLate, noPostgres] = await Promise.all([
    verify(stream),
    seen({ KAFKA_GROUP_ID: `${stream.groupId}x` }),
    seen({ KAFKA_TOPIC: 'elsewhere' }),
    seen({ KAFKA_TOPIC: late.topic, KAFKA_GROUP_ID: stream.groupId }),
    seen({ DATABASE_URL: 'postgres://127.0.0.1:1/none' }),
  ])

  // Then it holds where it was seen, and nowhere else
  expect(whole).toMatchObject({ code: 0 })
  expect(misspelt.code).toBe(1)
  expect(misspelt.said).toContain(`is the group ${stream.groupId} meant?`)
  expect(elsewhere.code).toBe(4)
  expect(elsewhere.said).toMatch(/could not ask for the topic elsewhere: the cluster at .* has no topic elsewhere/)
  expect(begunLate.code).toBe(1)
  expect(begunLate.said).toMatch(/partition 0 offset 0: the offsets \[0, 1\) are in the topic, were never consumed/)
  expect(noPostgres.code).toBe(4)

  // When an order is forged beyond progress, and repaired
  const uid = await forge(stream)
  const unconfirmed = await verify(stream, '--repair')
  expect(unconfirmed.code).toBe(2)
  expect(unconfirmed.said).toContain(`${uid} points at partition 0 offset 100000`)
  const repaired = await verify(stream, '--repair', '--yes')
  expect(repaired.said).toContain('1 value set back')
  expect(repaired.said).not.toContain('not settled')
})

/** A valid order, as a producer with a forged header left it. @returns its uid */
async function forge(stream: Stream): Promise<string> {
  await stream.query(
    `INSERT INTO orders SELECT 'forged', '', '', '', '', '', '', '', 0, now(), '', $1, 0, 100000, 1, now()`,
    [stream.topic],
  )
  return 'forged'
}

async function commit(stream: Stream, partition: number, nextOffset: bigint): Promise<void> {
  const connection = { brokers: [stream.brokers], security: {}, extra: {} }
  await using inspector = await startInspector({ connection, groupId: stream.groupId })
  await inspector.commit([{ topic: stream.topic, partition, nextOffset }])
}

async function verify(
  stream: Stream & { readonly env?: Readonly<Record<string, string>> },
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
