import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { purgeAudit, purgeRedrives } from '#src/inbox/postgres/operator-purge.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'

const DAY_MS = 86_400_000
const KEPT = [365 * DAY_MS, 10_000] as const

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(() =>
  database.pool.query(
    'TRUNCATE holdfast.audit_log, holdfast.dead_letters, holdfast.replays, holdfast.replay_items, holdfast.replay_items_purged RESTART IDENTITY',
  ),
)

const query = async (text: string) => (await database.pool.query(text)).rows
const left = async (column: string, table: string) =>
  (await query(`SELECT ${column} AS it FROM ${table} ORDER BY 1`)).map(({ it }) => it)

/** So many entries of a stream, each a day older than the one before it; the first is as old as that. */
async function entries(count: number, days: number, what = 'resume', stream = 'orders'): Promise<void> {
  await query(`INSERT INTO holdfast.audit_log (stream, who, what, filter, because, counts, at)
    SELECT '${stream}', 'ada', '${what}', '', '', '{}', now() - make_interval(days => ${days} + n) FROM generate_series(1, ${count}) AS n`)
}

it('the audit log forgets what is older than it is kept, of this stream alone, in slices', async () => {
  await entries(3, 300)
  await entries(2_500, 365)
  await entries(1, 400, 'resume', 'returns')
  expect(await purgeAudit(database.pool, 'orders', KEPT[0], 1_700)).toBe(1_700)
  expect(await purgeAudit(database.pool, 'orders', ...KEPT)).toBe(800)
  expect(await purgeAudit(database.pool, 'orders', ...KEPT)).toBe(0)
  expect(await left('stream', 'holdfast.audit_log')).toEqual(['orders', 'orders', 'orders', 'returns'])
})

it('a discard that can be undone keeps its entry, however old it is', async () => {
  await entries(3, 400, 'discard')
  await insertLetters(database.pool, [{ state: 'discarded' }, {}])
  await query(`UPDATE holdfast.dead_letters SET discard_action = 1 WHERE state = 'discarded'`)
  expect(await purgeAudit(database.pool, 'orders', ...KEPT)).toBe(2)
  expect(await left('what', 'holdfast.audit_log')).toEqual(['discard'])
  await query(`UPDATE holdfast.dead_letters SET state = 'open', discard_action = NULL`)
  expect(await purgeAudit(database.pool, 'orders', ...KEPT)).toBe(1)
})

it('a redrive leaves once it is over and its letters are gone; under way, paused or published to a topic it stays', async () => {
  const redrives = ['done', 'cancelled', 'failed', 'running', 'paused', 'with-letters', 'published', 'of-late']
  for (const id of redrives) {
    const state = ['done', 'cancelled', 'failed', 'running', 'paused'].includes(id) ? id : 'done'
    const finished = ['running', 'paused'].includes(id) ? null : id === 'of-late' ? '1 day' : '400 days'
    await query(
      `INSERT INTO holdfast.replays (id, state, filter, requested_by, because, automatic, only_passing, edited, total, topic, created_at, finished_at)
      VALUES ('${id}', '${state}', '', 'ada', '', false, false, false, 1, '${id === 'published' ? 'orders' : ''}',
        now() - interval '401 days', now() - interval '${finished}')`.replace("interval 'null'", 'NULL::interval'),
    )
  }
  await query(
    `INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id, state) VALUES ('with-letters', 1, 'orders-0-1', 'parked')`,
  )
  await query(`INSERT INTO holdfast.replay_items_purged VALUES ('done', 'resolved', 1), ('of-late', 'resolved', 1)`)
  expect(await purgeRedrives(database.pool, 'returns', ...KEPT)).toBe(0)
  expect(await purgeRedrives(database.pool, 'orders', ...KEPT)).toBe(3)
  expect(await left('id', 'holdfast.replays')).toEqual(['of-late', 'paused', 'published', 'running', 'with-letters'])
  expect(await left('replay_id', 'holdfast.replay_items_purged')).toEqual(['of-late'])
})
