import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '#src/engine/errors.ts'
import { noteConsumerStart } from '#src/engine/postgres/consumer-starts.ts'
import { type DeadLetterFilter, parseFilter } from '#src/inbox/filter.ts'
import type { DeadLetterPlace, DeadLetterStore } from '#src/inbox/ports.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters, type LetterFields } from '../support/letters.ts'

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
  await database.pool.query('TRUNCATE dead_letters, dead_letter_events, audit_log')
})

const someone = { who: 'ada', because: 'producer 1.4 was rolled back' }

function filter(text: string): DeadLetterFilter {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.filter
}

function insert(...letters: Partial<LetterFields>[]): Promise<LetterFields[]> {
  return insertLetters(database.pool, letters)
}

async function statesOf(): Promise<Record<string, string>> {
  const { rows } = await database.pool.query('SELECT id, state FROM dead_letters')
  return Object.fromEntries(rows.map(({ id, state }) => [id, state]))
}

describe('groups', () => {
  it('put together what failed in the same way, the largest first, with the latest as a sample', async () => {
    await insert(
      { reason: 'malformed_json', error: 'not_json', pointer: '', message: 'the value is not JSON' },
      { key: 'a', message: 'first' },
      { key: 'b', message: 'second', state: 'resolved' },
      { key: 'c', message: 'third', first_failed_at: '2024-01-01T00:00:00Z' },
      { pointer: '/payment/currency' },
    )
    const groups = await store.groups(filter(''))
    expect(groups).toHaveLength(3)
    expect(groups[0]).toEqual({
      reason: 'schema_violation',
      error: 'required',
      pointer: '/payment/amount',
      count: 3,
      states: { open: 2, resolved: 1 },
      first_seen: '2024-01-01T00:00:00.000Z',
      last_seen: new Date(1_750_000_003_000).toISOString(),
      sample: { id: 'orders-0-3', key: 'c', message: 'third' },
    })
    expect(groups.map(({ count }) => count)).toEqual([3, 1, 1])
  })

  it('hold only what the filter takes, the sample included', async () => {
    await insert({ key: 'a' }, { key: 'b', state: 'discarded' })
    expect(await store.groups(filter('-state:discarded'))).toMatchObject([
      { count: 1, states: { open: 1 }, sample: { key: 'a' } },
    ])
    expect(await store.groups(filter('uid:nobody'))).toEqual([])
  })
})

describe('arrivals', () => {
  it('count first failures of the last day, by cause and hour', async () => {
    const hoursAgo = (hours: number) => new Date(Date.now() - hours * 3_600_000).toISOString()
    await insert(
      { first_failed_at: hoursAgo(2) },
      { first_failed_at: hoursAgo(2), failed_at: hoursAgo(0) },
      { first_failed_at: hoursAgo(0), state: 'resolved' },
      { first_failed_at: hoursAgo(30), failed_at: hoursAgo(0) },
      { first_failed_at: hoursAgo(5), reason: 'malformed_json', error: 'not_json', pointer: '' },
    )
    const { since, step_seconds, groups } = await store.arrivals(filter(''))
    expect(step_seconds).toBe(3_600)
    expect(Date.now() - Date.parse(since)).toBeLessThan(24 * 3_600_000)
    const countsOf = (error: string) => groups.find(group => group.error === error)?.counts
    expect(countsOf('required')).toHaveLength(24)
    // The hour may have turned since the rows were made.
    expect(
      countsOf('required')
        ?.slice(-4)
        .filter(count => count > 0),
    ).toEqual([2, 1])
    expect(countsOf('not_json')?.reduce((sum, count) => sum + count, 0)).toBe(1)
    expect((await store.arrivals(filter('state:open'))).groups).toHaveLength(2)
    expect((await store.arrivals(filter('uid:nobody'))).groups).toEqual([])
  })
})

describe('starts of consumers', () => {
  it('stand beside the arrivals, each process once; another version than before is a deploy', async () => {
    await database.pool.query('TRUNCATE consumer_starts')
    const { pool } = database
    const HOUR_MS = 3_600_000
    const note = (version: string, hoursAgo: number, id: string = crypto.randomUUID()) =>
      noteConsumerStart(pool, { id, version, agoMs: hoursAgo * HOUR_MS })
    await note('1.0.0', 24 * 31)
    await note('1.0.0', 30)
    await note('1.0.0', 10)
    const twice = crypto.randomUUID()
    await note('1.1.0', 5, twice)
    await note('1.1.0', 5, twice)
    await note('1.1.0', 2)
    await note('1.1.0', 2)
    const { starts, since } = await store.arrivals(filter('uid:nobody'))
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
    expect((await pool.query('SELECT FROM consumer_starts')).rowCount).toBe(6)
  })
})

