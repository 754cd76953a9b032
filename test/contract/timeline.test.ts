import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { noteConsumerStart } from '#src/engine/postgres/consumer-starts.ts'
import { createTimelineStore, readTimeline } from '#src/engine/postgres/timeline.ts'
import { STEP_MS, type TimelineStep } from '#src/engine/watch/timeline.ts'
import { readActions, readStarts } from '#src/inbox/postgres/timeline-marks.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const BEGIN = Date.parse('2026-11-01T00:00:00Z')

let database: MigratedDatabase

beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())
beforeEach(() => database.pool.query('TRUNCATE holdfast.timeline_steps'))

const aProcess = () => createTimelineStore(database.pool, randomUUID())

function aStep(atMs: number, given: Partial<TimelineStep> = {}): TimelineStep {
  return { stream: 'orders', atMs, settled: 0, deadLettered: 0, lagRecords: 0, lagSeconds: 0, stops: [], ...given }
}

async function read(fromMs: number, toMs: number, stepSeconds = 10) {
  const window = { from: new Date(fromMs), to: new Date(toMs), stepSeconds }
  return await readTimeline(database.pool, 'orders', window, 100)
}

describe('the time line in Postgres', () => {
  it('adds up what two processes of a group saw, and takes the longest lag', async () => {
    const [one, other] = [aProcess(), aProcess()]
    await one.write([aStep(BEGIN, { settled: 100, deadLettered: 2, lagRecords: 10, lagSeconds: 1.5 })])
    await other.write([aStep(BEGIN, { settled: 50, deadLettered: 1, lagRecords: 5, lagSeconds: 30 })])
    await other.write([aStep(BEGIN, { stream: 'returns', settled: 9_999 })])
    const { steps } = await read(BEGIN, BEGIN + MINUTE_MS)
    expect(steps).toEqual([{ step: 0, rate: 15, deadLettered: 3, lagRecords: 15, lagSeconds: 30 }])
  })

  it('holds a step once, however often its write is repeated because the answer was lost', async () => {
    const one = aProcess()
    for (let attempt = 0; attempt < 3; attempt++) await one.write([aStep(BEGIN, { settled: 100 })])
    expect((await read(BEGIN, BEGIN + MINUTE_MS)).steps).toMatchObject([{ step: 0, rate: 10 }])
  })

  it('knows nothing of a step that nobody wrote, and of one that was idle that it was', async () => {
    await aProcess().write([aStep(BEGIN, { settled: 10 }), aStep(BEGIN + 3 * STEP_MS, { lagSeconds: undefined })])
    expect((await read(BEGIN, BEGIN + MINUTE_MS)).steps).toMatchObject([
      { step: 0, rate: 1, lagSeconds: 0 },
      { step: 3, rate: 0, lagSeconds: undefined },
    ])
  })

  it('joins steps in which something stood still, and partitions that stood still together', async () => {
    const stood = (step: number, ...stops: string[]) => aStep(BEGIN + step * STEP_MS, { stops })
    const [one, other] = [aProcess(), aProcess()]
    await one.write([
      stood(0),
      stood(1, 'pause/store_away/0', 'pause/store_away/11', 'breaker/postgres'),
      stood(2, 'pause/store_away/0', 'pause/store_away/11', 'breaker/postgres'),
      stood(3, 'pause/storm_guard/0'),
    ])
    await other.write([stood(1, 'pause/store_away/2'), stood(2, 'pause/store_away/2'), stood(5, 'breaker/postgres')])
    const at = (step: number) => new Date(BEGIN + step * STEP_MS)
    const { stops } = await read(BEGIN, BEGIN + MINUTE_MS)
    expect(stops).toHaveLength(4)
    expect(stops).toEqual(
      expect.arrayContaining([
        { kind: 'pause', name: 'store_away', partitions: [0, 2, 11], from: at(1), to: at(3) },
        { kind: 'breaker', name: 'postgres', partitions: [], from: at(1), to: at(3) },
        { kind: 'pause', name: 'storm_guard', partitions: [0], from: at(3), to: at(4) },
        { kind: 'breaker', name: 'postgres', partitions: [], from: at(5), to: at(6) },
      ]),
    )
  })

  it('adds old steps up into longer ones: sums stay sums, a lag its highest, a stop a stop', async () => {
    const [one, other] = [aProcess(), aProcess()]
    const minute = (store: typeof one, settled: number, stop: string) =>
      store.write(
        Array.from({ length: 6 }, (_, n) =>
          aStep(BEGIN + n * STEP_MS, {
            settled,
            deadLettered: 1,
            lagRecords: n,
            lagSeconds: n,
            stops: n === 2 ? [stop] : [],
          }),
        ),
      )
    await minute(one, 100, 'pause/halted/1')
    await minute(other, 10, 'pause/halted/2')
    const before = await read(BEGIN, BEGIN + HOUR_MS, 60)
    await one.rollUp(BEGIN + HOUR_MS + 6 * MINUTE_MS)
    expect(await stored()).toEqual([[60, 1]])
    const after = await read(BEGIN, BEGIN + HOUR_MS, 60)
    expect(after.steps).toEqual([{ step: 0, rate: 11, deadLettered: 12, lagRecords: 10, lagSeconds: 5 }])
    expect(after.steps).toEqual(before.steps)
    expect(after.stops).toMatchObject([{ partitions: [1, 2], from: new Date(BEGIN), to: new Date(BEGIN + MINUTE_MS) }])

    // A step that comes late, after an outage of one process, is added to what is there.
    await other.write([aStep(BEGIN, { settled: 60, deadLettered: 3, lagRecords: 77, stops: ['breaker/postgres'] })])
    await one.rollUp(BEGIN + HOUR_MS + 6 * MINUTE_MS)
    expect((await read(BEGIN, BEGIN + HOUR_MS, 60)).steps).toMatchObject([
      { rate: 12, deadLettered: 15, lagRecords: 77 },
    ])
    expect(await stored()).toEqual([[60, 1]])
  })

  it('is bounded: eight days of two processes that restart each hour leave some 3,000 rows, and a week in full', async () => {
    const perStep = { settled: 20, deadLettered: 1, lagRecords: 1, lagSeconds: 1 }
    const endMs = BEGIN + 8 * DAY_MS
    const most = new Map<number, number>()
    for (let hourMs = BEGIN; hourMs < endMs; hourMs += HOUR_MS) {
      const pair = [aProcess(), aProcess()]
      for (const store of pair) {
        await store.write(Array.from({ length: 360 }, (_, n) => aStep(hourMs + n * STEP_MS, perStep)))
      }
      await Promise.all(pair.map(store => store.rollUp(hourMs + HOUR_MS)))
      for (const [seconds, rows] of await stored()) most.set(seconds, Math.max(rows, most.get(seconds) ?? 0))
    }
    // Twice the ten-second steps: those of two processes.
    expect(most.get(10)).toBeLessThanOrEqual(2 * (65 * 6 + 6))
    expect(most.get(60)).toBeLessThanOrEqual(24 * 60 + 20)
    expect(most.get(600)).toBeLessThanOrEqual(6 * 144 + 6)

    const { steps } = await read(endMs - 7 * DAY_MS, endMs, 1_800)
    expect(steps).toHaveLength(336)
    expect(new Set(steps.map(({ rate, deadLettered }) => `${rate} ${deadLettered}`))).toEqual(new Set(['4 360']))
  })
})

