import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import type { CheckResult, DlqPlace } from '#src/inbox/ports.ts'
import { createDeadLetterStore } from '#src/inbox/postgres/dead-letter-store.ts'
import { createRedriveStore } from '#src/inbox/postgres/redrive-work.ts'
import { createRedrives } from '#src/inbox/postgres/redrives.ts'
import { NOTHING_COUNTED, pausedUnsettled } from '#src/inbox/redrive-guard.ts'
import type { Redrives } from '#src/inbox/redrive-ports.ts'
import type { RedriveInHand, RedriveStore } from '#src/inbox/redrive-work.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters, type LetterFields } from '../support/letters.ts'
import { FAILURE } from '../support/memory-redrive-work.ts'
import { redriveTables } from '../support/redrive-tables.ts'
import { redriveWorkSuite } from './redrive-work.suite.ts'
import { asking, redrivesSuite } from './redrives.suite.ts'

/** Redrives as an operator asks for them, and as their worker notes them. */

const BY = { who: 'ada', because: 'the schema is fixed' }
const MARKS = new Map([[0, 7n]])

let database: MigratedDatabase
let redrives: Redrives
let store: RedriveStore
let tables: ReturnType<typeof redriveTables>
/** Ids of letters that would pass now; others would not. `gone`: their bytes are. */
const passing = new Set<string>()
const gone = new Set<string>()

beforeAll(async () => {
  database = await migratedDatabase()
  redrives = createRedrives({ pool: database.pool, stream: 'orders', topic: 'orders', dlqTopic: 'orders.dlq', check })
  store = createRedriveStore(database.pool, { stream: 'orders', topic: 'orders' })
  tables = redriveTables(database.pool)
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE holdfast.dead_letters, holdfast.dead_letter_events, holdfast.replays, holdfast.replay_items, holdfast.audit_log',
  )
  passing.clear()
  gone.clear()
})

async function* check(places: readonly DlqPlace[]): AsyncIterable<CheckResult> {
  for (const { id } of places) yield { id, passes: gone.has(id) ? undefined : passing.has(id), violations: [] }
}

async function taken(id: string): Promise<RedriveInHand> {
  const redrive = await store.take(id)
  if (redrive === undefined) throw new Error(`${id} is not to be had`)
  return redrive
}

describe('redrives in Postgres', () => {
  redrivesSuite(async () => ({
    redrives: redrives,
    insert: (...rows) => letters(rows),
    membersOf: async id => (await tables.items(id)).map(item => item.split(' ')[0] ?? ''),
    audit: createDeadLetterStore(database.pool, 'orders').audit,
    passing,
    gone,
  }))
})

describe('preview and start', () => {
  it('take letters of which no one knows where they came from: they are in the dead-letter topic only', async () => {
    await letters([{ source_topic: 'orders.dlq', written_by: 'unknown' }, { source_topic: 'other' }])
    expect(await redrives.preview(asking(''))).toMatchObject({ count: 1, left_out: { other_topic: 1 } })
  })
})

describe('the check that a redrive begins with', () => {
  const checkOf = async (given: typeof check) => {
    const { pool } = database
    const some = createRedrives({ pool, stream: 'orders', topic: 'orders', dlqTopic: 'orders.dlq', check: given })
    return (await some.preview(asking(''))).check
  }

  it('reads a part of a large set, and says so', async () => {
    await letters(Array.from({ length: 1_200 }, () => ({})))
    expect(await checkOf(check)).toMatchObject({
      ...{ checked: 1_000, failing: 1_000, complete: false },
      message: 'of the first 1,000 checked, 0 would pass now; 1,000 would fail again',
    })
  })

  it('is of those that were counted, whatever arrives meanwhile', async () => {
    await letters([{ failed_at: new Date(Date.now() - 3_600_000).toISOString() }])
    const slow = async function* (places: readonly DlqPlace[]): AsyncIterable<CheckResult> {
      yield* check(places)
      await letters([{ source_offset: 9_999, failed_at: new Date().toISOString() }])
    }
    expect(await checkOf(slow)).toMatchObject({ checked: 1, message: expect.stringContaining('of 1 would pass now') })
  })

  it('keeps nobody waiting while Kafka is away, or says nothing', async () => {
    await letters([{}])
    // biome-ignore lint/correctness/useYield: it fails before it has anything to say
    const away = async function* (): AsyncIterable<CheckResult> {
      throw new BrokerUnavailableError('away')
    }
    const silent = async function* (): AsyncIterable<CheckResult> {
      await new Promise(() => {})
    }
    expect(await checkOf(away)).toBeNull()
    expect(await checkOf(silent)).toBeNull()
  })
})

