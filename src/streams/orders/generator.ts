import type { GeneratedRecord, GeneratorOptions } from '../../engine/generator.ts'
import { formatInstant } from '../../engine/values/instant.ts'
import { createRandom, hex32, type Random, scramble } from '../../engine/values/random.ts'
import { DELIVERY_SERVICES, MAIL_HOSTS, MAILBOXES, MARKETS, PRODUCTS, PROVIDERS, STATUSES } from './generator-data.ts'
import { FAULTS } from './generator-faults.ts'
import type { Delivery, Item, Order } from './schema.ts'

export interface GeneratedOrder extends GeneratedRecord {
  /** Key of the order that is to be stored; `null` for an invalid one. */
  readonly uid: string | null
}

export interface Generator {
  next(): GeneratedOrder
}

/** Orders of the generator are dated from here on: no clock is read. */
const BASE_MICROS = 1_704_067_200_000_000n // 2024-01-01T00:00:00Z

/** Updates reach back this far, so that a demo shows them on orders that are still in sight. */
const UPDATE_WINDOW = 10_000

/** Which of the independent streams of a seed. */
const STREAM = { course: 1, identity: 2, contents: 3 } as const

/**
 * Orders without end, and without memory: each is a function of seed, index and version, so an update needs no copy of
 * what it updates. Indices, and with them uids, do not repeat below 2^31 orders.
 */
export function createGenerator({ seed, invalidRatio, updatesRatio }: GeneratorOptions): Generator {
  // Both halves of the seed count; scrambled, so that neighbouring seeds share nothing.
  const root = scramble(seed) ^ scramble(Math.floor(seed / 0x1_0000_0000) + 0x9e3779b9)
  const stream = (kind: number, index: number, version = 0) =>
    createRandom([root ^ kind, index, scramble(version ^ (kind << 28))])
  let position = 0
  let orders = 0

  function build(index: number, version: number): Order {
    return createOrder(
      uidOf(root, index),
      index,
      stream(STREAM.identity, index),
      stream(STREAM.contents, index, version),
    )
  }

  return {
    next() {
      position += 1
      const course = stream(STREAM.course, position)
      if (course.chance(invalidRatio)) {
        // Its uid comes from the far end of the indices: it must not be the uid of a valid order.
        const order = build(0xffff_ffff - position, 0)
        const fault = course.pick(FAULTS)
        const value = fault.spoil(order, course)
        return { key: Buffer.from(order.order_uid), value, kind: 'invalid', uid: null, expect: fault.expect }
      }
      const isUpdate = orders > 0 && course.chance(updatesRatio)
      const index = isUpdate ? orders - course.between(1, Math.min(orders, UPDATE_WINDOW)) : orders
      if (!isUpdate) orders += 1
      const order = build(index, isUpdate ? position : 0)
      const value = Buffer.from(JSON.stringify(order))
      const uid = order.order_uid
      return { key: Buffer.from(uid), value, kind: isUpdate ? 'update' : 'new', uid, expect: null }
    },
  }
}

/** The first eight digits are one-to-one with the index, so no two orders of a seed share a uid. */
function uidOf(root: number, index: number): string {
  const unique = scramble(index ^ root)
  return `${hex32(unique)}${hex32(scramble(Math.imul(unique, 0x9e3779b1) ^ root)).slice(0, 7)}test`
}

/** @param identity what stays over all versions of an order; @param contents what a version changes */
function createOrder(uid: string, index: number, identity: Random, contents: Random): Order {
  const market = identity.pick(MARKETS)
  const [code, digits] = market.phone
  const [city, region] = identity.pick(market.cities)
  const trackNumber = `WB${identity.hex(10).toUpperCase()}`
  const createdMicros = BASE_MICROS + BigInt(index % 0x100_0000) * 1_370_000n + BigInt(identity.between(0, 999_999))
  const delivery: Delivery = {
    name: identity.pick(market.names),
    phone: `${code}${identity.between(10 ** (digits - 1), 10 ** digits - 1)}`,
    zip: market.zip.replace(/#/g, () => String(identity.between(0, 9))),
    city,
    address: `${identity.pick(market.streets)} ${identity.between(1, 240)}`,
    region,
    email: `${identity.pick(MAILBOXES)}${identity.between(1, 9_999)}@${identity.pick(MAIL_HOSTS)}`,
  }
  const items = Array.from({ length: contents.between(1, 5) }, () => createItem(trackNumber, contents))
  const goodsTotal = items.reduce((sum, item) => sum + item.total_price, 0)
  const deliveryCost = contents.between(0, 30) * 50
  const customFee = contents.chance(0.1) ? contents.between(1, 40) * 10 : 0
  return {
    order_uid: uid,
    track_number: trackNumber,
    entry: identity.pick(['WBIL', 'WBRU', 'WBEU']),
    delivery,
    payment: {
      transaction: uid,
      request_id: contents.chance(0.3) ? contents.hex(12) : '',
      currency: market.currency,
      provider: identity.pick(PROVIDERS),
      amount: goodsTotal + deliveryCost + customFee,
      payment_dt: Number(createdMicros / 1_000_000n) + contents.between(1, 600),
      bank: identity.pick(market.banks),
      delivery_cost: deliveryCost,
      goods_total: goodsTotal,
      custom_fee: customFee,
    },
    items,
    locale: market.locale,
    internal_signature: '',
    customer_id: `customer-${identity.between(1, 50_000)}`,
    delivery_service: identity.pick(DELIVERY_SERVICES),
    shardkey: String(identity.between(0, 9)),
    sm_id: identity.between(1, 999),
    date_created: writeDate(createdMicros, identity),
    oof_shard: String(identity.between(0, 3)),
  }
}

function createItem(trackNumber: string, random: Random): Item {
  const product = random.pick(PRODUCTS)
  const price = random.between(...product.prices)
  const sale = random.chance(0.5) ? random.between(1, 14) * 5 : 0
  return {
    chrt_id: random.between(1_000_000, 9_999_999),
    track_number: trackNumber,
    price,
    rid: `${random.hex(17)}test`,
    name: product.name,
    sale,
    size: random.pick(product.sizes),
    total_price: Math.floor((price * (100 - sale)) / 100),
    nm_id: random.between(1_000_000, 9_999_999),
    brand: product.brand,
    status: random.pick(STATUSES),
  }
}

/** The same instant in one of the ways in which producers write it. */
function writeDate(micros: bigint, random: Random): string {
  const wholeSecond = micros - (micros % 1_000_000n)
  const style = random.next()
  if (style < 0.8) return formatInstant(wholeSecond)
  if (style < 0.9) return formatInstant(micros)
  return formatInstant(wholeSecond + 10_800_000_000n).replace('Z', '+03:00')
}
