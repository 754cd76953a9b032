import { afterAll, beforeAll, expect, it } from 'vitest'
import { createPool, poolStatus, query, withClient } from '#src/engine/postgres/pool.ts'
import { readFigures } from '#src/inbox/postgres/figures.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

it('nothing is counted in an empty database', async () => {
  expect(await readFigures(database.pool, 'orders')).toEqual({
    deadLetters: { open: new Map(), parked: 0, oldestFailedAtMs: undefined, attention: new Map() },
    redrive: { inProgress: false, pending: 0 },
  })
})

it('dead letters are counted by what is still to be decided, and the oldest of them is known', async () => {
  await deadLetter(1, 'schema_violation', 'open', '2024-01-01T10:00:00.5Z')
  await deadLetter(2, 'schema_violation', 'open', '2024-01-01T11:00:00Z')
  await deadLetter(3, 'too_large', 'open', '2024-01-01T12:00:00Z')
  await deadLetter(4, 'too_large', 'parked', '2024-01-01T09:00:00Z')
  await deadLetter(5, 'too_large', 'resolved', '2024-01-01T08:00:00Z')
  await deadLetter(6, 'empty_value', 'discarded', '2024-01-01T07:00:00Z')
  await deadLetter(7, 'empty_value', 'replaying', '2024-01-01T06:00:00Z')
  expect((await readFigures(database.pool, 'orders')).deadLetters).toEqual({
    open: new Map([
      ['schema_violation', 2],
      ['too_large', 1],
    ]),
    parked: 1,
    oldestFailedAtMs: Date.parse('2024-01-01T10:00:00.5Z'),
    // No process has looked at them yet.
    attention: new Map([['new', 2]]),
  })
})

it('the redrive under way is known, and how much of it is left', async () => {
  await redrive('done', 'done', ['published', 'pending'])
  expect((await readFigures(database.pool, 'orders')).redrive).toEqual({ inProgress: false, pending: 0 })
  await redrive('now', 'running', ['resolved', 'published', 'claimed', 'pending', 'pending'])
  expect((await readFigures(database.pool, 'orders')).redrive).toEqual({ inProgress: true, pending: 3 })
})

it('a pool tells how many of its connections are lent, and how long each caller waited for one', async () => {
  const waited: number[] = []
  const settings = { url: database.url, schema: 'holdfast', max: 1, statementTimeoutMs: 10_000, name: 'test' }
  const pool = createPool({ ...settings, onLent: seconds => waited.push(seconds) })
  try {
    expect(poolStatus('read', pool)).toEqual({ name: 'read', max: 1, used: 0, idle: 0, waiting: 0 })
    let second: Promise<unknown> | undefined
    await withClient(pool, async client => {
      second = query(pool, { text: 'SELECT 1' })
      expect(poolStatus('read', pool)).toEqual({ name: 'read', max: 1, used: 1, idle: 0, waiting: 1 })
      await client.query('SELECT pg_sleep(0.2)')
    })
    await second
    // As a library would ask that is lent the pool.
    await pool.query('SELECT 1')
    expect(poolStatus('read', pool)).toEqual({ name: 'read', max: 1, used: 0, idle: 1, waiting: 0 })
    expect(waited).toHaveLength(3)
    expect(waited[1]).toBeGreaterThan(0.19)
  } finally {
    await pool.end()
  }
})

it('a wait in vain counts as well', async () => {
  const waited: number[] = []
  const url = 'postgres://127.0.0.1:1/nowhere'
  const pool = createPool({
    url,
    schema: 'holdfast',
    max: 1,
    statementTimeoutMs: 1_000,
    name: 'test',
    onLent: s => waited.push(s),
  })
  await expect(query(pool, { text: 'SELECT 1' })).rejects.toThrow()
  expect(waited).toHaveLength(1)
})

async function deadLetter(offset: number, reason: string, state: string, failedAt: string): Promise<void> {
  await query(database.pool, {
    text: `INSERT INTO holdfast.dead_letters (id, reason, error, pointer, message, violations, group_id, source_topic, source_partition,
        source_offset, source_timestamp, first_failed_at, failed_at, failures, attempts, replay_count, state, bytes)
      VALUES ($1, $2, '', '', '', '[]', 'holdfast', 'orders', 0, $3, 0, '2020-01-01Z', $4, 1, 1, 0, $5, 1)`,
    values: [`orders-0-${offset}`, reason, offset, failedAt, state],
  })
}

async function redrive(id: string, state: string, items: readonly string[]): Promise<void> {
  await query(database.pool, {
    text: `INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total)
      VALUES ($1, $2, '', 'somebody', '', false, false, false, $3)`,
    values: [id, state, items.length],
  })
  await query(database.pool, {
    text: `INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state)
      SELECT $1, position, 'letter-' || position, state FROM unnest($2::text[]) WITH ORDINALITY AS item (state, position)`,
    values: [id, items],
  })
}
