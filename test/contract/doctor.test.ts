import { createServer } from 'node:net'
import pg from 'pg'
import { expect, it } from 'vitest'
import { examine, type Finding } from '#src/cli/doctor-checks.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { freshTopics } from '../support/stack.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

it('finds nothing amiss where everything is there', async () => {
  const found = await examined(await aStream())
  expect(found.filter(({ ok }) => !ok)).toEqual([])
  expect(found.map(({ name }) => name)).toEqual([
    ...['node', 'native client', 'settings', 'port', 'kafka'],
    expect.stringMatching(/^group /),
    ...[expect.stringMatching(/^topic orders-/), expect.stringMatching(/^topic orders-.*\.dlq$/)],
    ...['postgres', 'pooler', 'migrations', 'table rights', 'tables of orders', 'jobs'],
  ])
})

it('names the fix for what is amiss, and goes on', async () => {
  // Given a port that something else holds, a database that lacks its last migration, and topics that nobody may create
  const stream = await aStream()
  const [undone] = await migrate(stream.databaseUrl, 'down')
  const other = createServer()
  await new Promise<void>(resolve => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }

  const { topic } = freshTopics('not-there')
  const found = await examined(stream, {
    HTTP_PORT: String(port),
    KAFKA_TOPIC: topic,
    KAFKA_CREATE_TOPICS: 'false',
  }).finally(() => other.close())

  expect(found.filter(({ ok }) => !ok)).toEqual([
    {
      name: 'port',
      ok: false,
      detail: expect.stringContaining('EADDRINUSE'),
      fix: expect.stringContaining('HTTP_PORT'),
    },
    { name: `topic ${topic}`, ok: false, detail: expect.stringContaining('not there'), fix: expect.any(String) },
    { name: 'migrations', ok: false, detail: `missing: ${undone}`, fix: 'run: holdfast migrate up' },
  ])
})

it('tells of a user who may not write the tables', async () => {
  const stream = await aStream()
  const role = `reader_${Math.random().toString(36).slice(2)}`
  await stream.query(`CREATE ROLE ${role} LOGIN PASSWORD 'secret'`)
  await stream.query(`GRANT USAGE ON SCHEMA holdfast TO ${role}`)
  await stream.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public, holdfast TO ${role}`)
  await stream.query(`GRANT INSERT, UPDATE, DELETE ON orders TO ${role}`)
  const url = new URL(stream.databaseUrl)
  url.username = role
  url.password = 'secret'

  const found = await examined({ ...stream, databaseUrl: url.href })

  const [rights, jobs] = found.filter(({ ok }) => !ok)
  expect(rights).toMatchObject({ name: 'table rights', fix: expect.stringContaining('GRANT') })
  expect(rights?.detail).toContain('stream_ledger')
  expect(rights?.detail).not.toMatch(/\borders\b/)
  expect(jobs).toMatchObject({ name: 'jobs', fix: expect.stringContaining('GRANT CREATE') })
  await cleanUp(stream.databaseUrl, role)
})

it('tells each setting that cannot be used, and looks no further', async () => {
  const found = await examined(await aStream(), { PG_POOL_MAX: 'many', BATCH_LINGER_MS: '-1' })
  expect(found.filter(({ ok }) => !ok).map(({ detail }) => detail)).toEqual([
    expect.stringContaining('PG_POOL_MAX'),
    expect.stringContaining('BATCH_LINGER_MS'),
  ])
  expect(found.at(-1)?.name).toBe('settings')
})

function examined(stream: Stream, env: Readonly<Record<string, string>> = {}): Promise<Finding[]> {
  return Array.fromAsync(
    examine({
      KAFKA_BROKERS: stream.brokers,
      KAFKA_TOPIC: stream.topic,
      KAFKA_DLQ_TOPIC: stream.dlqTopic,
      KAFKA_GROUP_ID: stream.groupId,
      DATABASE_URL: stream.databaseUrl,
      HTTP_PORT: '0',
      ...env,
    }),
  )
}

/** Roles belong to the server, which other tests share. */
async function cleanUp(url: string, role: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(`DROP OWNED BY ${role}; DROP ROLE ${role}`)
  await client.end()
}
