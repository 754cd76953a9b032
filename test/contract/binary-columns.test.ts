import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import type { Column } from '#src/engine/value-sql.ts'
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

  it('holds every decimal number to its last digit', async () => {
    const values = [
      '0',
      '-0',
      '1',
      '-12.50',
      '0.0001',
      '0.00001',
      '10000',
      '99999999.99',
      '1e21',
      '1.5e-7',
      '123456789012345678901234567890.5',
    ]
    expect(await echo({ type: 'numeric', values })).toEqual([
      ...['0', '0', '1', '-12.50', '0.0001', '0.00001', '10000', '99999999.99', '1000000000000000000000', '0.00000015'],
      '123456789012345678901234567890.5',
    ])
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { maxLength: 50 }),
        async doubles => {
          const echoed = await echo({ type: 'numeric', values: doubles.map(String) })
          expect(echoed.map(Number)).toEqual(doubles.map(double => double + 0))
          const exact = await echo({ type: 'float8', values: doubles })
          expect(exact.map(Number)).toEqual(doubles)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('holds every date, and no text that is none', async () => {
    const values = ['0001-01-01', '1969-12-31', '1970-01-01', '1999-12-31', '2000-01-01', '2024-02-29', '9999-12-31']
    expect(await echo({ type: 'date', values }, "to_char(value, 'YYYY-MM-DD')")).toEqual(values)
    for (const text of ['2023-02-29', '2024-2-1', 'tomorrow', '']) {
      expect(() => encodeColumn({ type: 'date', values: [text] })).toThrow(RangeError)
    }
  })

  it('holds booleans, uuids and JSON', async () => {
    expect(await echo({ type: 'bool', values: [true, false] })).toEqual(['true', 'false'])
    const uuids = ['3f1c1c2e-8f0b-4c3d-9a64-0242ac120002', '00000000-0000-0000-0000-000000000000']
    expect(await echo({ type: 'uuid', values: uuids })).toEqual(uuids)
    expect(await echo({ type: 'jsonb', values: ['{"b":[1,"\u00e9"],"a":null}', '"text"'] })).toEqual([
      '{"a": null, "b": [1, "\u00e9"]}',
      '"text"',
    ])
  })

  it.each<Column>([
    { type: 'text', values: [null, '', 'a', null] },
    { type: 'int8', values: [1, null, 2n] },
    { type: 'int4', values: [null] },
    { type: 'bool', values: [null, true] },
    { type: 'float8', values: [null, 1.5] },
    { type: 'numeric', values: ['1.5', null] },
    { type: 'date', values: [null, '2024-02-29'] },
    { type: 'uuid', values: [null, '3f1c1c2e-8f0b-4c3d-9a64-0242ac120002'] },
    { type: 'jsonb', values: ['null', null] },
  ])('tells NULL from every value ($type)', async column => {
    expect(await echo(column)).toEqual(column.values.map(value => (value === null ? null : String(value))))
  })

  it.each(['text', 'int8', 'int4', 'timestamptz', 'bool', 'float8', 'numeric', 'date', 'uuid', 'jsonb'] as const)(
    'may be empty (%s)',
    async type => {
      expect(await echo({ type, values: [] })).toEqual([])
    },
  )
})
