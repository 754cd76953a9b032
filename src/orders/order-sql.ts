import { timestampToInt64 } from '../core/timestamp.ts'
import type { Column, Statement, Tables } from '../engine/value-sql.ts'
import { parseInstant } from '../engine/values/instant.ts'
import type { ReadyRecord } from '../engine/verdict.ts'
import type { Item, Order } from './order.ts'

/** A column of a table, and where its values come from. */
interface Field<Row> {
  readonly name: string
  readonly type: Column['type']
  readonly column: (rows: readonly Row[]) => Column
}

function text<Row>(name: string, of: (row: Row) => string): Field<Row> {
  return { name, type: 'text', column: rows => ({ type: 'text', values: rows.map(of) }) }
}
function int8<Row>(name: string, of: (row: Row) => number | bigint): Field<Row> {
  return { name, type: 'int8', column: rows => ({ type: 'int8', values: rows.map(of) }) }
}
function int4<Row>(name: string, of: (row: Row) => number): Field<Row> {
  return { name, type: 'int4', column: rows => ({ type: 'int4', values: rows.map(of) }) }
}
function timestamptz<Row>(name: string, of: (row: Row) => bigint): Field<Row> {
  return { name, type: 'timestamptz', column: rows => ({ type: 'timestamptz', values: rows.map(of) }) }
}

type Ready = ReadyRecord<Order>
interface ItemRow {
  readonly key: string
  readonly position: number
  readonly item: Item
}

const UID: Field<Ready> = text('order_uid', row => row.key)
const SOURCE: readonly Field<Ready>[] = [
  text('source_topic', row => row.origin.topic),
  int4('source_partition', row => row.origin.partition),
  int8('source_offset', row => row.origin.offset),
  int8('source_timestamp', row => timestampToInt64(row.origin.timestampMs)),
]
const ORDER: readonly Field<Ready>[] = [
  text('track_number', row => row.value.track_number),
  text('entry', row => row.value.entry),
  text('locale', row => row.value.locale),
  text('internal_signature', row => row.value.internal_signature),
  text('customer_id', row => row.value.customer_id),
  text('delivery_service', row => row.value.delivery_service),
  text('shardkey', row => row.value.shardkey),
  int8('sm_id', row => row.value.sm_id),
  timestamptz('date_created', row => parseInstant(row.value.date_created)),
  text('oof_shard', row => row.value.oof_shard),
]
const DELIVERY: readonly Field<Ready>[] = [
  text('name', row => row.value.delivery.name),
  text('phone', row => row.value.delivery.phone),
  text('zip', row => row.value.delivery.zip),
  text('city', row => row.value.delivery.city),
  text('address', row => row.value.delivery.address),
  text('region', row => row.value.delivery.region),
  text('email', row => row.value.delivery.email),
]
const PAYMENT: readonly Field<Ready>[] = [
  text('transaction', row => row.value.payment.transaction),
  text('request_id', row => row.value.payment.request_id),
  text('currency', row => row.value.payment.currency),
  text('provider', row => row.value.payment.provider),
  int8('amount', row => row.value.payment.amount),
  int8('payment_dt', row => row.value.payment.payment_dt),
  text('bank', row => row.value.payment.bank),
  int8('delivery_cost', row => row.value.payment.delivery_cost),
  int8('goods_total', row => row.value.payment.goods_total),
  int8('custom_fee', row => row.value.payment.custom_fee),
]
const ITEM_KEY: readonly Field<ItemRow>[] = [text('order_uid', row => row.key), int4('position', row => row.position)]
const ITEM: readonly Field<ItemRow>[] = [
  int8('chrt_id', row => row.item.chrt_id),
  text('track_number', row => row.item.track_number),
  int8('price', row => row.item.price),
  text('rid', row => row.item.rid),
  text('name', row => row.item.name),
  int8('sale', row => row.item.sale),
  text('size', row => row.item.size),
  int8('total_price', row => row.item.total_price),
  int8('nm_id', row => row.item.nm_id),
  text('brand', row => row.item.brand),
  int8('status', row => row.item.status),
]

/** `$1` is the key, which three tables share; then the other fields of an order, then those of its items. */
const ORDER_FIELDS = [UID, ...SOURCE, ...ORDER, ...DELIVERY, ...PAYMENT]
const ITEM_FIELDS = [...ITEM_KEY, ...ITEM]
const FIELDS: readonly Field<never>[] = [...ORDER_FIELDS, ...ITEM_FIELDS]

function namesOf(fields: readonly Field<never>[]): string {
  return fields.map(field => field.name).join(', ')
}