describe('the work on redrives in Postgres', () => {
  redriveWorkSuite(async count => {
    await letters(Array.from({ length: count }, () => ({})))
    const { id } = await redrives.start(asking('', { to: 'topic', rate: 2.5 }), BY)
    const steps = { pause: redrives.pause, resume: redrives.resume, cancel: redrives.cancel }
    return {
      ...{ id, store },
      state: async () => (await redrives.get(id))?.state,
      items: () => tables.items(id),
      async settle(letter) {
        await database.pool.query(`UPDATE holdfast.dead_letters SET state = 'discarded' WHERE id = $1`, [letter])
      },
      async settleMember(letter, as) {
        await database.pool.query(
          `WITH member AS (UPDATE holdfast.replay_items SET state = $2, outcome = $3 WHERE dead_letter_id = $1)
            UPDATE holdfast.dead_letters SET error = $4, pointer = $5 WHERE id = $1`,
          [letter, as, as === 'resolved' ? 'written' : FAILURE.reason, FAILURE.error, FAILURE.pointer],
        )
      },
      async ask(step) {
        await steps[step](id, BY)
      },
      silence: () => silence(id),
    }
  })
})

describe('the worker', () => {
  it('takes what waits, once, and finds its pages with all that is needed to publish them', async () => {
    await letters([{ source_offset: 4, replay_count: 2, dlq_offset: 17 }, { source_offset: 6 }, { source_offset: 8 }])
    expect(await store.waiting()).toBeUndefined()
    const { id } = await redrives.start(asking('', { rate: 2.5 }), BY)
    expect(await store.waiting()).toBe(id)
    const redrive = await taken(id)
    expect(redrive).toMatchObject({ id, epoch: 1, to: 'store', rate: 2.5 })
    expect(await store.waiting()).toBeUndefined()
    expect(await store.take(id)).toBeUndefined()
    expect(await redrives.get(id)).toMatchObject({ state: 'running' })
    expect(await store.page(redrive, 2)).toEqual({
      state: 'running',
      marks: undefined,
      items: [
        {
          id: 'orders-0-4',
          origin: { topic: 'orders', partition: 0, offset: 4n, timestampMs: 1_700_000_000_000 },
          redriveCount: 2,
          bytes: 100,
          place: { partition: 0, offset: 17n },
          ahead: false,
          edited: undefined,
        },
        expect.objectContaining({ id: 'orders-0-6', redriveCount: 0 }),
      ],
    })
  })

  it('leaves a redrive to another topic to whoever works for that, and lets nobody else go on with it', async () => {
    await letters([{ source_topic: 'returns' }])
    const { pool } = database
    const returns = createRedrives({ pool, stream: 'orders', topic: 'returns', check })
    const { id } = await returns.start(asking('topic:returns', { to: 'topic' }), BY)
    expect(await store.waiting()).toBeUndefined()
    expect(await store.take(id)).toBeUndefined()
    await redrives.pause(id, BY)
    await expect(redrives.resume(id, BY)).rejects.toThrow('it can go on where that is the topic of the stream orders')
    expect(await redrives.get(id)).toMatchObject({ state: 'paused' })
    await returns.resume(id, BY)
    const itsStore = createRedriveStore(pool, { stream: 'orders', topic: 'returns' })
    expect(await itsStore.waiting()).toBe(id)
    expect(await itsStore.take(id)).toMatchObject({ id })
    await silence(id)
    expect([await store.waiting(), await itsStore.waiting()]).toEqual([undefined, id])
  })

  it('takes one into the store whatever its topic is, which versions before this one leave alone', async () => {
    await letters([{ source_topic: 'returns' }])
    const { pool } = database
    const returns = createRedrives({ pool, stream: 'orders', topic: 'returns', check })
    const { id } = await returns.start(asking('topic:returns'), BY)
    await redrives.pause(id, BY)
    expect(await redrives.resume(id, BY)).toMatchObject({ to: 'store', state: 'queued' })
    const { rows } = await pool.query(`SELECT FROM holdfast.replays WHERE coalesce(topic, 'orders') = 'orders'`)
    expect(rows).toEqual([])
    expect(await taken(id)).toMatchObject({ to: 'store' })
  })

  it('knows letters whose place the stream has not settled: a header may say anything', async () => {
    await letters([
      { source_offset: 4 },
      { source_offset: 5 },
      { source_offset: 9 },
      { source_partition: 7 },
      { source_topic: 'orders.dlq' },
    ])
    await database.pool.query(`INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset)
      VALUES ('orders', 0, 'holdfast', 0, 5)`)
    onTestFinished(
      async () => void (await database.pool.query('TRUNCATE holdfast.stream_progress, holdfast.stream_ledger')),
    )
    // It was further once, and an operator has moved it back.
    await database.pool.query(`INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written,
      duplicate, stale, superseded, dead_lettered, gaps, expired, skipped) VALUES ('orders', 0, 'holdfast', 5, 8, 3, 3, 0, 0, 0, 0, 0, 0, 0)`)
    const { items } = await store.page(await taken((await redrives.start(asking(''), BY)).id), 9)
    expect(items.filter(({ ahead }) => ahead).map(({ id }) => id)).toEqual(['orders-0-9', 'orders-7-3'])
  })

  it('takes one that was asked for before its topic was noted', async () => {
    await letters([{}])
    const { id } = await redrives.start(asking(''), BY)
    await database.pool.query('UPDATE holdfast.replays SET topic = NULL')
    await redrives.pause(id, BY)
    await redrives.resume(id, BY)
    expect(await store.waiting()).toBe(id)
    await taken(id)
  })

  it('claims a page; what is not open any more is skipped', async () => {
    const ids = await letters([{}, {}, {}])
    const { id } = await redrives.start(asking(''), BY)
    const redrive = await taken(id)
    await database.pool.query(`UPDATE holdfast.dead_letters SET state = 'discarded' WHERE id = $1`, [ids[1]])
    expect(await store.claim(redrive, ids, MARKS)).toEqual(new Set(['orders-0-0', 'orders-0-2']))
    expect(await tables.letter('orders-0-0')).toEqual({ state: 'replaying', replay_id: id })
    expect(await tables.letter('orders-0-1')).toEqual({ state: 'discarded', replay_id: null })
    expect(await tables.items(id)).toEqual(['orders-0-0 claimed', 'orders-0-1 skipped not_open', 'orders-0-2 claimed'])
    expect(await tables.events()).toEqual(['orders-0-0 replayed ada', 'orders-0-2 replayed ada'])

    // And a successor finds the page as it was begun
    expect(await store.page(redrive, 1)).toMatchObject({
      marks: MARKS,
      items: [{ id: 'orders-0-0' }, { id: 'orders-0-2' }],
    })
    await store.notePublished(redrive, ['orders-0-0'])
    await store.noteSkipped(redrive, ['orders-0-2'], 'bytes_gone')
    expect(await tables.letter('orders-0-2')).toMatchObject({ state: 'open' })
    expect(await store.page(redrive, 1)).toEqual({ items: [], marks: undefined, state: 'running' })
    expect(await redrives.get(id)).toMatchObject({ total: 3, pending: 0, published: 1, skipped: 2 })
    expect((await redrives.get(id))?.skipped_because).toEqual({ not_open: 1, bytes_gone: 1 })
    await store.part(redrive, { to: 'done' })
    expect(await redrives.get(id)).toMatchObject({ state: 'done', finished_at: expect.any(String) })
  })

  it('skips what was settled and purged before its turn as not open any more', async () => {
    const [id = ''] = await letters([{}])
    const redrive = await taken((await redrives.start(asking(''), BY)).id)
    await database.pool.query('DELETE FROM holdfast.dead_letters')
    expect((await store.page(redrive, 1)).items).toMatchObject([{ id, place: undefined }])
    await store.noteSkipped(redrive, [id], 'place_unknown')
    expect((await redrives.get(redrive.id))?.skipped_because).toEqual({ not_open: 1 })
  })

  it('leaves parked letters parked that it does not publish', async () => {
    const ids = await letters([{ state: 'parked' }, { state: 'parked' }, {}])
    const { id } = await redrives.start(asking('state:parked,open'), BY)
    const redrive = await taken(id)
    await store.claim(redrive, ids, MARKS)
    await store.noteSkipped(redrive, ids.slice(0, 1), 'refused_by_topic')
    await store.part(redrive, { to: 'cancelled' })
    expect(await Promise.all(ids.map(async letter => (await tables.letter(letter)).state))).toEqual([
      ...['parked', 'parked', 'open'],
    ])
  })

  it('does not undo what the settlement said before it', async () => {
    const ids = await letters([{}, {}])
    const { id } = await redrives.start(asking(''), BY)
    const redrive = await taken(id)
    await store.claim(redrive, ids, MARKS)
    await database.pool.query(`UPDATE holdfast.replay_items SET state = 'resolved' WHERE dead_letter_id = $1`, [ids[0]])
    await store.notePublished(redrive, ids)
    expect(await tables.items(id)).toEqual(['orders-0-0 resolved', 'orders-0-1 published'])
    expect(await redrives.get(id)).toMatchObject({ published: 2, resolved: 1 })
  })

  it('notes an edit before the redrive in the history', async () => {
    await letters([{}])
    const { id } = await redrives.start(asking('', { edited: Buffer.from('{}') }), BY)
    await store.claim(await taken(id), ['orders-0-0'], MARKS)
    expect(await tables.events()).toEqual(['orders-0-0 edited ada', 'orders-0-0 replayed ada'])
  })

  it('is taken for gone when the clock of the database is set back behind its last beat', async () => {
    await letters([{}])
    const { id } = await redrives.start(asking(''), BY)
    const redrive = await taken(id)
    expect(await store.waiting()).toBeUndefined()
    await database.pool.query(`UPDATE holdfast.replays SET heartbeat_at = now() + interval '1 hour'`)
    expect(await store.waiting()).toBe(id)
    await store.beat(redrive)
    expect(await store.waiting()).toBeUndefined()
  })

  it('says why it gave up, and lets go of what it had not published', async () => {
    const ids = await letters([{}, {}, {}])
    const { id } = await redrives.start(asking(''), BY)
    const redrive = await taken(id)
    await store.claim(redrive, ids.slice(0, 2), MARKS)
    await store.notePublished(redrive, ids.slice(0, 1))
    await store.part(redrive, { to: 'failed', error: 'the topic may not be written' })
    expect(await redrives.get(id)).toMatchObject({
      state: 'failed',
      error: 'the topic may not be written',
      pending: 0,
      published: 1,
    })
    expect(await tables.items(id)).toEqual(['orders-0-0 published', 'orders-0-1 cancelled', 'orders-0-2 pending'])
    expect(await tables.letter('orders-0-0')).toMatchObject({ state: 'replaying' })
    expect(await tables.letter('orders-0-1')).toMatchObject({ state: 'open' })
  })
})

