import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parseFilter } from '#src/inbox/filter.ts'
import type { CheckResult, DlqPlace, ReplayDesk, ReplayRequest } from '#src/inbox/ports.ts'
import { createReplayStore } from '#src/inbox/postgres/replay-work.ts'
import { createReplayDesk } from '#src/inbox/postgres/replays.ts'
import type { ReplayInHand, ReplayStore } from '#src/inbox/replay.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters, type LetterFields } from '../support/letters.ts'
import { replayTables } from '../support/replays.ts'

/** Redrives as an operator asks for them, and as their worker keeps the books. */

const BY = { who: 'ada', because: 'the schema is fixed' }
const MARKS = new Map([[0, 7n]])

let database: MigratedDatabase
let desk: ReplayDesk
let store: ReplayStore
let tables: ReturnType<typeof replayTables>
/** Ids of letters that would pass now; others would not. `gone`: their bytes are. */
let passing = new Set<string>()
let gone = new Set<string>()

beforeAll(async () => {
  database = await migratedDatabase()
  desk = createReplayDesk({ pool: database.pool, stream: 'orders', topic: 'orders', dlqTopic: 'orders.dlq', check })
  store = createReplayStore(database.pool, { stream: 'orders', topic: 'orders' })
  tables = replayTables(database.pool)
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(async () => {
  await database.pool.query('TRUNCATE dead_letters, dead_letter_events, replays, replay_items, audit_log')
  passing = new Set()
  gone = new Set()
})

async function* check(places: readonly DlqPlace[]): AsyncIterable<CheckResult> {
  for (const { id } of places) yield { id, passes: gone.has(id) ? undefined : passing.has(id), violations: [] }
}

function asking(text: string, over: Partial<ReplayRequest> = {}): ReplayRequest {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(parsed.message)
  const plain = { rate: undefined, limit: undefined, onlyPassing: false, edited: undefined, automatic: false }
  return { filter: parsed.filter, ...plain, ...over }
}

async function taken(id: string): Promise<ReplayInHand> {
  const replay = await store.take(id)
  if (replay === undefined) throw new Error(`${id} is not to be had`)
  return replay
}

describe('preview and start', () => {
  it('take letters of which nobody knows where they came from: they are in the dead-letter topic only', async () => {
    await letters([{ source_topic: 'orders.dlq', written_by: 'unknown' }, { source_topic: 'other' }])
    expect(await desk.preview(asking(''))).toMatchObject({ count: 1, left_out: { other_topic: 1 } })
  })

  it('count the same set: open letters of this topic that the filter takes', async () => {
    await letters([
      { source_partition: 2, source_offset: 5, failed_at: ago(3) },
      { source_partition: 0, source_offset: 9, failed_at: ago(9), reason: 'malformed_json' },
      { source_partition: 0, source_offset: 3, failed_at: ago(1) },
      { source_offset: 20, state: 'parked' },
      { source_offset: 21, state: 'replaying' },
      { source_offset: 22, state: 'resolved' },
      { source_offset: 23, source_topic: 'other' },
      { source_offset: 24, dlq_offset: null },
      { source_offset: 25, reason: 'too_large' },
    ])
    const request = asking('-reason:too_large')
    const preview = await desk.preview(request)
    expect(preview).toMatchObject({
      count: 3,
      by_reason: { malformed_json: 1, schema_violation: 2 },
      left_out: { not_open: 3, other_topic: 1, place_unknown: 1 },
    })
    const span = Date.parse(preview.newest ?? '') - Date.parse(preview.oldest ?? '')
    expect(span / 1_000).toBe(8)

    const replay = await desk.start(request, BY)
    expect(replay).toMatchObject({
      state: 'queued',
      total: 3,
      pending: 3,
      published: 0,
      requested_by: 'ada',
      ...{ because: BY.because, filter: '-reason:too_large', error: null },
    })
    expect(replay.id).toMatch(/^r[a-z0-9]{10}$/)
    // By partition and offset, so that the order of a key is kept
    expect(await tables.items(replay.id)).toEqual(['orders-0-3 pending', 'orders-0-9 pending', 'orders-2-5 pending'])
    const { rows } = await database.pool.query('SELECT who, what, filter, because, counts FROM audit_log')
    expect(rows).toEqual([
      { what: 'replay', filter: '-reason:too_large', ...BY, counts: { replay: replay.id, letters: 3 } },
    ])
  })

  it('take the oldest when there is a limit', async () => {
    await letters([{ failed_at: ago(1) }, { failed_at: ago(9) }, { failed_at: ago(5) }, { failed_at: ago(2) }])
    const request = asking('', { limit: 2 })
    expect(await desk.preview(request)).toMatchObject({ count: 2, left_out: { over_limit: 2 } })
    expect(await tables.items((await desk.start(request, BY)).id)).toEqual(['orders-0-1 pending', 'orders-0-2 pending'])
  })

  it('take parked letters and those in flight only when the filter names their state', async () => {
    await letters([{}, { state: 'parked', replay_count: 3 }, { state: 'replaying' }, { state: 'discarded' }])
    expect(await desk.preview(asking('state:parked'))).toMatchObject({ count: 1, left_out: {} })
    expect(await desk.preview(asking('state:open,replaying'))).toMatchObject({ count: 2, left_out: {} })
    expect(await desk.preview(asking('state:failed_again'))).toMatchObject({ count: 0, left_out: { not_open: 1 } })
    expect(await desk.preview(asking('-state:resolved'))).toMatchObject({ count: 1, left_out: { not_open: 3 } })
    expect(await desk.preview(asking('state:discarded'))).toMatchObject({ count: 0, left_out: { not_open: 1 } })
  })

  it('take only those that pass now, when asked to, and say what became of the others', async () => {
    const ids = await letters(Array.from({ length: 9 }, (_, i) => ({ failed_at: ago(9 - i) })))
    passing = new Set(ids.filter((_, i) => i % 2 === 0))
    gone = new Set(['orders-0-3'])
    expect(await desk.preview(asking('', { onlyPassing: true }))).toMatchObject({
      count: 5,
      left_out: { not_passing: 3, bytes_gone: 1 },
    })
    const request = asking('', { onlyPassing: true, limit: 3 })
    // 0, 2 and 4; the last four were not looked at
    expect(await desk.preview(request)).toMatchObject({
      count: 3,
      left_out: { not_passing: 1, bytes_gone: 1, over_limit: 4 },
    })
    const { id } = await desk.start(request, BY)
    expect(await tables.items(id)).toEqual([0, 2, 4].map(offset => `orders-0-${offset} pending`))
  })

  it('refuse an empty set and say why it is empty', async () => {
    await letters([{ state: 'resolved' }])
    await expect(desk.start(asking('reason:too_large'), BY)).rejects.toThrow('no dead letter matches')
    await expect(desk.start(asking(''), BY)).rejects.toThrow('left out (1 not open)')
    expect(await desk.list(10)).toEqual([])
    expect((await database.pool.query('SELECT 1 FROM audit_log')).rows).toEqual([])
  })

  it('let one redrive be under way, and tell a second operator whose it is', async () => {
    await letters([{}, {}])
    const [first, second] = await Promise.allSettled([
      desk.start(asking(''), BY),
      desk.start(asking(''), { who: 'bob', because: 'no reason' }),
    ])
    const [winner, loser] = first.status === 'fulfilled' ? [first, second] : [second, first]
    if (winner.status !== 'fulfilled' || loser.status !== 'rejected') throw new Error('one of them must win')
    const running = winner.value
    expect(loser.reason).toMatchObject({ name: 'ReplayRunningError', running })
    expect(loser.reason.message).toContain(`redrive ${running.id} of ${running.requested_by} is queued`)
    passing = new Set(['orders-0-0'])
    await expect(desk.start(asking('', { onlyPassing: true }), BY)).rejects.toThrow(running.id)
    expect(await desk.list(10)).toEqual([running])
  })

  it('edit one letter, and no more than one', async () => {
    await letters([{}, {}])
    const edited = Buffer.from('{"a":1}')
    await expect(desk.start(asking('', { edited }), BY)).rejects.toThrow('takes 2')
    expect(await desk.list(10)).toEqual([])
    const { id, ...replay } = await desk.start(asking('id:orders-0-1', { edited }), BY)
    expect(replay.edited).toBe(true)
    const page = await store.page(await taken(id), 10)
    expect(page.items).toMatchObject([{ id: 'orders-0-1', edited }])
  })
})

describe('the worker', () => {
  it('takes what waits, once, and finds its pages with all that is needed to publish them', async () => {
    await letters([{ source_offset: 4, replay_count: 2, dlq_offset: 17 }, { source_offset: 6 }, { source_offset: 8 }])
    expect(await store.waiting()).toBeUndefined()
    const { id } = await desk.start(asking('', { rate: 2.5 }), BY)
    expect(await store.waiting()).toBe(id)
    const replay = await taken(id)
    expect(replay).toEqual({ id, epoch: 1, rate: 2.5 })
    expect(await store.waiting()).toBeUndefined()
    expect(await store.take(id)).toBeUndefined()
    expect(await desk.get(id)).toMatchObject({ state: 'running' })
    expect(await store.page(replay, 2)).toEqual({
      state: 'running',
      marks: undefined,
      items: [
        {
          id: 'orders-0-4',
          origin: { topic: 'orders', partition: 0, offset: 4n, timestampMs: 1_700_000_000_000 },
          replayCount: 2,
          bytes: 100,
          place: { partition: 0, offset: 17n },
          edited: undefined,
        },
        expect.objectContaining({ id: 'orders-0-6', replayCount: 0 }),
      ],
    })
  })

  it('leaves a redrive to another topic to whoever works for that, and lets nobody else go on with it', async () => {
    await letters([{ source_topic: 'returns' }])
    const { pool } = database
    const returns = createReplayDesk({ pool, stream: 'orders', topic: 'returns', check })
    const { id } = await returns.start(asking('topic:returns'), BY)
    expect(await store.waiting()).toBeUndefined()
    expect(await store.take(id)).toBeUndefined()
    await desk.pause(id, BY)
    await expect(desk.resume(id, BY)).rejects.toThrow('it can go on where that is the topic of the stream orders')
    expect(await desk.get(id)).toMatchObject({ state: 'paused' })
    await returns.resume(id, BY)
    const itsStore = createReplayStore(pool, { stream: 'orders', topic: 'returns' })
    expect(await itsStore.waiting()).toBe(id)
    expect(await itsStore.take(id)).toMatchObject({ id })
    await silence(id)
    expect([await store.waiting(), await itsStore.waiting()]).toEqual([undefined, id])
  })

  it('takes one that was asked for before its topic was noted', async () => {
    await letters([{}])
    const { id } = await desk.start(asking(''), BY)
    await database.pool.query('UPDATE replays SET topic = NULL')
    await desk.pause(id, BY)
    await desk.resume(id, BY)
    expect(await store.waiting()).toBe(id)
    await taken(id)
  })

  it('claims a page; what is not open any more is skipped', async () => {
    const ids = await letters([{}, {}, {}])
    const { id } = await desk.start(asking(''), BY)
    const replay = await taken(id)
    await database.pool.query(`UPDATE dead_letters SET state = 'discarded' WHERE id = $1`, [ids[1]])
    expect(await store.claim(replay, ids, MARKS)).toEqual(new Set(['orders-0-0', 'orders-0-2']))
    expect(await tables.letter('orders-0-0')).toEqual({ state: 'replaying', replay_id: id })
    expect(await tables.letter('orders-0-1')).toEqual({ state: 'discarded', replay_id: null })
    expect(await tables.items(id)).toEqual(['orders-0-0 claimed', 'orders-0-1 skipped not_open', 'orders-0-2 claimed'])
    expect(await tables.events()).toEqual(['orders-0-0 replayed ada', 'orders-0-2 replayed ada'])

    // And a successor finds the page as it was begun
    expect(await store.page(replay, 1)).toMatchObject({
      marks: MARKS,
      items: [{ id: 'orders-0-0' }, { id: 'orders-0-2' }],
    })
    await store.notePublished(replay, ['orders-0-0'])
    await store.noteSkipped(replay, ['orders-0-2'], 'bytes_gone')
    expect(await tables.letter('orders-0-2')).toMatchObject({ state: 'open' })
    expect(await store.page(replay, 1)).toEqual({ items: [], marks: undefined, state: 'running' })
    expect(await desk.get(id)).toMatchObject({ total: 3, pending: 0, published: 1, skipped: 2 })
    expect((await desk.get(id))?.skipped_because).toEqual({ not_open: 1, bytes_gone: 1 })
    await store.part(replay, { to: 'done' })
    expect(await desk.get(id)).toMatchObject({ state: 'done', finished_at: expect.any(String) })
  })

  it('skips what was settled and purged before its turn as not open any more', async () => {
    const [id = ''] = await letters([{}])
    const replay = await taken((await desk.start(asking(''), BY)).id)
    await database.pool.query('DELETE FROM dead_letters')
    expect((await store.page(replay, 1)).items).toMatchObject([{ id, place: undefined }])
    await store.noteSkipped(replay, [id], 'place_unknown')
    expect((await desk.get(replay.id))?.skipped_because).toEqual({ not_open: 1 })
  })

  it('leaves parked letters parked that it does not publish', async () => {
    const ids = await letters([{ state: 'parked' }, { state: 'parked' }, {}])
    const { id } = await desk.start(asking('state:parked,open'), BY)
    const replay = await taken(id)
    await store.claim(replay, ids, MARKS)
    await store.noteSkipped(replay, ids.slice(0, 1), 'refused_by_topic')
    await store.part(replay, { to: 'cancelled' })
    expect(await Promise.all(ids.map(async letter => (await tables.letter(letter)).state))).toEqual([
      ...['parked', 'parked', 'open'],
    ])
  })

  it('does not undo what the settlement said before it', async () => {
    const ids = await letters([{}, {}])
    const { id } = await desk.start(asking(''), BY)
    const replay = await taken(id)
    await store.claim(replay, ids, MARKS)
    await database.pool.query(`UPDATE replay_items SET state = 'resolved' WHERE dead_letter_id = $1`, [ids[0]])
    await store.notePublished(replay, ids)
    expect(await tables.items(id)).toEqual(['orders-0-0 resolved', 'orders-0-1 published'])
    expect(await desk.get(id)).toMatchObject({ published: 2, resolved: 1 })
  })

  it('notes an edit before the redrive in the history', async () => {
    await letters([{}])
    const { id } = await desk.start(asking('', { edited: Buffer.from('{}') }), BY)
    await store.claim(await taken(id), ['orders-0-0'], MARKS)
    expect(await tables.events()).toEqual(['orders-0-0 edited ada', 'orders-0-0 replayed ada'])
  })

  it('is fenced off once another one has it, and changes nothing', async () => {
    const ids = await letters([{}, {}])
    const { id } = await desk.start(asking(''), BY)
    const frozen = await taken(id)
    await store.claim(frozen, ['orders-0-0'], MARKS)
    await silence(id)
    expect(await store.waiting()).toBe(id)
    const successor = await taken(id)
    expect(successor.epoch).toBe(2)
    const before = [await tables.items(id), await tables.letter('orders-0-1'), await desk.get(id)]
    for (const attempt of [
      () => store.beat(frozen),
      () => store.page(frozen, 1),
      () => store.claim(frozen, ids, new Map()),
      () => store.notePublished(frozen, ids),
      () => store.noteSkipped(frozen, ids, 'bytes_gone'),
      () => store.part(frozen, { to: 'done' }),
      () => store.part(frozen, { to: 'cancelled' }),
    ]) {
      await expect(attempt()).rejects.toThrow('not in the hands of this worker')
    }
    expect([await tables.items(id), await tables.letter('orders-0-1'), await desk.get(id)]).toEqual(before)
    expect(await store.page(successor, 1)).toMatchObject({ marks: MARKS, items: [{ id: 'orders-0-0' }] })
  })

  it('is taken for gone when the clock of the database is set back behind its last beat', async () => {
    await letters([{}])
    const { id } = await desk.start(asking(''), BY)
    const replay = await taken(id)
    expect(await store.waiting()).toBeUndefined()
    await database.pool.query(`UPDATE replays SET heartbeat_at = now() + interval '1 hour'`)
    expect(await store.waiting()).toBe(id)
    await store.beat(replay)
    expect(await store.waiting()).toBeUndefined()
  })

  it('hands over to another one, unless an operator wanted something else meanwhile', async () => {
    await letters([{}])
    const { id } = await desk.start(asking(''), BY)
    await store.part(await taken(id), { to: 'queued' })
    expect(await desk.get(id)).toMatchObject({ state: 'queued' })

    const second = await taken(id)
    await desk.pause(id, BY)
    await store.part(second, { to: 'queued' })
    expect(await desk.get(id)).toMatchObject({ state: 'paused' })

    await desk.resume(id, BY)
    const withdrawn = await taken(id)
    await desk.pause(id, BY)
    await desk.resume(id, BY)
    await store.part(withdrawn, { to: 'paused' })
    expect(await desk.get(id)).toMatchObject({ state: 'queued' })

    const third = await taken(id)
    await desk.cancel(id, BY)
    await store.part(third, { to: 'paused' })
    expect(await desk.get(id)).toMatchObject({ state: 'cancelling' })
    expect(await store.waiting()).toBe(id)
  })

  it('says why it gave up, and lets go of what it had not published', async () => {
    const ids = await letters([{}, {}, {}])
    const { id } = await desk.start(asking(''), BY)
    const replay = await taken(id)
    await store.claim(replay, ids.slice(0, 2), MARKS)
    await store.notePublished(replay, ids.slice(0, 1))
    await store.part(replay, { to: 'failed', error: 'the topic may not be written' })
    expect(await desk.get(id)).toMatchObject({
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
    const { id } = await desk.start(asking(''), BY)
    const replay = await taken(id)
    expect(await store.beat(replay)).toBe('running')
    expect(await desk.pause(id, BY)).toMatchObject({ state: 'pausing' })
    expect(await store.beat(replay)).toBe('pausing')
    expect(await desk.resume(id, BY)).toMatchObject({ state: 'running' })
    expect(await desk.cancel(id, BY)).toMatchObject({ state: 'cancelling' })
    expect(await store.beat(replay)).toBe('cancelling')
    await expect(desk.resume(id, BY)).rejects.toThrow('cancelling')
    const { rows } = await database.pool.query('SELECT what FROM audit_log ORDER BY id')
    expect(rows.map(({ what }) => what)).toEqual(['replay', 'replay_pause', 'replay_resume', 'replay_cancel'])
  })

  it('pauses and cancels at once what no worker has', async () => {
    await letters([{}])
    const { id } = await desk.start(asking(''), BY)
    expect(await desk.pause(id, BY)).toMatchObject({ state: 'paused' })
    expect(await store.take(id)).toBeUndefined()
    expect(await desk.resume(id, BY)).toMatchObject({ state: 'queued' })
    expect(await desk.cancel(id, BY)).toMatchObject({ state: 'cancelled', pending: 0, finished_at: expect.any(String) })
    await expect(desk.pause(id, BY)).rejects.toThrow('cancelled')
    await expect(desk.resume(id, BY)).rejects.toThrow('cancelled')
  })

  it('does so as well when the worker is gone, which finds itself fenced off should it wake', async () => {
    const ids = await letters([{}, {}])
    const { id } = await desk.start(asking(''), BY)
    const frozen = await taken(id)
    await store.claim(frozen, ids.slice(0, 1), MARKS)
    await silence(id)
    expect(await desk.cancel(id, BY)).toMatchObject({ state: 'cancelled' })
    expect(await tables.letter('orders-0-0')).toMatchObject({ state: 'open' })
    await expect(store.notePublished(frozen, ids)).rejects.toThrow('not in the hands')
  })

  it('makes room for another redrive by pausing, and not for two at a time', async () => {
    await letters([{}, {}])
    const first = await desk.start(asking('id:orders-0-0'), BY)
    await desk.pause(first.id, BY)
    const second = await desk.start(asking('id:orders-0-1'), BY)
    await expect(desk.resume(first.id, BY)).rejects.toMatchObject({
      name: 'ReplayRunningError',
      running: { id: second.id },
    })
    expect((await desk.list(10)).map(({ id }) => id)).toEqual([second.id, first.id])
    expect(await desk.list(1)).toHaveLength(1)
  })

  it('knows no redrive of that name', async () => {
    await expect(desk.pause('r0', BY)).rejects.toThrow('there is no redrive "r0"')
    expect(await desk.get('r0')).toBeUndefined()
  })
})

/** @returns the ids, in the order given */
async function letters(rows: readonly Partial<LetterFields>[]): Promise<string[]> {
  return (await insertLetters(database.pool, rows)).map(({ id }) => id)
}

function ago(seconds: number): string {
  return new Date(Date.UTC(2026, 1, 1) - seconds * 1_000).toISOString()
}

/** As if its worker had not been heard of for long. */
async function silence(id: string): Promise<void> {
  await database.pool.query(`UPDATE replays SET heartbeat_at = now() - interval '1 minute' WHERE id = $1`, [id])
}
