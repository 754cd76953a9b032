import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { noteConsumerStart } from '#src/engine/postgres/consumer-starts.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import type { DeadLetterPlace, DeadLetterStore } from '#src/inbox/ports.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { plainFilter } from '../support/filter-model.ts'
import { insertLetters, type LetterFields } from '../support/letters.ts'
import { deadLetterStoreSuite } from './dead-letter-store.suite.ts'

let database: MigratedDatabase
let store: DeadLetterStore
beforeAll(async () => {
  database = await migratedDatabase()
  store = createDeadLetterStore(database.pool, 'orders')
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})
beforeEach(async () => {
  await database.pool.query('TRUNCATE holdfast.dead_letters, holdfast.dead_letter_events, holdfast.audit_log')
})

const someone = { who: 'ada', because: 'producer 1.4 was rolled back' }

function insert(...letters: Partial<LetterFields>[]): Promise<LetterFields[]> {
  return insertLetters(database.pool, letters)
}

async function statesOf(): Promise<Record<string, string>> {
  const { rows } = await database.pool.query('SELECT id, state FROM holdfast.dead_letters')
  return Object.fromEntries(rows.map(({ id, state }) => [id, state]))
}

describe('dead letters in Postgres', () => {
  deadLetterStoreSuite(async () => ({ store, insert, states: statesOf, nowMs: Date.now }))
})

describe('starts of consumers', () => {
  it('stand beside the arrivals, each process once; another version than before is a deploy', async () => {
    await database.pool.query('TRUNCATE holdfast.consumer_starts')
    const { pool } = database
    const HOUR_MS = 3_600_000
    // All in the middle of an hour of the chart: two of one hour stay together, however long it takes to note them.
    const middleMs = (Math.floor(Date.now() / HOUR_MS) + 0.5) * HOUR_MS
    const note = (version: string, hoursAgo: number, id: string = crypto.randomUUID()) =>
      noteConsumerStart(pool, { id, version, agoMs: Date.now() - middleMs + hoursAgo * HOUR_MS })
    await note('1.0.0', 24 * 31)
    await note('1.0.0', 30)
    await note('1.0.0', 10)
    const twice = crypto.randomUUID()
    await note('1.1.0', 5, twice)
    await note('1.1.0', 5, twice)
    await note('1.1.0', 2)
    await note('1.1.0', 2)
    const { starts, since } = await store.arrivals(plainFilter('uid:nobody'))
    expect(starts).toMatchObject([
      { version: '1.0.0', count: 1, deployed: false },
      { version: '1.1.0', count: 1, deployed: true },
      { version: '1.1.0', count: 2, deployed: false },
    ])
    for (const { step, at } of starts) {
      expect(step).toBe(Math.floor((Date.parse(at) - Date.parse(since)) / HOUR_MS))
    }
    // What no chart shows any more goes.
    await note('1.1.0', 0)
    expect((await pool.query('SELECT FROM holdfast.consumer_starts')).rowCount).toBe(6)
  })
})

it.each(['Asia/Kathmandu', 'America/St_Johns'])(
  'arrivals begin at a whole hour of UTC, whatever the zone of a session: %s',
  async zone => {
    await using other = await migratedDatabase()
    await other.pool.query(
      `ALTER ROLE CURRENT_USER IN DATABASE ${new URL(other.url).pathname.slice(1)} SET timezone = '${zone}'`,
    )
    const pool = createPool({ url: other.url, schema: 'holdfast', max: 1, statementTimeoutMs: 30_000, name: 'zone' })
    onTestFinished(() => pool.end())
    expect((await pool.query('SHOW timezone')).rows).toEqual([{ TimeZone: zone }])
    const { since } = await createDeadLetterStore(pool, 'orders').arrivals(plainFilter(''))
    expect(Date.parse(since) % 3_600_000).toBe(0)
  },
)

describe('pages', () => {
  it.each([
    ['-failed_at', 'failed_at DESC, id DESC'],
    ['failed_at', 'failed_at, id'],
  ] as const)('go on within one millisecond where the page before has ended: %s', async (sort, order) => {
    const at = (index: number) => `2025-06-15T12:00:00.123${(index * 7) % 5}00Z`
    await insert(...Array.from({ length: 7 }, (_, index) => ({ failed_at: at(index) })))
    const seen: string[] = []
    let after: DeadLetterPlace | undefined
    do {
      const page = await store.page({ filter: plainFilter('state:open'), limit: 2, sort, after })
      seen.push(...page.rows.map(({ id }) => id))
      after = page.next
    } while (after !== undefined)
    const { rows } = await database.pool.query(`SELECT id FROM holdfast.dead_letters ORDER BY ${order}`)
    expect(seen).toEqual(rows.map(({ id }) => id))
    expect(seen).toHaveLength(7)
  })

  it('give the latest instant that there is for a timestamp beyond it', async () => {
    await insert({ source_timestamp: Number.MAX_SAFE_INTEGER })
    const { rows } = await store.page({ filter: plainFilter(''), limit: 10, after: undefined })
    expect(rows).toMatchObject([{ source_timestamp: '9999-12-31T23:59:59.999Z' }])
  })
})

describe('one letter', () => {
  it('has a history that begins with its first failure, whatever it failed for since', async () => {
    await insert({ reason: 'store_rejected', error: '23514', pointer: '' })
    const was = { was_reason: 'schema_violation', was_error: 'required', was_pointer: '/items' }
    await database.pool.query(
      `INSERT INTO holdfast.dead_letter_events (dead_letter_id, what, detail) VALUES ('orders-0-0', 'failed_again', $1)`,
      [{ reason: 'store_rejected', ...was }],
    )
    expect(await store.history('orders-0-0')).toMatchObject([
      { what: 'failed', detail: { reason: 'schema_violation', error: 'required', pointer: '/items' } },
      { what: 'failed_again', who: null },
    ])
  })
})

describe('discarding', () => {
  it('takes any number of them in transactions that are short, as one action', async () => {
    await insert(...Array.from({ length: 7_000 }, (_, i) => (i % 7 === 0 ? { error: 'type' } : {})))
    const { discarded, action } = await store.discard(plainFilter('error:required'), someone)
    expect(discarded).toBe(6_000)
    const sizes = await database.pool.query(
      "SELECT count(*)::int AS n FROM holdfast.dead_letters WHERE state = 'discarded' GROUP BY xmin::text ORDER BY n",
    )
    expect(sizes.rows, 'of each transaction').toEqual([{ n: 1_000 }, { n: 5_000 }])
    expect(await store.audit({ limit: 10, before: undefined })).toMatchObject([
      { id: action, counts: { discarded: 6_000 } },
    ])
    expect(await store.restore(action, someone)).toEqual({ restored: 6_000 })
    expect(new Set(Object.values(await statesOf()))).toEqual(new Set(['open']))
  })

  it('leaves no trace when it fails', async () => {
    await insert({})
    await database.pool.query(
      `ALTER TABLE holdfast.dead_letter_events ADD CONSTRAINT test_only CHECK (what <> 'discarded')`,
    )
    await expect(store.discard(plainFilter(''), someone)).rejects.toThrow()
    await database.pool.query('ALTER TABLE holdfast.dead_letter_events DROP CONSTRAINT test_only')
    expect(await statesOf()).toEqual({ 'orders-0-0': 'open' })
    expect(await store.audit({ limit: 10, before: undefined })).toEqual([])
  })
})