describe('marks of the time line', () => {
  it('are starts by version and actions of the stream, of that span alone, the latest first', async () => {
    const { pool } = database
    const nowMs = Date.now()
    const start = (version: string, minutesAgo: number) =>
      noteConsumerStart(pool, { id: randomUUID(), version, agoMs: minutesAgo * MINUTE_MS })
    await start('1.0.0', 300)
    await start('1.0.0', 50)
    // In the middle of a step of ten minutes.
    await start('1.1.0', 15)
    await start('1.1.0', 14.9)
    const act = (stream: string, what: string, minutesAgo: number) =>
      pool.query(
        `INSERT INTO holdfast.audit_log (stream, at, who, what, filter, because, counts)
         VALUES ($1, now() - $3 * interval '1 minute', 'ada', $2, 'state:open', 'a test', '{}')`,
        [stream, what, minutesAgo],
      )
    for (const [what, ago] of [
      ['discard', 300],
      ['replay', 40],
      ['reveal', 30],
      ['resume', 10],
    ] as const) {
      await act('orders', what, ago)
    }
    await act('returns', 'seek', 5)
    const window = { from: new Date(nowMs - HOUR_MS), to: new Date(nowMs + MINUTE_MS), stepSeconds: 600 }
    expect(await readStarts(pool, window, 10)).toMatchObject([
      { version: '1.1.0', count: 2, deployed: true },
      { version: '1.0.0', count: 1, deployed: false },
    ])
    expect(await readStarts(pool, window, 1)).toHaveLength(1)
    expect(await readActions(pool, 'orders', window, 10)).toMatchObject([
      { what: 'resume', who: 'ada', because: 'a test', filter: 'state:open' },
      { what: 'replay' },
    ])
  })
})

/** Rows by the length of their step. */
async function stored(): Promise<[seconds: number, rows: number][]> {
  const { rows } = await database.pool.query(
    'SELECT step_seconds, count(*)::int AS rows FROM holdfast.timeline_steps GROUP BY step_seconds ORDER BY step_seconds',
  )
  return rows.map(row => [row.step_seconds, row.rows])
}
