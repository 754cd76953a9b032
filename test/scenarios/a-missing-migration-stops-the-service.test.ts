import pg from 'pg'
import { expect, it } from 'vitest'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { newestMigration } from '#src/engine/postgres/migration-status.ts'
import { VERSION } from '#src/version.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { aRole } from '../support/roles.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

it('does not start on a database without tables: names what is missing, and leaves the topic alone', async () => {
  // Given records, and a database that nobody has migrated
  const stream = await aStream({ migrated: false })
  const records = generated(20, { seed: 17 })
  await stream.produce(records)

  // When the service starts, then it ends by itself and says what to do
  const service = await startService(stream)
  expect(await exitCodeOf(service)).toBe(1)
  expect(lastWords(service)).toContain('0001_order_tables')
  expect(lastWords(service)).toContain('holdfast migrate up')

  // And it has touched nothing
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(await stream.committed()).toBe(0)
  const tables = await stream.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
  expect(tables).toEqual([])

  // And after the migration the same records are written
  await migrate(stream.databaseUrl, 'up')
  await startService(stream)
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  expect(await differences(stream, modelOf(records))).toEqual([])
})

it('waits for migrations that are being applied: alive, not ready, and says for what', async () => {
  // Given a database on which somebody is at it, and has to wait for a transaction of somebody else's
  const stream = await aStream({ migrated: false })
  const other = new pg.Client({ connectionString: stream.databaseUrl })
  await other.connect()
  await other.query('BEGIN; CREATE TABLE orders ()')
  const migrating = migrate(stream.databaseUrl, 'up')
  const waits = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  await eventually(async () => (await stream.query(waits)).length > 0, 'their waiting for it')

  // When the service starts meanwhile
  const service = await startService(stream)

  // Then it is alive, and waits for that
  const { body } = await eventually(async () => {
    const answer = await ask(service, '/readyz?verbose')
    return answer.body.includes('migrations') && answer
  }, 'its waiting for the migrations')
  expect(JSON.parse(body)).toMatchObject({
    status: 'failing',
    checks: expect.arrayContaining([
      {
        name: 'start',
        ok: false,
        reason: 'waiting for Postgres: migrations are being applied',
        since: expect.any(String),
      },
    ]),
  })
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })

  // And goes on by itself once they are there
  await other.query('ROLLBACK')
  await other.end()
  await migrating
  await eventually(() => isReady(service), 'its being ready')
})

it('starts on tables of a newer version, notes that it runs, and does not start once they are none of its own', async () => {
  // Given a newer version that has added something
  const stream = await aStream()
  const newer = (name: string) =>
    stream.query('INSERT INTO holdfast.pgmigrations (name, run_on) VALUES ($1, now())', [name])
  await newer('9000_adds_something')
  const service = await startService({ ...stream, roles: ['consumer', 'api'] })
  await eventually(() => isReady(service), 'its being ready')

  // Then migrations know whom they would break, until it has ended
  const running = () => stream.query('SELECT version, migration, roles, pid FROM holdfast.processes')
  expect(await running()).toEqual([
    { version: VERSION, migration: await newestMigration(), roles: ['consumer', 'api'], pid: service.pid },
  ])
  expect(await service.stop()).toBe(0)
  expect(await running()).toEqual([])

  // When the newer version then takes away what this one works with, it ends by itself, and says what to do
  await newer('9001_takes_something')
  await stream.query(
    `INSERT INTO holdfast.breaking_migrations (name, before) VALUES ('9001_takes_something', '99.0.0')`,
  )
  await stream.produce(generated(20, { seed: 20 }))
  const late = await startService(stream)
  expect(await exitCodeOf(late)).toBe(1)
  expect(lastWords(late)).toContain(
    '9001_takes_something of a newer version: versions before 99.0.0 cannot work with it',
  )
  expect(await stream.committed()).toBe(0)
})

it('stops when a column goes missing under it: no record is blamed, nothing is committed past it', async () => {
  // Given a service at work
  const stream = await aStream()
  const service = await startService(stream)
  const records = generated(60, { seed: 18 })
  await stream.produce(records.slice(0, 20))
  await eventually(async () => (await stream.committed()) === 20, 'the first ones being committed')

  // When a column is taken away (renamed, so that it can be given back whole), and more records come
  await stream.query('ALTER TABLE payments RENAME COLUMN custom_fee TO elsewhere')
  await stream.produce(records.slice(20))

  // Then it ends by itself, and says why
  expect(await exitCodeOf(service)).toBe(1)
  expect(lastWords(service)).toContain('42703')
  expect(lastWords(service)).toContain('custom_fee')

  // And no record paid for it
  await nobodyPaid(stream, 20)

  // And with the column back, it goes on where it was
  await stream.query('ALTER TABLE payments RENAME COLUMN elsewhere TO custom_fee')
  await startService(stream)
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.findings()).toEqual([])
})

it('stops when a right is taken from it: no record is blamed, nothing is committed past it', async () => {
  // Given a service at work, as a user who has no more rights than it needs
  const stream = await aStream()
  const role = await aRole(stream)
  const service = await startService({ ...stream, databaseUrl: role.url })
  const records = generated(60, { seed: 19 })
  await stream.produce(records.slice(0, 20))
  await eventually(async () => (await stream.committed()) === 20, 'the first ones being committed')

  // When one of them is taken away, and more records come
  await stream.query(`REVOKE INSERT ON payments FROM ${role.name}`)
  await stream.produce(records.slice(20))

  // Then it ends by itself, and says why
  expect(await exitCodeOf(service)).toBe(1)
  expect(lastWords(service)).toContain('42501')
  expect(lastWords(service)).toContain('payments')

  // And no record paid for it
  await nobodyPaid(stream, 20)

  // And with the right back, it goes on where it was
  await stream.query(`GRANT INSERT ON payments TO ${role.name}`)
  await startService({ ...stream, databaseUrl: role.url })
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.findings()).toEqual([])
})

async function nobodyPaid(stream: Stream, committed: number): Promise<void> {
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(await stream.committed()).toBe(committed)
  expect(await stream.settled()).toBe(committed)
  expect(await stream.query('SELECT 1 FROM holdfast.dead_letters')).toEqual([])
  // An end that the service has chosen is no crash: the next start takes whole batches
  expect(await stream.query('SELECT partition, starts FROM holdfast.stream_progress WHERE starts > 0')).toEqual([])
}

/** Of a service that ends by itself; one that goes on fails the test, and does not hang it. */
async function exitCodeOf(service: Service): Promise<number> {
  let exitCode: number | undefined
  void service.exited.then(code => {
    exitCode = code
  })
  return await eventually(() => exitCode, 'the service ending by itself')
}

/** What an operator reads last, at the end of the log. */
function lastWords({ log }: Service): string {
  return JSON.stringify(log.filter(({ level }) => level === 'fatal'))
}
