import fc from 'fast-check'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { canonicalInstant } from '#src/engine/values/instant.ts'
import { COMPARISONS, type DeadLetterFilter, type FilterTerm, PATTERN_FIELDS } from '#src/inbox/filter.ts'
import { FILTER_DAYS } from '#src/inbox/filter-time.ts'
import { DEAD_LETTER_STATES } from '#src/inbox/letter-states.ts'
import { filterSql } from '#src/inbox/postgres/dead-letter-filter-sql.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { type FilteredLetter, plainFilter, takesLetter } from '../support/filter-model.ts'
import { insertLetters } from '../support/letters.ts'

/** What a filter says in SQL, held against what it says in words. */

const HOUR = 3_600_000
const DATA: Partial<FilteredLetter>[] = [
  {},
  { reason: 'malformed_json', error: 'not_json', message: 'the value is not JSON (position 7)' },
  { pointer: '/payment/amount', error: 'required', key: 'abc-1' },
  { pointer: '/payment/currency', error: 'pattern', key: 'abc_1' },
  { pointer: '/items/0/price', error: 'type', key: 'abcd1', state: 'replaying', redrives: ['r1', 'r2'] },
  { error: '100%', key: 'ab%', message: String.raw`a back\slash` },
  { error: '1000', key: String.raw`ab\1`, state: 'resolved', redrives: ['r1'] },
  { error: String.raw`back\slash`, key: null, state: 'discarded', replay_count: 1 },
  { state: 'parked', replay_count: 3, source_partition: 2, ageMs: 50 * HOUR },
  { state: 'open', replay_count: 1, source_partition: 3, ageMs: 30 * HOUR, message: 'MUST be an Integer' },
  { source_topic: 'other', source_partition: 1, ageMs: 2 * HOUR, key: '' },
  { message: 'it\'s "quoted"; DROP TABLE holdfast.dead_letters; --', key: 'ABC-1' },
  { error: 'Straße', message: 'ÄÖÜ', ageMs: 200 * 24 * HOUR },
]
const LETTERS: FilteredLetter[] = DATA.map((data, offset) => ({
  id: `${data.source_topic ?? 'orders'}-${data.source_partition ?? 0}-${offset}`,
  reason: 'schema_violation',
  error: 'required',
  pointer: '',
  message: 'is missing',
  key: 'key',
  source_topic: 'orders',
  source_partition: 0,
  ageMs: 5_000,
  replay_count: 0,
  state: 'open',
  redrives: [],
  ...data,
}))

let database: MigratedDatabase
let client: pg.PoolClient
/** The ages of the letters are those of this moment. */
const STORED_AT_MS = Date.now()
beforeAll(async () => {
  database = await migratedDatabase()
  client = await database.pool.connect()
  await insertLetters(
    database.pool,
    LETTERS.map(({ ageMs, redrives: _, ...letter }, source_offset) => ({
      ...letter,
      source_offset,
      failed_at: new Date(STORED_AT_MS - ageMs).toISOString(),
    })),
  )
  for (const [position, { id, redrives }] of LETTERS.entries()) {
    for (const redrive of redrives) {
      await client.query(
        'INSERT INTO holdfast.replay_items (replay_id, position, dead_letter_id) VALUES ($1, $2, $3)',
        [...[redrive, position, id]],
      )
    }
  }
  await client.query('ANALYZE holdfast.dead_letters')
})
afterAll(async () => {
  client.release()
  await database[Symbol.asyncDispose]()
})

async function found(filter: DeadLetterFilter): Promise<string[]> {
  const { text, values } = filterSql(filter, { first: 2, alias: 'letter' })
  const { rows } = await client.query<{ id: string; holds: boolean | null }>(
    `SELECT id, (${text}) AS holds FROM holdfast.dead_letters AS letter WHERE id <> $1 ORDER BY source_offset`,
    ['', ...values],
  )
  return rows.filter(({ holds }) => holds).map(({ id }) => id)
}

function expected(filter: DeadLetterFilter, nowMs: number): string[] {
  const passedMs = nowMs - STORED_AT_MS
  return LETTERS.filter(({ ageMs, ...letter }) =>
    takesLetter(filter, { ...letter, ageMs: ageMs + passedMs }, nowMs),
  ).map(({ id }) => id)
}

/** Asks the database and the model. In UTC the day may change between the two. @returns what both say */
async function agreed(filter: DeadLetterFilter): Promise<string[]> {
  const before = expected(filter, Date.now())
  const ids = await found(filter)
  expect([before, expected(filter, Date.now())]).toContainEqual(ids)
  return ids
}

