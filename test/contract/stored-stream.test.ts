import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createStoredStream } from '#src/inbox/postgres/stored-stream.ts'
import type { StoredStream } from '#src/inbox/stream-ports.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { insertLetters } from '../support/letters.ts'
import { eventually } from '../support/service.ts'

let database: MigratedDatabase
let stored: StoredStream
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(async () => {
  await database.pool.query(
    'TRUNCATE holdfast.stream_progress, holdfast.stream_ledger, holdfast.dead_letters, holdfast.audit_log',
  )
  stored = aStoredStream()
})

function aStoredStream(): StoredStream {
  return createStoredStream(database.pool, { stream: 'orders', topic: 'orders', groupId: 'holdfast' })
}

/** Batches that were settled so many seconds ago, the newest last. */
async function settled(partition: number, from: number, records: number, secondsAgo: number[], group = 'holdfast') {
  await database.pool.query(
    `INSERT INTO holdfast.stream_ledger (topic, partition, group_id, from_offset, to_offset, records, written, duplicate, stale,
       superseded, dead_lettered, gaps, expired, skipped, settled_at)
     SELECT 'orders', $1, $2, start, start + $4::bigint, $4, $4, 0, 0, 0, 0, 0, 0, 0, now() - make_interval(secs => ago)
     FROM (SELECT $3::bigint + (nth - 1) * $4::bigint AS start, ago FROM unnest($5::float8[]) WITH ORDINALITY AS a (ago, nth)) AS batches`,
    [partition, group, from, records, secondsAgo],
  )
}

async function progress(partition: number, next: number, pausedFor: string | null = null, group = 'holdfast') {
  await database.pool.query(
    `INSERT INTO holdfast.stream_progress (topic, partition, group_id, first_offset, next_offset, paused_for, paused_at,
       dead_letters_in_a_row)
     VALUES ('orders', $1, $2, 0, $3, $4, now(), 1000)`,
    [partition, group, next, pausedFor],
  )
}

describe('the state of a stream in the database', () => {
  it('tell where each partition of the group is, and why it waits for an operator', async () => {
    await progress(1, 7, 'storm_guard')
    await progress(0, 42)
    await progress(0, 9, null, 'others')
    const told = await stored.partitions()
    expect(told.map(({ partition, next, pausedFor }) => [partition, next, pausedFor])).toEqual([
      [0, 42n, undefined],
      [1, 7n, 'storm_guard'],
    ])
    expect(Math.abs(Date.now() - (told[0]?.lastProgressMs ?? 0))).toBeLessThan(60_000)
  })

  it('tell what all partitions settled in the last seconds', async () => {
    await progress(0, 1_000)
    await progress(1, 1_000)
    await progress(0, 1_000, null, 'others')
    await settled(0, 0, 100_000, [60])
    // Dated ahead, so that they are of the last seconds whenever the question comes.
    await settled(0, 100_000, 300, [-60.1])
    await settled(0, 100_300, 200, [-60.3])
    await settled(1, 0, 500, [-60.2])
    await settled(0, 0, 70_000, [-60.3], 'others')
    expect(await stored.rate()).toBeCloseTo((300 + 200 + 500) / 5)
  })

  it('tell the rate of a stream that settles more batches than are looked at', async () => {
    await progress(0, 0)
    // 200 batches of 10 a second, until now; of them the last 500 are looked at, which took 2.5 s. All of them must still be of the last five.
    const { rate, passedS } = await eventually(async () => {
      await database.pool.query('TRUNCATE holdfast.stream_ledger')
      const from = performance.now()
      await settled(
        0,
        0,
        10,
        Array.from({ length: 600 }, (_, batch) => 3 - batch * 0.005),
      )
      const told = await aStoredStream().rate()
      const passedS = (performance.now() - from) / 1_000
      return passedS < 2 && { rate: told, passedS }
    }, 'an answer while the batches are young')
    expect(rate).toBeLessThanOrEqual(2_000)
    expect(rate).toBeGreaterThan(5_000 / (2.5 + passedS))
  })

  it('tell at first what the row of many batches says on average, and then how far progress came', async () => {
    await progress(0, 1_000)
    const from = performance.now()
    await settled(0, 0, 1_000, [0])
    await database.pool.query(`UPDATE holdfast.stream_ledger SET since = settled_at - interval '100 seconds'`)
    // Ten a second, of five seconds; some of them have passed by the time of the question.
    const average = await stored.rate()
    const leftS = 5 - (performance.now() - from) / 1_000
    expect(average).toBeGreaterThanOrEqual((10 * leftS) / 5)
    expect(average).toBeLessThanOrEqual(10)
    await database.pool.query('UPDATE holdfast.stream_progress SET next_offset = next_offset + 3000')
    const rate = await eventually(async () => {
      const now = await stored.rate()
      return now > 20 ? now : undefined
    }, 'the rate of what came since')
    expect(rate).toBeLessThanOrEqual(3_000)
  })

  it('take nothing off the rate for a partition that was moved back', async () => {
    await progress(0, 1_000)
    await progress(1, 5_000)
    expect(await stored.rate()).toBe(0)
    await database.pool.query(
      'UPDATE holdfast.stream_progress SET next_offset = CASE partition WHEN 0 THEN 3000 ELSE 0 END',
    )
    const rate = await eventually(async () => {
      const now = await stored.rate()
      return now !== 0 ? now : undefined
    }, 'the rate of what came since')
    expect(rate).toBeGreaterThan(0)
  })

  it('tell nothing of a stream that has not begun', async () => {
    expect([await stored.partitions(), await stored.rate()]).toEqual([[], 0])
    expect(await stored.deadLetters()).toEqual({
      open: new Map(),
      parked: 0,
      oldestFailedAtMs: undefined,
      attention: new Map(),
    })
  })

  it('count open dead letters by reason', async () => {
    const failed_at = '2026-01-01T00:00:00.000Z'
    await insertLetters(database.pool, [
      { failed_at },
      {},
      { reason: 'too_large' },
      { state: 'resolved' },
      { state: 'parked' },
    ])
    expect(await stored.deadLetters()).toEqual({
      open: new Map([
        ['schema_violation', 2],
        ['too_large', 1],
      ]),
      parked: 1,
      oldestFailedAtMs: expect.any(Number),
      attention: new Map([['new', 2]]),
    })
  })

  it('take the lifting of a pause, with who and why', async () => {
    await progress(0, 7, 'storm_guard')
    await progress(1, 7, 'storm_guard')
    const lifted = [{ partition: 1, kind: 'storm_guard', deadLettersInARow: 1_000 }]
    const by = { who: 'chief', because: 'fixed' }
    expect(await stored.liftPauses(1, undefined, by)).toEqual({ lifted, remaining: [] })
    expect((await stored.partitions()).map(({ pausedFor }) => pausedFor)).toEqual(['storm_guard', undefined])
    const { rows } = await database.pool.query('SELECT who, what, because FROM holdfast.audit_log')
    expect(rows).toEqual([{ who: 'chief', what: 'resume', because: 'fixed' }])
    expect((await stored.liftPauses(undefined, undefined, by)).lifted).toHaveLength(1)
  })
})