describe('pages', () => {
  it('go through all that the filter takes, latest failure first, each once, also within one instant', async () => {
    const at = '2025-06-15T12:00:00.123456Z'
    await insert(
      ...Array.from({ length: 7 }, () => ({ failed_at: at })),
      ...Array.from({ length: 4 }, (_, index) => ({ source_partition: 1, source_offset: index })),
      { source_partition: 2, state: 'resolved' },
    )
    const seen: string[] = []
    let after: DeadLetterPlace | undefined
    let pages = 0
    do {
      const page = await store.page({ filter: filter('state:open'), limit: 3, after })
      seen.push(...page.rows.map(({ id }) => id))
      after = page.next
      pages += 1
    } while (after !== undefined)
    const { rows } = await database.pool.query(
      `SELECT id FROM dead_letters WHERE state = 'open' ORDER BY failed_at DESC, id DESC`,
    )
    expect(seen).toEqual(rows.map(({ id }) => id))
    expect([seen.length, pages]).toEqual([11, 4])
  })

  it.each([
    ['failed_at', 'failed_at, id'],
    ['source', 'source_topic, source_partition, source_offset, id'],
    ['-source', 'source_topic DESC, source_partition DESC, source_offset DESC, id DESC'],
  ] as const)('go through all of them in the order that is asked for: %s', async (sort, order) => {
    const at = '2025-06-15T12:00:00.123456Z'
    await insert(
      ...[10, 9, 100, 11].map(source_offset => ({ source_offset, failed_at: at })),
      ...[10, 9].map(source_offset => ({ source_partition: 10, source_offset })),
      ...[7, 8].map(source_offset => ({ source_partition: 9, source_offset })),
      // Another program's letter may tell of the same record.
      { id: 'theirs', source_offset: 10, failed_at: at },
      { source_topic: 'orders.old', source_offset: 3, failed_at: at },
      { source_topic: 'Orders', source_offset: 4 },
    )
    const seen: string[] = []
    let after: DeadLetterPlace | undefined
    do {
      const page = await store.page({ filter: filter('state:open'), limit: 2, sort, after })
      seen.push(...page.rows.map(({ id }) => id))
      after = page.next
    } while (after !== undefined)
    const { rows } = await database.pool.query(`SELECT id FROM dead_letters ORDER BY ${order}`)
    expect(seen).toEqual(rows.map(({ id }) => id))
    expect(seen).toHaveLength(11)
  })

  it('have no next one when the last is full', async () => {
    await insert({}, {})
    expect((await store.page({ filter: filter(''), limit: 2, after: undefined })).next).toBeUndefined()
  })

  it('tell each letter in the words of its columns', async () => {
    await insert({ key: 'b563', source_timestamp: Number.MAX_SAFE_INTEGER, source_offset: 41, dlq_offset: 7 })
    const { rows } = await store.page({ filter: filter(''), limit: 10, after: undefined })
    expect(rows).toEqual([
      {
        id: 'orders-0-41',
        reason: 'schema_violation',
        error: 'required',
        pointer: '/payment/amount',
        message: 'is missing',
        key: 'b563',
        group_id: 'holdfast',
        source_topic: 'orders',
        source_partition: 0,
        source_offset: '41',
        source_timestamp: '9999-12-31T23:59:59.999Z',
        first_failed_at: '2025-06-15T15:06:40.000Z',
        failed_at: '2025-06-15T15:06:40.000Z',
        attempts: 1,
        replay_count: 0,
        state: 'open',
        state_changed_at: '2025-06-15T15:06:40.000Z',
        bytes: 100,
        written_by: 'holdfast',
        dlq_partition: 0,
        dlq_offset: '7',
        replay_id: null,
      },
    ])
  })
})

describe('one letter', () => {
  it('is looked up with its violations', async () => {
    const violations = [{ pointer: '/payment/amount', keyword: 'required', message: 'is missing' }]
    await insert({ violations })
    expect(await store.get('orders-0-0')).toMatchObject({ id: 'orders-0-0', violations })
    expect(await store.get('orders-0-1')).toBeUndefined()
  })

  it('has a history that begins with its first failure, whatever it failed for since', async () => {
    await insert({ reason: 'store_rejected', error: '23514', pointer: '' })
    expect(await store.history('orders-0-0')).toEqual([
      {
        at: '2025-06-15T15:06:40.000Z',
        what: 'failed',
        who: null,
        detail: { reason: 'store_rejected', error: '23514', pointer: '' },
      },
    ])
    const was = { was_reason: 'schema_violation', was_error: 'required', was_pointer: '/items' }
    await database.pool.query(
      `INSERT INTO dead_letter_events (dead_letter_id, what, detail) VALUES ('orders-0-0', 'failed_again', $1)`,
      [{ reason: 'store_rejected', ...was }],
    )
    await store.noteRevealed('id:orders-0-0', ['orders-0-0'], someone)
    expect(await store.history('orders-0-0')).toMatchObject([
      { what: 'failed', detail: { reason: 'schema_violation', error: 'required', pointer: '/items' } },
      { what: 'failed_again', who: null },
      { what: 'revealed', who: 'ada' },
    ])
    expect(await store.history('orders-0-1')).toEqual([])
  })
})

