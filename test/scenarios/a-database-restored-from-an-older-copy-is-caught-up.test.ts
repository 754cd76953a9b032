import { execFileSync } from 'node:child_process'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const orders = generated(200, { seed: 77, updatesRatio: 0.4 })

it('reads again what the copy lacks, though nothing new comes, and what it has in memory does not hide it', async () => {
  // Given a service, and a copy of its database that was made half way
  const postgres = await ownPostgres()
  const stream = await aStream({ partitions: 2, databaseUrl: postgres.url })
  const service = await startService({ ...stream, env: { RETRY_MAX_MS: '1000' } })
  await stream.produce([...orders.slice(0, 100), ...brokenOrders(2, { prefix: 'before', partitions: 2 })])
  await eventually(async () => (await stream.committed()) === 102, 'the first half being committed')
  const data = join(postgres.dir, 'data')
  await postgres.stop()
  // (with its owner, who is not root)
  execFileSync('cp', ['-a', data, `${data}.copy`])
  await postgres.restart()
  await eventually(() => isReady(service), 'readiness after the copy')
  await stream.produce([...orders.slice(100), ...brokenOrders(2, { prefix: 'after', partitions: 2 })])
  await eventually(async () => (await stream.committed()) === 204, 'the second half being committed')

  // When that copy takes the place of the database
  await postgres.stop()
  renameSync(data, `${data}.lost`)
  renameSync(`${data}.copy`, data)
  await postgres.restart()

  // Then progress, which went back with it, comes forward again, without a record more in the topic
  await eventually(async () => (await stream.settled()) === 204, 'the second half being settled once more')
  expect(service.log.filter(({ event }) => event === 'progress_set_back').length).toBeGreaterThan(0)
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, modelOf(orders))).toEqual([])
  for (const { uid, value } of orders.slice(-20)) {
    const newest = orders.findLast(order => order.uid === uid)
    if (newest?.value !== value) continue
    const { body } = await ask(service, `/order/${uid}`)
    expect(JSON.parse(body).payment).toEqual(JSON.parse(String(value)).payment)
  }

  // And those dead letters stand twice in their topic, with the same id, and once in the index
  const ids = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter).map(letter => addedText(letter, 'id'))
  expect(ids.length).toBe(6)
  expect(new Set(ids).size).toBe(4)
  const [letters] = await stream.query<{ n: number }>('SELECT count(*)::int AS n FROM holdfast.dead_letters')
  expect(letters?.n).toBe(4)
  await eventually(async () => (await stream.committed()) === 204, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('reads again what a database knows nothing of, though the group has committed it to Kafka', async () => {
  // Given two partitions that are settled and committed
  const stream = await aStream({ partitions: 2 })
  const first = await startService(stream)
  await stream.produce([...orders.slice(0, 100), ...brokenOrders(2, { prefix: 'lost', partitions: 2 })])
  await eventually(async () => (await stream.committed()) === 102, 'all of it being committed')

  // When the database becomes one that was behind and has never heard of one of them, under the running service
  await forget(stream, 1)

  // Then all of it is read again, the log says what happened, and no other consumer is blamed
  await eventually(async () => (await stream.settled()) === 102, 'all of it being settled once more')
  await eventually(async () => (await differences(stream, modelOf(orders.slice(0, 100)))).length === 0, 'the orders')
  const told = first.log.filter(({ event }) => event === 'progress_removed')
  expect(told).toMatchObject([
    { level: 'error', partition: 1, msg: expect.stringMatching(/-1 was removed .*older copy/) },
  ])
  expect(first.log.filter(({ event }) => event === 'ownership_lost')).toEqual([])
  await eventually(async () => (await stream.committed()) === 102, 'the commits')
  expect(await stream.findings()).toEqual([])

  // When it happens to the other one while no service runs, and more has come
  expect(await first.stop()).toBe(0)
  await forget(stream, 0)
  await stream.produce(orders.slice(100))
  const second = await startService(stream)

  // Then a new one starts that partition at its beginning, and says so
  await eventually(async () => (await stream.committed()) === 202, 'all of it being committed')
  expect(second.log.filter(({ event }) => event === 'progress_missing')).toMatchObject([{ partition: 0, from: '0' }])
  expect(await differences(stream, modelOf(orders))).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await second.stop()).toBe(0)
})

/** Makes the database what it was before the partition existed. */
async function forget({ query, topic }: Stream, partition: number): Promise<void> {
  const children = ['deliveries', 'payments', 'items']
  const tables = ['stream_progress', 'stream_ledger']
  await query(
    `WITH gone AS (DELETE FROM orders WHERE source_topic = $1 AND source_partition = $2 RETURNING order_uid),
      letters AS (DELETE FROM holdfast.dead_letters WHERE source_topic = $1 AND source_partition = $2),
      ${children.map(table => `${table}_gone AS (DELETE FROM ${table} USING gone WHERE ${table}.order_uid = gone.order_uid)`).join(', ')},
      ${tables.map(table => `${table}_gone AS (DELETE FROM holdfast.${table} WHERE topic = $1 AND partition = $2)`).join(', ')}
    SELECT count(*) FROM gone`,
    [topic, partition],
  )
}
