import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Column } from '#src/engine/value-sql.ts'
import { encodeColumn } from '#src/postgres/binary.ts'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'

let database: MigratedDatabase
beforeAll(async () => {
  database = await migratedDatabase()
})
afterAll(async () => {
  await database[Symbol.asyncDispose]()
})

/** The server's own reading of a column, element by element, as text. */
async function echo(column: Column, select = 'value::text'): Promise<string[]> {
  const { rows } = await database.pool.query({
    text: `SELECT ${select} AS value FROM unnest($1::${column.type}[]) WITH ORDINALITY AS t (value, n) ORDER BY n`,
    values: [encodeColumn(column)],
  })
  return rows.map(row => row.value)
}

describe('a binary column, as the server reads it', () => {
  it('holds every text as it was', async () => {
    const text = fc.string({ unit: 'binary', maxLength: 40 }).filter(value => !value.includes('\0'))
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 50 }), async values => {
        expect(await echo({ type: 'text', values })).toEqual(values)
      }),
      { numRuns: 50 },
    )
  })

  it('holds every integer, up to the last of its type', async () => {
    const int8 = [0, -1, 1, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER]
    expect(await echo({ type: 'int8', values: int8 })).toEqual(int8.map(String))
    const wide = [2n ** 63n - 1n, -(2n ** 63n), 0n]
    expect(await echo({ type: 'int8', values: wide })).toEqual(wide.map(String))
    const int4 = [0, -1, 2 ** 31 - 1, -(2 ** 31)]
    expect(await echo({ type: 'int4', values: int4 })).toEqual(int4.map(String))
  })

  it('holds every instant to the microsecond', async () => {
    const values = [0n, 1n, -1n, 946_684_800_000_000n, 1_637_907_739_123_456n, 253_402_300_799_999_999n]
    const micros = await echo({ type: 'timestamptz', values }, '(extract(epoch FROM value) * 1000000)::int8::text')
    expect(micros).toEqual(values.map(String))
  })

  it.each(['text', 'int8', 'int4', 'timestamptz'] as const)('may be empty (%s)', async type => {
    expect(await echo({ type, values: [] })).toEqual([])
  })
})
