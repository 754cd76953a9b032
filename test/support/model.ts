import { isDeepStrictEqual } from 'node:util'
import type { GeneratorOptions } from '#src/engine/generator.ts'
import { createGenerator, type GeneratedOrder } from '#src/streams/orders/generator.ts'
import { type Order, parseInstant } from './order.ts'
import type { Stream } from './stream.ts'

/** What the tables must hold in the end, worked out from the input alone: the newest version of each order. */
export interface Model {
  readonly orders: ReadonlyMap<string, Order>
  /** Those that must become dead letters. */
  readonly invalid: readonly GeneratedOrder[]
}

/** @param records in the order in which they are produced; an order keeps its key, and so its partition */
export function modelOf(records: readonly GeneratedOrder[]): Model {
  const orders = new Map<string, Order>()
  for (const { uid, value } of records) {
    if (uid !== null && value !== null) orders.set(uid, JSON.parse(value.toString()) as Order)
  }
  return { orders, invalid: records.filter(({ uid }) => uid === null) }
}

/** The first `count` records of the generator. */
export function generated(count: number, options: Partial<GeneratorOptions> & { seed: number }): GeneratedOrder[] {
  const generator = createGenerator({ invalidRatio: 0, updatesRatio: 0, ...options })
  return Array.from({ length: count }, () => generator.next())
}

type Row = Readonly<Record<string, unknown>>

/**
 * How the four tables differ from the model: a sentence for each order, none when they are equal, value for value. Reads
 * the columns by a query of its own, so that a fault of the product's reading side cannot hide one of its writing side.
 * @param among looks at these orders alone
 */
export async function differences(
  stream: Pick<Stream, 'query'>,
  { orders }: Pick<Model, 'orders'>,
  among?: readonly string[],
): Promise<string[]> {
  const rows = await stream.query<{
    uid: string
    stored: Row
    delivery: Row
    payment: Row
    items: Row[]
    micros: string
  }>(
    `SELECT order_uid AS uid, to_jsonb(orders) AS stored, to_jsonb(deliveries) AS delivery, to_jsonb(payments) AS payment,
       (SELECT jsonb_agg(to_jsonb(items) ORDER BY position) FROM items WHERE items.order_uid = orders.order_uid) AS items,
       (extract(epoch FROM date_created) * 1000000)::bigint AS micros
     FROM orders LEFT JOIN deliveries USING (order_uid) LEFT JOIN payments USING (order_uid)
     WHERE $1::text[] IS NULL OR order_uid = ANY($1)`,
    [among ?? null],
  )
  const missing = new Set(orders.keys())
  const found = rows.flatMap(({ uid, stored, delivery, payment, items, micros }) => {
    missing.delete(uid)
    const expected = orders.get(uid)
    if (expected === undefined) return [`${uid} is stored and should not be`]
    const actual = {
      ...only(stored, expected),
      date_created: micros,
      delivery: only(delivery, expected.delivery),
      payment: only(payment, expected.payment),
      items: items.map((item, position) => only(item, expected.items[position] ?? {})),
    }
    const wanted = { ...expected, date_created: String(parseInstant(expected.date_created)) }
    return isDeepStrictEqual(actual, wanted) ? [] : [`${uid} is stored otherwise than its newest version`]
  })
  return [...found, ...[...missing].map(uid => `${uid} is not stored`)]
}

/** The fields that the other one has; what else stands in a row (keys, positions, the source) is not the order's. */
function only(row: Row | null, like: object): Row {
  return Object.fromEntries(Object.keys(like).flatMap(name => (row !== null && name in row ? [[name, row[name]]] : [])))
}

/**
 * Every byte of the four tables in one text, with the transaction that wrote each row: equal before and after only when
 * nothing was written, not even the same values again.
 * @param without leaves this order out
 */
export async function fingerprint(stream: Stream, without = ''): Promise<string> {
  const tables = ['orders', 'deliveries', 'payments', 'items']
  const [row] = await stream.query<{ fingerprint: string }>(
    `SELECT concat_ws(' ', ${tables
      .map(
        name =>
          `(SELECT count(*) || ':' || md5(string_agg(t.xmin || t::text, '' ORDER BY t::text COLLATE "C")) FROM ${name} AS t WHERE order_uid <> $1)`,
      )
      .join(', ')}) AS fingerprint`,
    [without],
  )
  return row?.fingerprint ?? ''
}