describe('discarding', () => {
  it('takes open and parked ones, says so in the audit log and in their history, and can be undone', async () => {
    await insert({}, { state: 'parked' }, { state: 'replaying' }, { state: 'resolved' }, { error: 'type' })
    const { discarded, action } = await store.discard(filter('error:required'), someone)
    expect(discarded).toBe(2)
    expect(Object.values(await statesOf())).toEqual(
      expect.arrayContaining(['discarded', 'discarded', 'replaying', 'resolved', 'open']),
    )
    expect(await store.audit({ limit: 10, before: undefined })).toEqual([
      {
        id: action,
        at: expect.stringMatching(/^20.*Z$/),
        stream: 'orders',
        who: 'ada',
        what: 'discard',
        filter: 'error:required',
        because: 'producer 1.4 was rolled back',
        counts: { discarded: 2 },
      },
    ])
    expect((await store.history('orders-0-1')).at(-1)).toMatchObject({
      what: 'discarded',
      who: 'ada',
      detail: { because: 'producer 1.4 was rolled back', action },
    })

    expect(await store.restore(action, someone)).toEqual({ restored: 2 })
    // As they were: a parked one does not get past the loop guard in this way
    expect(await statesOf()).toMatchObject({ 'orders-0-0': 'open', 'orders-0-1': 'parked', 'orders-0-3': 'resolved' })
    expect((await store.history('orders-0-0')).map(({ what }) => what)).toEqual(['failed', 'discarded', 'restored'])
    expect(await store.restore(action, someone)).toEqual({ restored: 0 })
  })

  it('takes any number of them in transactions that are short, as one action', async () => {
    await insert(...Array.from({ length: 7_000 }, (_, i) => (i % 7 === 0 ? { error: 'type' } : {})))
    const { discarded, action } = await store.discard(filter('error:required'), someone)
    expect(discarded).toBe(6_000)
    const sizes = await database.pool.query(
      "SELECT count(*)::int AS n FROM dead_letters WHERE state = 'discarded' GROUP BY xmin::text ORDER BY n",
    )
    expect(sizes.rows, 'of each transaction').toEqual([{ n: 1_000 }, { n: 5_000 }])
    expect(await store.audit({ limit: 10, before: undefined })).toMatchObject([
      { id: action, counts: { discarded: 6_000 } },
    ])
    expect(await store.restore(action, someone)).toEqual({ restored: 6_000 })
    expect(new Set(Object.values(await statesOf()))).toEqual(new Set(['open']))
  })

  it('is undone only for what it discarded itself', async () => {
    await insert({}, { error: 'type' })
    const first = await store.discard(filter('error:required'), someone)
    await store.discard(filter('error:type'), someone)
    await store.restore(first.action, someone)
    expect(await statesOf()).toEqual({ 'orders-0-0': 'open', 'orders-0-1': 'discarded' })
  })

  it('is not undone by a number that is none of its own', async () => {
    await expect(store.restore('x', someone)).rejects.toThrow(UsageError)
    await expect(store.restore('99999', someone)).rejects.toThrow(/no discard/)
    await insert({})
    const { action } = await store.discard(filter(''), someone)
    await store.restore(action, someone)
    const [restore] = await store.audit({ limit: 1, before: undefined })
    await expect(store.restore(restore?.id ?? '', someone)).rejects.toThrow(/no discard/)
  })

  it('leaves no trace when it fails', async () => {
    await insert({})
    await database.pool.query(`ALTER TABLE dead_letter_events ADD CONSTRAINT test_only CHECK (what <> 'discarded')`)
    await expect(store.discard(filter(''), someone)).rejects.toThrow()
    await database.pool.query('ALTER TABLE dead_letter_events DROP CONSTRAINT test_only')
    expect(await statesOf()).toEqual({ 'orders-0-0': 'open' })
    expect(await store.audit({ limit: 10, before: undefined })).toEqual([])
  })
})

describe('the audit log', () => {
  it('says who looked at which payloads', async () => {
    await insert({}, {})
    await store.noteRevealed('error:required', ['orders-0-0', 'orders-0-1'], someone)
    expect(await store.audit({ limit: 10, before: undefined })).toMatchObject([
      { who: 'ada', what: 'reveal', filter: 'error:required', counts: { revealed: 2 } },
    ])
  })

  it('is paged, latest first', async () => {
    for (let n = 0; n < 5; n++) await store.discard(filter(`uid:${n}`), someone)
    const first = await store.audit({ limit: 3, before: undefined })
    const rest = await store.audit({ limit: 3, before: first.at(-1)?.id })
    expect([...first, ...rest].map(entry => entry.filter)).toEqual(['key:4', 'key:3', 'key:2', 'key:1', 'key:0'])
    await expect(store.audit({ limit: 3, before: 'x' })).rejects.toThrow(UsageError)
  })
})