describe('steering', () => {
  it('asks a worker that is at work, and hears of it with his next beat', async () => {
    await letters([{}])
    const { id } = await redrives.start(asking(''), BY)
    const redrive = await taken(id)
    expect(await store.beat(redrive)).toBe('running')
    expect(await redrives.pause(id, BY)).toMatchObject({ state: 'pausing' })
    expect(await store.beat(redrive)).toBe('pausing')
    await expect(redrives.resume(id, BY, { rate: 5 })).rejects.toThrow(/a worker has the redrive .* pause it before/)
    expect(await redrives.resume(id, BY)).toMatchObject({ state: 'running' })
    expect(await redrives.cancel(id, BY)).toMatchObject({ state: 'cancelling' })
    expect(await store.beat(redrive)).toBe('cancelling')
    await expect(redrives.resume(id, BY)).rejects.toThrow('cancelling')
    const { rows } = await database.pool.query('SELECT what FROM holdfast.audit_log ORDER BY id')
    expect(rows.map(({ what }) => what)).toEqual(['replay', 'replay_pause', 'replay_resume', 'replay_cancel'])
  })

  it('has a pause that a redrive made by itself in the audit log, with its reason', async () => {
    await letters([{}, {}])
    const { id } = await redrives.start(asking('-reason:too_large'), BY)
    const counts = { ...NOTHING_COUNTED, at: 1, settled: 1, failed: 1 }
    const because = pausedUnsettled(counts, { canary: 1, maxFailures: 20, yieldAboveSeconds: 10 })
    await store.part(await taken(id), { to: 'paused', because, counts })
    const log = () =>
      database.pool.query('SELECT stream, who, what, filter, because, counts FROM holdfast.audit_log ORDER BY id')
    expect((await log()).rows.slice(1)).toEqual([
      {
        ...{ stream: 'orders', who: 'automatic', what: 'replay_pause', filter: '-reason:too_large' },
        ...{ because: because.message, counts: { replay: id } },
      },
    ])
    // An operator's wish is in the log already, and a worker that stops is no event of the redrive.
    await redrives.resume(id, BY)
    await store.part(await taken(id), { to: 'queued' })
    const again = await taken(id)
    await redrives.cancel(id, BY)
    await store.part(again, { to: 'paused', because, counts })
    expect((await log()).rows.map(({ who, what }) => [who, what])).toEqual([
      [BY.who, 'replay'],
      ['automatic', 'replay_pause'],
      [BY.who, 'replay_resume'],
      [BY.who, 'replay_cancel'],
    ])
  })

  it('cancels at once when the worker is gone, which finds itself fenced off should it wake', async () => {
    const ids = await letters([{}, {}])
    const { id } = await redrives.start(asking(''), BY)
    const frozen = await taken(id)
    await store.claim(frozen, ids.slice(0, 1), MARKS)
    await silence(id)
    expect(await redrives.cancel(id, BY)).toMatchObject({ state: 'cancelled' })
    expect(await tables.letter('orders-0-0')).toMatchObject({ state: 'open' })
    await expect(store.notePublished(frozen, ids)).rejects.toThrow('not in the hands')
  })
})

/** @returns the ids, in the order given */
async function letters(rows: readonly Partial<LetterFields>[]): Promise<string[]> {
  return (await insertLetters(database.pool, rows)).map(({ id }) => id)
}

/** As if its worker had not been heard of for long. */
async function silence(id: string): Promise<void> {
  await database.pool.query(`UPDATE holdfast.replays SET heartbeat_at = now() - interval '1 minute' WHERE id = $1`, [
    id,
  ])
}
