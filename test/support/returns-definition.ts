import { defineStream, type ValueOf } from '#src/engine/definition.ts'

const money = { type: 'number', minimum: 0, maximum: 1_000_000 } as const
const text = { type: 'string', minLength: 1, maxLength: 200 } as const

/** What a team would bring: nested objects, an address, lines with two levels of fields, optional fields, decimals, dates, a uuid as key. */
const returnsSchema = {
  $schema: 'https://json-schema.org/draft/2020-12/schema',
  title: 'Return',
  type: 'object',
  required: ['return_id', 'created_at', 'customer', 'address', 'total', 'lines'],
  properties: {
    return_id: { type: 'string', format: 'uuid' },
    created_at: { type: 'string', format: 'date-time' },
    received_on: { type: 'string', format: 'date' },
    reason: { type: ['string', 'null'], maxLength: 200 },
    customer: {
      type: 'object',
      required: ['id', 'email'],
      properties: { id: text, email: { type: 'string', format: 'email' }, since: { type: 'integer', minimum: 1970 } },
    },
    address: { $ref: '#/$defs/address' },
    pickup: { $ref: '#/$defs/address' },
    total: money,
    weight_kg: { type: 'number', minimum: 0 },
    is_express: { type: 'boolean' },
    tags: { type: 'array', items: { type: 'string' } },
    lines: {
      type: 'array',
      minItems: 1,
      maxItems: 100,
      items: {
        type: 'object',
        required: ['sku', 'quantity', 'price', 'product'],
        properties: {
          sku: text,
          quantity: { type: 'integer', minimum: 1, maximum: 1000 },
          price: money,
          opened: { type: 'boolean' },
          bought_at: { type: 'string', format: 'date-time' },
          product: {
            type: 'object',
            required: ['name'],
            properties: { name: text, category: { type: 'string' } },
          },
          photos: { type: 'array', items: { type: 'object', properties: { url: { type: 'string' } } } },
        },
      },
    },
  },
  $defs: {
    address: {
      type: 'object',
      required: ['street', 'city'],
      properties: { street: text, city: text, zip: { type: 'string' } },
    },
  },
} as const

export type Return = ValueOf<typeof returnsSchema>

/** A second stream beside orders. `reason` may be null and absent, and so its null is left out. */
export const returns = defineStream({
  name: 'returns',
  schema: returnsSchema,
  key: '/return_id',
  tables: {
    returns: {
      columns: [
        '/created_at',
        '/received_on',
        '/reason',
        { at: '/customer/id', as: 'customer_id' },
        { at: '/customer/email', as: 'customer_email' },
        { at: '/customer/since', as: 'customer_since', type: 'integer' },
        { at: '/total', type: 'numeric(12,2)' },
        '/weight_kg',
        '/is_express',
        '/tags',
        { as: 'line_count', type: 'integer', from: value => value.lines.length },
      ],
    },
    return_addresses: { at: '/address' },
    return_pickups: { at: '/pickup' },
    return_lines: {
      each: '/lines',
      columns: [
        '/sku',
        '/quantity',
        { at: '/price', type: 'numeric(12,2)' },
        '/opened',
        '/bought_at',
        { at: '/product/name', as: 'product' },
        { at: '/product/category', as: 'category' },
        '/photos',
      ],
    },
  },
  list: { newest: '/created_at', by: ['/customer/id'] },
  personal: ['/customer/email', '/address', '/pickup'],
})

export const returnSample = {
  return_id: '3f1c1c2e-8f0b-4c3d-9a64-0242ac120002',
  created_at: '2026-03-01T10:20:30.123456Z',
  received_on: '2026-03-04',
  reason: 'too small',
  customer: { id: 'c-77', email: 'anna@example.com', since: 2019 },
  address: { street: 'Main Street 1', city: 'Utrecht', zip: '3511' },
  pickup: { street: 'Depot 4', city: 'Utrecht' },
  total: 129.95,
  weight_kg: 1.25,
  is_express: false,
  tags: ['shoes', 'spring'],
  lines: [
    {
      sku: 'shoe-42',
      quantity: 1,
      price: 119.9,
      opened: true,
      bought_at: '2026-02-11T08:00:00Z',
      product: { name: 'Shoe', category: 'footwear' },
      photos: [{ url: 'https://example.com/1.jpg' }],
    },
    { sku: 'lace', quantity: 2, price: 5.05, product: { name: 'Lace' } },
  ],
} satisfies Return

/** A return, with what a test wants otherwise. */
export function aReturnValue(over: Partial<Return> = {}): Return {
  return { ...returnSample, ...over }
}
