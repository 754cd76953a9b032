import type { Delivery, Item, Order, Payment } from './order-schema.ts'

/**
 * Canonical JSON of an order: the bytes that are cached and served. Known fields only, in the order of the schema.
 * An order that comes from the judge, and one that is read back from the tables, give the same bytes.
 * @param order whose `date_created` is canonical (`formatInstant`), as the judge leaves it
 */
export function orderJson(order: Order): Buffer {
  return Buffer.from(JSON.stringify(knownOrder(order, order.date_created)))
}

/**
 * Copies the known fields, each by its name: an own `__proto__` or `constructor` of the input stays behind, and so does
 * everything unknown.
 * @param dateCreated takes the place of the order's own
 */
export function knownOrder(order: Order, dateCreated: string): Order {
  return {
    order_uid: order.order_uid,
    track_number: order.track_number,
    entry: order.entry,
    delivery: knownDelivery(order.delivery),
    payment: knownPayment(order.payment),
    items: order.items.map(knownItem),
    locale: order.locale,
    internal_signature: order.internal_signature,
    customer_id: order.customer_id,
    delivery_service: order.delivery_service,
    shardkey: order.shardkey,
    sm_id: order.sm_id + 0,
    date_created: dateCreated,
    oof_shard: order.oof_shard,
  }
}

function knownDelivery(delivery: Delivery): Delivery {
  const { name, phone, zip, city, address, region, email } = delivery
  return { name, phone, zip, city, address, region, email }
}

// `+ 0` turns a negative zero into zero: Postgres has only one, and what is served must not depend on where it comes from.
function knownPayment(payment: Payment): Payment {
  return {
    transaction: payment.transaction,
    request_id: payment.request_id,
    currency: payment.currency,
    provider: payment.provider,
    amount: payment.amount + 0,
    payment_dt: payment.payment_dt + 0,
    bank: payment.bank,
    delivery_cost: payment.delivery_cost + 0,
    goods_total: payment.goods_total + 0,
    custom_fee: payment.custom_fee + 0,
  }
}

function knownItem(item: Item): Item {
  return {
    chrt_id: item.chrt_id + 0,
    track_number: item.track_number,
    price: item.price + 0,
    rid: item.rid,
    name: item.name,
    sale: item.sale + 0,
    size: item.size,
    total_price: item.total_price + 0,
    nm_id: item.nm_id + 0,
    brand: item.brand,
    status: item.status + 0,
  }
}
