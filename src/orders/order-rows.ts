import type { Origin } from '../core/record.ts'
import type { PageQuery, ValueQueries } from '../engine/value-sql.ts'
import { canonicalInstant, formatInstant, isInstant } from '../engine/values/instant.ts'
import { orderJson } from './order-json.ts'
import type { Item } from './order-schema.ts'

interface SourceRow {
  readonly source_topic: string
  readonly source_partition: number
  readonly source_offset: string
  readonly source_timestamp: string
}

/** `int8` and `numeric` arrive as text, which keeps them exact; inside the JSON of the items they are numbers. */
interface OrderRow extends SourceRow {
  readonly order_uid: string
  readonly track_number: string
  readonly entry: string
  readonly locale: string
  readonly internal_signature: string
  readonly customer_id: string
  readonly delivery_service: string
  readonly shardkey: string
  readonly sm_id: string
  readonly created_micros: string
  readonly oof_shard: string
  readonly name: string
  readonly phone: string
  readonly zip: string
  readonly city: string
  readonly address: string
  readonly region: string
  readonly email: string
  readonly transaction: string
  readonly request_id: string
  readonly currency: string
  readonly provider: string
  readonly amount: string
  readonly payment_dt: string
  readonly bank: string
  readonly delivery_cost: string
  readonly goods_total: string
  readonly custom_fee: string
  readonly items: readonly Item[]
}

/** One query for all four tables: measured, 1.8 times as fast as one for each. `extract` is exact (numeric). */
const SELECT = `
  SELECT o.order_uid, o.track_number, o.entry, o.locale, o.internal_signature, o.customer_id, o.delivery_service,
    o.shardkey, o.sm_id, (extract(epoch FROM o.date_created) * 1000000)::int8 AS created_micros, o.oof_shard,
    o.source_topic, o.source_partition, o.source_offset, o.source_timestamp,
    d.name, d.phone, d.zip, d.city, d.address, d.region, d.email,
    p.transaction, p.request_id, p.currency, p.provider, p.amount, p.payment_dt, p.bank, p.delivery_cost,
    p.goods_total, p.custom_fee,
    (SELECT coalesce(json_agg(json_build_object(
        'chrt_id', i.chrt_id, 'track_number', i.track_number, 'price', i.price, 'rid', i.rid, 'name', i.name,
        'sale', i.sale, 'size', i.size, 'total_price', i.total_price, 'nm_id', i.nm_id, 'brand', i.brand,
        'status', i.status) ORDER BY i.position), '[]')
      FROM items AS i WHERE i.order_uid = o.order_uid) AS items
  FROM orders AS o JOIN deliveries AS d USING (order_uid) JOIN payments AS p USING (order_uid)`

/** Rows of the four tables as the order's canonical JSON. Newest is the latest `date_created`, then the greatest key. */
export const orderQueries: ValueQueries = {
  list: {
    by: ['customer_id'],
    canonicalDate: text => (isInstant(text) ? canonicalInstant(text) : undefined),
  },
  one: { name: 'order_one', text: `${SELECT} WHERE o.order_uid = $1` },
  many: { name: 'order_many', text: `${SELECT} WHERE o.order_uid = ANY ($1::text[])` },
  newest: {
    name: 'orders_newest',
    text: `${SELECT} WHERE (o.date_created, o.order_uid) < ($2::timestamptz, $3)
      ORDER BY o.date_created DESC, o.order_uid DESC LIMIT $1`,
  },
  start: ['infinity', ''],
  page: pageOf,
  origin: {
    name: 'order_origin',
    text: `SELECT source_topic, source_partition, source_offset, source_timestamp FROM orders WHERE order_uid = $1`,
  },
  toOrigin: row => toOrigin(row as unknown as SourceRow),
  toValue(row) {
    // What the query above selects; the contract suite of the reader holds the two together.
    const order = row as unknown as OrderRow
    const created = formatInstant(BigInt(order.created_micros))
    return {
      stored: {
        key: order.order_uid,
        json: toJson(order, created),
        origin: toOrigin(order),
      },
      place: [created, order.order_uid],
    }
  },
}

/**
 * One text with customer and one without, so that each is planned for its own index (`orders_customer`, `orders_newest`);
 * the bounds that are not given are infinite ones. The index has the beginning of a customer alone, as migration 0013 says.
 */
function pageOf({ by, from, to, after, limit }: PageQuery) {
  const customerId = by.customer_id
  const [date, key] = after ?? ['infinity', '']
  const ofCustomer =
    customerId === undefined ? '' : 'left(o.customer_id, 128) = left($6::text, 128) AND o.customer_id = $6::text AND'
  return {
    name: customerId === undefined ? 'orders_page' : 'orders_page_customer',
    text: `${SELECT} WHERE ${ofCustomer} (o.date_created, o.order_uid) < ($2::timestamptz, $3)
      AND o.date_created >= $4::timestamptz AND o.date_created < $5::timestamptz
      ORDER BY o.date_created DESC, o.order_uid DESC LIMIT $1`,
    values: [
      ...[limit, date, key, from ?? '-infinity', to ?? 'infinity'],
      ...(customerId === undefined ? [] : [customerId]),
    ],
  }
}

function toOrigin(row: SourceRow): Origin {
  return {
    topic: row.source_topic,
    partition: row.source_partition,
    offset: BigInt(row.source_offset),
    timestampMs: Number(row.source_timestamp),
  }
}

function toJson(row: OrderRow, created: string): Buffer {
  const { name, phone, zip, city, address, region, email, transaction, request_id, currency, provider, bank } = row
  return orderJson({
    order_uid: row.order_uid,
    track_number: row.track_number,
    entry: row.entry,
    delivery: { name, phone, zip, city, address, region, email },
    payment: {
      ...{ transaction, request_id, currency, provider, bank },
      amount: Number(row.amount),
      payment_dt: Number(row.payment_dt),
      delivery_cost: Number(row.delivery_cost),
      goods_total: Number(row.goods_total),
      custom_fee: Number(row.custom_fee),
    },
    items: row.items,
    locale: row.locale,
    internal_signature: row.internal_signature,
    customer_id: row.customer_id,
    delivery_service: row.delivery_service,
    shardkey: row.shardkey,
    sm_id: Number(row.sm_id),
    date_created: created,
    oof_shard: row.oof_shard,
  })
}