/** So many hours ago, as an operator would write it: at another zone, and without seconds. */
function at(hours: number): string {
  return `${new Date(Date.now() - (hours - 2) * HOUR).toISOString().slice(0, 16)}+02:00`
}

describe('a filter in SQL', () => {
  it.each<[text: string, rows: number]>([
    ['', 13],
    ['error:100%', 1],
    ['error:100*', 2],
    ['uid:abc_1', 1],
    ['key:abc*1', 3],
    ['key:ab*', 5],
    ['key:"ab\\\\*"', 1],
    ['key:""', 2],
    ['-key:""', 11],
    ['-key:key', 8],
    ['key:*', 13],
    ['pointer:/payment/*', 2],
    ['text:"back\\\\slash"', 2],
    ['text:integer', 1],
    ['text:%', 1],
    ['text:ÄÖÜ', 1],
    [`text:"'"`, 1],
    ['state:failed_again', 2],
    ['-state:failed_again,discarded', 10],
    ['replay:r1', 2],
    ['-replay:r1 -replay:r2', 11],
    ['age:>1h age:<2d', 2],
    ['after:2d before:1h', 2],
    ['-after:2d', 2],
    [`after:${at(40)}`, 11],
    [`before:"${at(40)}"`, 2],
    ['before:2020-01-01', 0],
    ['topic:oth*', 1],
    ['partition:2,3', 2],
    ['id:orders-0-0,orders-0-1,"x"', 2],
  ])('%s', async (text, rows) => {
    expect(await agreed(plainFilter(text))).toHaveLength(rows)
  })

  it('finds what it says, whatever is asked', async () => {
    const words = ['abc', 'ab', '*', '%', '_', '\\', '-', '1', '/payment/', 'required', 'key', '0', "'", 'É']
    const pattern = fc.array(fc.constantFrom(...words), { maxLength: 3 }).map(parts => parts.join(''))
    const some = <V>(item: fc.Arbitrary<V>) => fc.array(item, { minLength: 1, maxLength: 3 })
    const not = fc.boolean()
    const aTerm: fc.Arbitrary<FilterTerm> = fc.oneof(
      fc.record({ field: fc.constantFrom(...PATTERN_FIELDS), not, values: some(pattern) }),
      fc.record({ field: fc.constant('state' as const), not, values: some(fc.constantFrom(...DEAD_LETTER_STATES)) }),
      fc.record({
        field: fc.constant('reason' as const),
        not,
        values: some(fc.constantFrom('malformed_json', 'schema_violation')),
      }),
      fc.record({ field: fc.constant('partition' as const), not, values: some(fc.nat(3)) }),
      fc.record({
        field: fc.constant('age' as const),
        not,
        comparison: fc.constantFrom('>' as const, '>=' as const, '<' as const, '<=' as const),
        ms: fc.constantFrom(HOUR, 40 * HOUR, 36_525 * 24 * HOUR),
      }),
      fc.record({
        field: fc.constantFrom('after' as const, 'before' as const),
        not,
        time: fc.oneof(
          fc.constantFrom(HOUR, 40 * HOUR, 36_525 * 24 * HOUR).map(agoMs => ({ agoMs })),
          fc.constantFrom(...FILTER_DAYS).map(day => ({ day })),
          fc
            .constantFrom(HOUR, 40 * HOUR)
            .map(ms => ({ at: canonicalInstant(new Date(Date.now() - ms).toISOString()) })),
        ),
      }),
      fc.record({
        field: fc.constant('replays' as const),
        not,
        comparison: fc.constantFrom(...COMPARISONS),
        count: fc.nat(3),
      }),
      fc.record({ field: fc.constant('replay' as const), not, values: some(fc.constantFrom('r1', 'r2', 'r3')) }),
      fc.record({
        ...{ field: fc.constant('found' as const), not: fc.constant(false as const), shown: fc.constant('value:/a') },
        ids: fc.subarray(LETTERS.map(({ id }) => id)),
      }),
      fc.record({ field: fc.constant('text' as const), not, text: pattern.filter(text => text !== '') }),
    )
    let hits = 0
    await fc.assert(
      fc.asyncProperty(fc.array(aTerm, { maxLength: 3 }), async terms => {
        hits += (await agreed({ terms })).length
      }),
      { numRuns: 300 },
    )
    expect(hits).toBeGreaterThan(100)
  })
})
