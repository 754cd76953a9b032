import { describe, expect, it } from 'vitest'
import { compileStream } from '#src/engine/definition/compile.ts'
import { columnNames, type StreamPlan, type TablePlan } from '#src/engine/definition/plan.ts'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import { copyRowsOf } from '#src/engine/postgres/copy-rows.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createOrderStream } from '../../../support/order-stream.ts'
import { aReadyOrder } from '../../../support/orders.ts'
import { aRecord } from '../../../support/records.ts'
import { returnSample, returns } from '../../../support/returns-definition.ts'

const names = { topic: 'any', dlqTopic: 'any.dlq', groupId: 'any', maxBytes: 1_000_000 }
const orderStream = createOrderStream(names)
const returnStream = compileStream(returns, names)

const keptStream = compileStream<unknown>(
  {
    name: 'kept',
    schema: { type: 'object', required: ['id'], properties: { id: { type: 'string' }, more: { type: 'number' } } },
    key: '/id',
    tables: { kept: { columns: ['/more'] } },
    keep: 'value',
  },
  names,
)

/** Rows of what COPY is given: each field's bytes, `null` for NULL. */
function rowsIn(bytes: Buffer): (Buffer | null)[][] {
  expect(bytes.subarray(0, 19).toString('latin1')).toBe('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0')
  const rows: (Buffer | null)[][] = []
  let at = 19
  for (;;) {
    const fields = bytes.readInt16BE(at)
    at += 2
    if (fields === -1) break
    const row: (Buffer | null)[] = []
    for (let field = 0; field < fields; field++) {
      const length = bytes.readInt32BE(at)
      row.push(length === -1 ? null : bytes.subarray(at + 4, at + 4 + length))
      at += 4 + Math.max(length, 0)
    }
    rows.push(row)
  }
  expect(at).toBe(bytes.length)
  return rows
}

/** The elements of a binary array, as the upsert's parameters are. */
function elementsOf(array: Buffer): (Buffer | null)[] {
  const elements: (Buffer | null)[] = []
  for (let at = 20; at < array.length; ) {
    const length = array.readInt32BE(at)
    elements.push(length === -1 ? null : array.subarray(at + 4, at + 4 + length))
    at += 4 + Math.max(length, 0)
  }
  return elements
}

/** The upsert's parameters of a table, row by row, in the order in which COPY names its columns; without `stored_at`, which is none. */
function upsertRows(plan: StreamPlan, table: TablePlan, text: string, values: readonly Buffer[]): (Buffer | null)[][] {
  const insert = new RegExp(
    `INSERT INTO ${RegExp.escape(table.sqlName)}(?: AS stored)? \\(([^)]*)\\)\\s+SELECT .*? FROM unnest\\(([^)]*)\\)`,
  )
  const [, columns = '', parameters = ''] = insert.exec(text) ?? []
  const numbers = [...parameters.matchAll(/\$(\d+)/g)].map(([, number]) => Number(number) - 1)
  const byName = new Map(
    columns.split(', ').map((name, index) => [name, elementsOf(values[numbers[index] ?? -1] ?? Buffer.of())]),
  )
  const wanted = columnNames(plan, table).filter(name => byName.get(name)?.length !== 0)
  const length = Math.max(...[...byName.values()].map(elements => elements.length))
  return Array.from({ length }, (_, row) => wanted.map(name => byName.get(name)?.[row] ?? null))
}

describe('the rows that COPY is given', () => {
  const order = (uid: string, items: number) => aReadyOrder({ uid, items, offset: 2n ** 40n, timestampMs: -1 })
  const { pickup: _, tags: __, received_on: ___, ...less } = returnSample
  const aReturn = (value: unknown, offset: bigint): ReadyRecord<unknown> => {
    const record = aRecord({ topic: 'returns', offset, text: '{}' })
    return { record, origin: record, key: (value as { return_id: string }).return_id, value }
  }

  it.each([
    ['orders', orderStream.plan, orderStream.tables, [order('a', 1), order('ключ', 40), order('schlüssel', 2)]],
    [
      'returns',
      returnStream.plan,
      returnStream.tables,
      [aReturn(returnSample, 0n), aReturn({ ...less, reason: null }, 1n)],
    ],
    ['a whole value', keptStream.plan, keptStream.tables, [aReadyOrder({}), aReadyOrder({ uid: 'b' })]],
  ] as const)('hold the bytes of the upsert, field by field: %s', (_name, plan, tables, records) => {
    const { text, columns } = tables.upsert(records as never)
    const values = columns.map(encodeColumn)
    const data = copyRowsOf(plan)(records, 946_684_800_000_007n)
    for (const [index, table] of [plan.root, ...plan.children].entries()) {
      const rows = rowsIn(data[index]?.bytes ?? Buffer.of())
      expect(rows).toHaveLength(data[index]?.rows ?? -1)
      const isRoot = table.kind === 'root'
      for (const row of rows) expect(row).toHaveLength(columnNames(plan, table).length)
      if (isRoot) for (const row of rows) expect(row.pop()?.toString('hex')).toBe('0000000000000007')
      expect(rows).toEqual(upsertRows(plan, table, text, values))
    }
  })

  it('refuse what a column cannot hold, and quote nothing of it', () => {
    const encode = copyRowsOf(orderStream.plan)
    const spoiled = (over: object) => [{ ...order('a', 1), value: { ...order('a', 1).value, ...over } }]
    expect(() => encode(spoiled({ sm_id: 2 ** 53 }), 0n)).toThrow('a column of the type int8 cannot hold this number')
    expect(() => encode(spoiled({ locale: 7 }), 0n)).toThrow('a column of the type text cannot hold this number')
  })
})
