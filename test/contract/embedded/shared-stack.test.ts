import pg from 'pg'
import { expect, it } from 'vitest'
import { askForMetadata } from '#tools/demo/servers/kafka-probe.ts'
import { freshDatabase, freshTopics, kafkaBrokers } from '../../support/stack.ts'

it('gives every test file a Kafka that answers', async () => {
  const port = Number(kafkaBrokers().split(':')[1])
  // A broker that is busy with others may be late once.
  await expect.poll(() => askForMetadata(port)).toBeUndefined()
})

it('gives each caller an empty database of its own, in UTF-8 and ordered by bytes', async () => {
  const urls = await Promise.all([freshDatabase(), freshDatabase()])
  const found = await Promise.all(urls.map(describeDatabase))
  expect(found[0]?.name).not.toBe(found[1]?.name)
  expect(found[0]).toMatchObject({ tables: 0, encoding: 'UTF8', collation: 'C', fsync: 'on' })
})

it('never gives a topic name twice', () => {
  const names = Array.from({ length: 100 }, () => freshTopics().topic)
  expect(new Set(names).size).toBe(100)
})

async function describeDatabase(url: string): Promise<Record<string, unknown> | undefined> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<Record<string, unknown>>(`
    SELECT datname AS name, pg_encoding_to_char(encoding) AS encoding, datcollate AS collation,
           current_setting('fsync') AS fsync,
           (SELECT count(*)::int FROM information_schema.tables WHERE table_schema = 'public') AS tables
    FROM pg_database WHERE datname = current_database()`)
  await client.end()
  return rows[0]
}
