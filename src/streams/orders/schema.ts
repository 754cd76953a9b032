import type { FromSchema } from 'json-schema-to-ts'
import { TEXT_PATTERN } from '../../engine/values/text.ts'

/**
 * What an order is: the one truth, from which the types below, the validator and the mask (`createOrderValues` in `order.ts`), and
 * `schemas/order.schema.json` (written by `scripts/write-schema.ts`, held by a test) derive.
 *
 * Unknown properties are allowed, and dropped: a producer may be ahead of us. Everything known is required, and is never
 * coerced. Properties stand in the order in which they are served.
 */

/** Integers above this are not exact in JSON readers; `JSON.parse` rounds them, so the limit catches rounded ones too. */
const MAX_INTEGER = 9007199254740991

/** In characters (code points), as JSON Schema counts. */
const MAX_LENGTH = 1024

const text = { type: 'string', minLength: 1, maxLength: MAX_LENGTH, pattern: TEXT_PATTERN } as const
const textOrEmpty = { type: 'string', maxLength: MAX_LENGTH, pattern: TEXT_PATTERN } as const
const integer = { type: 'integer', minimum: 0, maximum: MAX_INTEGER } as const

const UID_PATTERN = '^[A-Za-z0-9_-]{1,64}$'

const itemSchema = {
  type: 'object',
  required: [
    'chrt_id',
    'track_number',
    'price',
    'rid',
    'name',
    'sale',
    'size',
    'total_price',
    'nm_id',
    'brand',
    'status',
  ],
  properties: {
    chrt_id: integer,
    track_number: text,
    price: integer,
    rid: text,
    name: text,
    sale: integer,
    size: text,
    total_price: integer,
    nm_id: integer,
    brand: text,
    status: integer,
  },
} as const

const deliverySchema = {
  type: 'object',
  required: ['name', 'phone', 'zip', 'city', 'address', 'region', 'email'],
  properties: {
    name: text,
    phone: text,
    zip: text,
    city: text,
    address: text,
    region: text,
    email: {
      description: 'An address, or empty.',
      type: 'string',
      maxLength: MAX_LENGTH,
      if: { minLength: 1 },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema, in an object that is not awaited
      then: { format: 'email' },
    },
  },
} as const

const paymentSchema = {
  type: 'object',
  required: [
    'transaction',
    'request_id',
    'currency',
    'provider',
    'amount',
    'payment_dt',
    'bank',
    'delivery_cost',
    'goods_total',
    'custom_fee',
  ],
  properties: {
    transaction: text,
    request_id: textOrEmpty,
    currency: { description: 'ISO 4217.', type: 'string', pattern: '^[A-Z]{3}$' },
    provider: text,
    amount: integer,
    payment_dt: { description: 'Seconds since the Unix epoch.', ...integer },
    bank: text,
    delivery_cost: integer,
    goods_total: integer,
    custom_fee: integer,
  },
} as const

export const orderSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  $id: 'urn:holdfast:order',
  title: 'Order',
  description: 'A full snapshot of one order: a later record for it replaces the earlier one as a whole.',
  type: 'object',
  required: [
    'order_uid',
    'track_number',
    'entry',
    'delivery',
    'payment',
    'items',
    'locale',
    'internal_signature',
    'customer_id',
    'delivery_service',
    'shardkey',
    'sm_id',
    'date_created',
    'oof_shard',
  ],
  properties: {
    order_uid: { description: 'Safe in a URL as it stands.', type: 'string', pattern: UID_PATTERN },
    track_number: text,
    entry: text,
    delivery: deliverySchema,
    payment: paymentSchema,
    items: { type: 'array', minItems: 1, maxItems: 10_000, items: itemSchema },
    locale: text,
    internal_signature: textOrEmpty,
    customer_id: text,
    delivery_service: text,
    shardkey: text,
    sm_id: integer,
    date_created: {
      description:
        'RFC 3339 with a zone, in UTC between 1970 and 9999, no leap second. Kept to the microsecond: further decimals are cut.',
      type: 'string',
      format: 'date-time',
    },
    oof_shard: text,
  },
} as const

/** Only what is named, and nothing to be changed: FromSchema leaves an index signature where unknown properties are allowed. */
type Known<T> = T extends readonly (infer E)[]
  ? readonly Known<E>[]
  : T extends object
    ? { readonly [K in keyof T as string extends K ? never : K]: Known<T[K]> }
    : T

export type Order = Known<FromSchema<typeof orderSchema>>
export type Item = Known<FromSchema<typeof itemSchema>>
export type Delivery = Known<FromSchema<typeof deliverySchema>>
export type Payment = Known<FromSchema<typeof paymentSchema>>
