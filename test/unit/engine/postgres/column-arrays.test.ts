import { expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import { toQuery } from '#src/engine/postgres/binary.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { aRecord } from '../../../support/records.ts'
import { aReturnValue, type Return, returnSample, returns } from '../../../support/returns-definition.ts'

const stream = compileStream(returns, { topic: 't', dlqTopic: 'd', groupId: 'g', maxBytes: 1 << 20 })

/** As the pipeline has it: with its rows, or with its value alone. */
function readyOf(value: Return, road: 'scanned' | 'validated'): ReadyRecord<Return> {
  const record = aRecord({ value: Buffer.from(JSON.stringify(value)) })
  const verdict = road === 'scanned' ? stream.judge(record) : stream.validate(record)
  if (!verdict.ok) throw new Error(verdict.rejection.message)
  expect(verdict.rows !== undefined).toBe(road === 'scanned')
  const { key, rows } = verdict
  return road === 'scanned'
    ? { record, origin: record, key, rows, value: undefined as unknown as Return }
    : { record, origin: record, key, value: verdict.value }
}

const { pickup: _, ...withoutPickup } = returnSample
const values: readonly Return[] = [
  aReturnValue(),
  withoutPickup,
  aReturnValue({ reason: null, tags: [] }),
  aReturnValue({
    reason: 'я'.repeat(150),
    lines: Array.from({ length: 40 }, (_, n) => ({
      sku: `s${n}`,
      quantity: 1,
      price: n / 4,
      product: { name: 'Lace' },
    })),
  }),
]

it.each([
  ['none of them', []],
  ['the first', values.slice(0, 1)],
  ['one without the row of a table', values.slice(1, 2)],
  ['all', values],
])('the arrays of an upsert are those of the values, of records with rows: %s', (_name, some) => {
  const upserted = (ready: readonly ReadyRecord<Return>[]) => toQuery(stream.tables.upsert(ready)).values
  const expected = upserted(some.map(value => readyOf(value, 'validated')))
  expect(upserted(some.map(value => readyOf(value, 'scanned')))).toEqual(expected)
  // A batch has records of both kinds.
  const mixed = some.map((value, index) => readyOf(value, index % 2 === 0 ? 'scanned' : 'validated'))
  expect(upserted(mixed)).toEqual(expected)
})

it('entries that an earlier version had are counted by the rows', () => {
  const trimmed = (road: 'scanned' | 'validated') => stream.tables.trim(values.map(value => readyOf(value, road)))
  expect(trimmed('scanned')).toEqual(trimmed('validated'))
})