/** `unnest($1::text[], …) AS input (order_uid, …)`: the rows of these fields. */
function rowsOf(fields: readonly Field<never>[]): string {
  const parameters = fields.map(field => `$${FIELDS.indexOf(field) + 1}::${field.type}[]`)
  return `unnest(${parameters.join(', ')}) AS input (${namesOf(fields)})`
}

function replace(fields: readonly Field<never>[]): string {
  return fields.map(({ name }) => `${name} = excluded.${name}`).join(', ')
}

/** The other three tables follow `orders`: only what it took is written there. */
function insertWritten(table: string, key: readonly Field<never>[], fields: readonly Field<never>[]): string {
  return `INSERT INTO ${table} (${namesOf([...key, ...fields])})
    SELECT * FROM ${rowsOf([...key, ...fields])} WHERE input.order_uid IN (SELECT order_uid FROM written)
    ON CONFLICT (${namesOf(key)}) DO UPDATE SET ${replace(fields)}`
}

/**
 * One statement, four tables. `orders` goes first, under the stale guard, and the row locks that it takes (in the order
 * of the input, which is sorted by key) keep every other writer of these orders out until the end of the transaction.
 *
 * The guard says what `compareOrigins` says; a contract test holds the two together.
 *
 * Whether a row was inserted or replaced must be known for certain, also when another transaction inserted it after this
 * statement took its snapshot; neither a look at the table beforehand nor in this statement would see that row. So it is
 * read from the row that was written: an insert stores the transaction's start as `stored_at`, an update something later.
 * (`xmax = 0`, the usual trick, is no documented behaviour, and fails on partitioned tables; `RETURNING old` needs 18.)
 *
 * What was not written is a duplicate when the stored position is the arriving one, else stale. The look at the stored
 * row uses the statement's snapshot: two readings of one record at the same moment may count one of them as stale.
 * The scalar subquery, unlike EXISTS, is never planned as a hash of the whole table.
 */
const UPSERT = `
  WITH written AS (
    INSERT INTO orders AS stored (${namesOf([UID, ...SOURCE, ...ORDER])}, stored_at)
    SELECT input.*, now() FROM ${rowsOf([UID, ...SOURCE, ...ORDER])}
    ON CONFLICT (order_uid) DO UPDATE
      SET ${replace([...SOURCE, ...ORDER])}, stored_at = greatest(now(), stored.stored_at) + interval '1 microsecond'
      WHERE CASE
        WHEN stored.source_topic = excluded.source_topic AND stored.source_partition = excluded.source_partition
        THEN excluded.source_offset > stored.source_offset
        ELSE excluded.source_timestamp >= stored.source_timestamp
      END
    RETURNING stored.order_uid, stored.stored_at <> now() AS replaced
  ), delivery AS (
    ${insertWritten('deliveries', [UID], DELIVERY)}
  ), payment AS (
    ${insertWritten('payments', [UID], PAYMENT)}
  ), item AS (
    ${insertWritten('items', ITEM_KEY, ITEM)}
  )
  SELECT input.order_uid AS key,
    CASE
      WHEN written.order_uid IS NOT NULL THEN 'written'
      WHEN (
        SELECT (stored.source_topic, stored.source_partition, stored.source_offset)
             = (input.source_topic, input.source_partition, input.source_offset)
        FROM orders AS stored WHERE stored.order_uid = input.order_uid
      ) THEN 'duplicate'
      ELSE 'stale'
    END AS outcome,
    coalesce(written.replaced, false) AS replaced
  FROM ${rowsOf([UID, ...SOURCE])} LEFT JOIN written ON written.order_uid = input.order_uid`

const TRIM = `
  DELETE FROM items USING unnest($1::text[], $2::int4[]) AS kept (order_uid, count)
  WHERE items.order_uid = kept.order_uid AND items.position >= kept.count`

/** Orders as rows of `orders`, `deliveries`, `payments` and `items` (migrations/0001). */
export const orderTables: Tables<Order> = {
  upsert(records: readonly Ready[]): Statement {
    const items: ItemRow[] = []
    for (const { key, value } of records) {
      for (const [position, item] of value.items.entries()) items.push({ key, position, item })
    }
    const columns = [
      ...ORDER_FIELDS.map(field => field.column(records)),
      ...ITEM_FIELDS.map(field => field.column(items)),
    ]
    return { name: 'orders_upsert', text: UPSERT, columns }
  },
  trim(records: readonly Ready[]): Statement {
    return {
      name: 'orders_trim',
      text: TRIM,
      columns: [
        { type: 'text', values: records.map(record => record.key) },
        { type: 'int4', values: records.map(record => record.value.items.length) },
      ],
    }
  },
}
