import { expect, it } from 'vitest'
import { verifyStream } from '#src/cli/proof.ts'
import { loadConfig } from '#src/settings/config.ts'
import { loadStreams } from '#src/settings/streams.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast } from '../support/cli.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'
import { aReturn, someReturns, TWO_STREAMS } from '../support/two-streams.ts'

streamTools()

const TABLES = ['orders', 'deliveries', 'payments', 'items']
const PARTS = 8
/** The schema lets it through; only the constraint of this test does not. */
const POISON = 'forbidden-by-the-column'

it('orders that were stored whole and a stream of its own go on in eight parts: written, refused, read, proven, and back', async () => {
  // Given orders in the tables of the migrations, and no service
  const orders = await aStream({ partitions: 2 })
  const returns = await aStream({ partitions: 2, databaseUrl: orders.databaseUrl, migrated: false })
  const env = {
    HOLDFAST_CONFIG: TWO_STREAMS,
    RETURNS_TOPIC: returns.topic,
    RETURNS_DLQ_TOPIC: returns.dlqTopic,
    RETURNS_GROUP_ID: returns.groupId,
  }
  const model = generated(900, { seed: 55, updatesRatio: 0.4 })
  await orders.produce(model.slice(0, 300))
  const whole = await startService({ ...orders, env, streams: ['orders'] })
  await eventually(async () => (await orders.committed()) === 300, 'the first orders')
  expect(await whole.stop()).toBe(0)

  // When the SQL that the command prints has divided them, and made the tables of the other stream
  const indexNames = await indexesOf(TABLES)
  const undo: string[] = []
  for (const stream of ['orders', 'returns']) {
    const [up = '', down = ''] = (await migrationOf(stream)).stdout.split('-- Down Migration')
    await orders.query(up)
    undo.push(down)
    expect((await migrationOf(stream)).stderr).toContain('nothing to do')
    await holdfast({ ...orders, env }, 'stream', 'check', stream)
  }
  expect(await indexesOf(TABLES)).toEqual(indexNames)

  // And more comes, with updates that have fewer items, some that is invalid, and one that only Postgres refuses
  await orders.query(`ALTER TABLE items ADD CONSTRAINT only_in_this_test CHECK (brand <> '${POISON}')`)
  const good = anOrder({ uid: 'poison' })
  const poison = { ...good, items: good.items.map(item => ({ ...item, brand: POISON })) }
  await orders.produce([...model.slice(300), ...brokenOrders(4, { partitions: 2 })])
  await orders.produce([{ key: Buffer.from('poison'), value: JSON.stringify(poison) }])
  await returns.produce(someReturns(0, 200))
  await returns.produce(someReturns(0, 50))
  const service = await startService({ ...orders, env })
  await eventually(async () => (await orders.committed()) === 905, 'the orders')
  await eventually(async () => (await returns.committed()) === 250, 'the returns')
  await eventually(() => isReady(service), 'readiness')

  // Then new keys still go by COPY, every part has its share, and the rows are what the input says
  expect(service.log.filter(({ event }) => event === 'copy_unavailable')).toEqual([])
  for (const table of [...TABLES, 'returns', 'return_lines']) {
    const parts = await orders.query(`SELECT tableoid::regclass::text AS part FROM ${table} GROUP BY 1 ORDER BY 1`)
    expect(parts).toEqual(Array.from({ length: PARTS }, (_, part) => ({ part: `${table}_${part}` })))
  }
  expect(await differences(orders, modelOf(model))).toEqual([])
  const letters = await orders.query(
    'SELECT reason, count(*)::int AS n FROM holdfast.dead_letters GROUP BY 1 ORDER BY 1',
  )
  expect(letters).toEqual([
    { reason: 'schema_violation', n: 4 },
    { reason: 'store_rejected', n: 1 },
  ])
  expect(JSON.parse((await ask(service, '/returns/return-199')).body)).toEqual(aReturn(199))
  expect(JSON.parse((await ask(service, '/orders?limit=5')).body).orders).toHaveLength(5)

  // And the proof finds nothing, value for value
  const config = loadConfig(environment())
  for (const stream of await loadStreams(config, environment())) {
    const { findings, unasked } = await verifyStream(config, stream, { deep: () => {} })
    expect([...findings, ...unasked], stream.name).toEqual([])
  }
  expect(await service.stop()).toBe(0)

  // And the way back keeps every row, and the indexes
  await orders.query(undo[0] ?? '')
  expect(await orders.query(`SELECT relkind FROM pg_class WHERE relname = 'orders'`)).toEqual([{ relkind: 'r' }])
  expect(await indexesOf(TABLES)).toEqual(indexNames)
  expect(await differences(orders, modelOf(model))).toEqual([])

  async function indexesOf(tables: readonly string[]): Promise<unknown> {
    return await orders.query(
      `SELECT c.relname, pg_get_indexdef(c.oid) LIKE '%UNIQUE%' AS is_unique, substring(pg_get_indexdef(c.oid) FROM 'USING.*') AS columns
       FROM pg_index JOIN pg_class AS c ON c.oid = indexrelid WHERE indrelid = ANY ($1::regclass[]) ORDER BY 1`,
      [tables],
    )
  }

  function environment() {
    return {
      ...env,
      KAFKA_BROKERS: orders.brokers,
      KAFKA_TOPIC: orders.topic,
      KAFKA_DLQ_TOPIC: orders.dlqTopic,
      KAFKA_GROUP_ID: orders.groupId,
      DATABASE_URL: orders.databaseUrl,
    }
  }

  function migrationOf(stream: string) {
    return holdfast({ ...orders, env }, 'stream', 'migration', stream, '--partitions', String(PARTS))
  }
})
