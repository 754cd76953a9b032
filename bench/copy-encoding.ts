/** Orders as COPY takes them in binary: a stream of tuples for each of the four tables. */
import { columnNames, STORED_AT, type TablePlan } from '#src/engine/definition/plan.ts'
import { encodeColumn } from '#src/engine/postgres/binary.ts'
import { identifier } from '#src/engine/postgres/identifiers.ts'
import type { Column } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import type { Order } from '../test/support/order.ts'
import { orderPlan, orderTables } from '../test/support/order-stream.ts'

/** Signature, flags and length of the header's extension (documentation of COPY, "Binary Format"). */
const HEAD = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
/** The number of fields -1 ends the stream. */
const END = Buffer.from([0xff, 0xff])
/** Ahead of the elements of a binary array (`encodeColumn`). */
const ARRAY_HEAD_BYTES = 20
const LENGTH_BYTES = 4

/** Of each table a stream of tuples, in the order of {@link copyText}. */
export type CopyBatch = readonly Buffer[]

const tables = [orderPlan.root, ...orderPlan.children]

/** One transaction: a COPY for each table, whose streams may be sent right behind it. */
export const copyText = ['BEGIN', ...tables.map(copyInto), 'COMMIT'].join('; ')

function copyInto(table: TablePlan): string {
  const columns = fieldsOf(table).map(identifier).join(', ')
  return `COPY ${identifier(table.name)} (${columns}) FROM STDIN (FORMAT binary)`
}

/**
 * A binary array and a tuple hold an element alike, its length and its bytes; so tuples are put together from the parameters of
 * the upsert, which stand in the order of {@link fieldsOf}, the key of a table with a row for each order left out.
 */
export function encodeCopy(records: readonly ReadyRecord<Order>[]): CopyBatch {
  const { columns } = orderTables.upsert(records)
  const left = [...columns]
  const take = (count: number) => left.splice(0, count)
  const [key, ...root] = take(fieldsOf(orderPlan.root).length - 1)
  if (key === undefined) throw new RangeError('the upsert has no parameters')
  const storedAt: Column = { type: 'timestamptz', values: records.map(() => BigInt(Date.now()) * 1000n) }
  const streams = new Map([[orderPlan.root, [key, ...root, storedAt]]])
  for (const child of orderPlan.children.filter(({ kind }) => kind === 'one')) {
    streams.set(child, [key, ...take(child.columns.length)])
  }
  for (const child of orderPlan.children.filter(({ kind }) => kind === 'many')) {
    streams.set(child, take(fieldsOf(child).length))
  }
  return tables.map(table => tuples(streams.get(table) ?? []))
}

/** Columns in the order of the upsert's parameters: of the root table where the record stands comes behind the key. */
function fieldsOf(table: TablePlan): readonly string[] {
  const names = columnNames(orderPlan, table)
  if (table.kind !== 'root') return names
  const own = table.columns.map(({ name }) => name)
  return [...names.filter(name => !own.includes(name) && name !== STORED_AT), ...own, STORED_AT]
}

function tuples(columns: readonly Column[]): Buffer {
  const arrays = columns.map(encodeColumn)
  const at = columns.map(() => ARRAY_HEAD_BYTES)
  const count = Buffer.from([0, columns.length])
  const parts: Buffer[] = [HEAD]
  for (const _ of columns[0]?.values ?? []) {
    parts.push(count)
    for (const [i, array] of arrays.entries()) {
      const start = at[i] ?? 0
      const end = start + LENGTH_BYTES + Math.max(0, array.readInt32BE(start))
      parts.push(array.subarray(start, end))
      at[i] = end
    }
  }
  return Buffer.concat([...parts, END])
}
