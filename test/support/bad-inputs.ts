import { gzipSync } from 'node:zlib'
import type { Reason } from '#src/engine/dead-letter.ts'
import { modelOrder as model } from './orders.ts'

/**
 * Every input that must become a dead letter for its bytes alone, and the reason, the error and the pointer that it must
 * get. The number in a name is that of a list of bad inputs; one list for the judge by itself and for the whole service.
 */
export interface BadInput {
  readonly name: string
  readonly value: Buffer | null
  readonly reason: Reason
  readonly error: string
  readonly pointer: string
}

/** The limit under which the list is made: below what a broker takes with its usual settings, framing included. */
export const MAX_BYTES = 960_000

const [item] = model.items

/** The model with parts replaced; `undefined` leaves one out. */
export const order = (change: object) => ({ ...model, ...change })
export const payment = (change: object) => order({ payment: { ...model.payment, ...change } })
export const delivery = (change: object) => order({ delivery: { ...model.delivery, ...change } })
export const withItem = (change: object) => order({ items: [{ ...item, ...change }] })
/** The model's text with one number written as no JSON.stringify would. */
export const rawAmount = (digits: string) => JSON.stringify(model).replace('"amount":1817', `"amount":${digits}`)

/** The bytes of an input: as they are, of a text, or of a value's JSON. */
export function bytesOf(input: unknown): Buffer | null {
  if (input === null || Buffer.isBuffer(input)) return input
  return Buffer.from(typeof input === 'string' ? input : JSON.stringify(input))
}

type Row = readonly [name: string, input: unknown, reason: Reason, error: string, pointer?: string]

const rows: readonly Row[] = [
  ['1: a tombstone', null, 'empty_value', 'tombstone'],
  ['2: zero bytes', '', 'empty_value', 'zero_bytes'],
  ['3: spaces only', '   ', 'malformed_json', 'not_json'],
  ['4: null', 'null', 'schema_violation', 'type', ''],
  ['5: an array', '[]', 'schema_violation', 'type', ''],
  ['6: a string', '"x"', 'schema_violation', 'type', ''],
  ['6: a number', '5', 'schema_violation', 'type', ''],
  ['6: true', 'true', 'schema_violation', 'type', ''],
  ['6: null in a list', '[null]', 'schema_violation', 'type', ''],
  ['7: truncated', JSON.stringify(model).slice(0, -5), 'malformed_json', 'not_json'],
  ['8: text after it', `${JSON.stringify(model)} x`, 'malformed_json', 'not_json'],
  ['9: two objects', `${JSON.stringify(model)}\n${JSON.stringify(model)}`, 'malformed_json', 'not_json'],
  ['10: single quotes', "{'a':1}", 'malformed_json', 'not_json'],
  ['10: a comment', '{"a":1 /* b */}', 'malformed_json', 'not_json'],
  ['10: NaN', rawAmount('NaN'), 'malformed_json', 'not_json'],
  ['11: two byte order marks', `\ufeff\ufeff${JSON.stringify(model)}`, 'malformed_json', 'not_json'],
  ['12: UTF-16', Buffer.from(`\ufeff${JSON.stringify(model)}`, 'utf16le'), 'malformed_json', 'not_utf8'],
  ['13: ff fe in a string', withBytes('"name":"', [0xff, 0xfe]), 'malformed_json', 'not_utf8'],
  ['13: a surrogate encoded', withBytes('"name":"', [0xed, 0xa0, 0x80]), 'malformed_json', 'not_utf8'],
  ['13: an overlong slash', withBytes('"name":"', [0xc0, 0xaf]), 'malformed_json', 'not_utf8'],
  ['14: gzip', gzipSync(JSON.stringify(model)), 'malformed_json', 'not_utf8'],
  ['14: Avro', Buffer.from([0, 0, 0, 0, 1, 2, 8]), 'malformed_json', 'not_json'],
  ['14: protobuf', Buffer.from([0x0a, 0x03, 0x61, 0x62, 0x63, 0x10, 0x01]), 'malformed_json', 'not_json'],
  ['14: protobuf with a large number', Buffer.from([0x08, 0x96, 0x01]), 'malformed_json', 'not_utf8'],
  ['18: 200,000 brackets', '['.repeat(200_000) + ']'.repeat(200_000), 'schema_violation', 'max_depth', ''],
  ['18: 200,000 open brackets', '['.repeat(200_000), 'malformed_json', 'not_json'],
  ['18: 33 deep in an unknown field', order({ deep: nested(32) }), 'schema_violation', 'max_depth', ''],
  ['19: one byte too many', padded(MAX_BYTES + 1), 'too_large', 'max_bytes'],
  ['20: 10,001 items', order({ items: Array(10_001).fill(1) }), 'schema_violation', 'maxItems', '/items'],
  ['21: no items', order({ items: [] }), 'schema_violation', 'minItems', '/items'],
  ['22: items missing', order({ items: undefined }), 'schema_violation', 'required', '/items'],
  ['23: items as an object', order({ items: {} }), 'schema_violation', 'type', '/items'],
  ['24: 100,001 bad items', order({ items: Array(100_001).fill({}) }), 'schema_violation', 'maxItems', '/items'],
  ['25: no order_uid', order({ order_uid: undefined }), 'schema_violation', 'required', '/order_uid'],
  ['26: an empty order_uid', order({ order_uid: '' }), 'schema_violation', 'pattern', '/order_uid'],
  ['27: 10,000 characters', order({ order_uid: 'a'.repeat(10_000) }), 'schema_violation', 'pattern', '/order_uid'],
  ['27: 65 characters', order({ order_uid: 'a'.repeat(65) }), 'schema_violation', 'pattern', '/order_uid'],
  ['32: NUL in a name', delivery({ name: 'a\u0000b' }), 'schema_violation', 'pattern', '/delivery/name'],
  [
    '32: NUL in an optional text',
    payment({ request_id: '\u0000' }),
    'schema_violation',
    'pattern',
    '/payment/request_id',
  ],
  ['32: NUL in an item', withItem({ brand: '\u0000' }), 'schema_violation', 'pattern', '/items/0/brand'],
  ['32: NUL in an e-mail', delivery({ email: 'a\u0000@x.com' }), 'schema_violation', 'format', '/delivery/email'],
  ['33: a high surrogate', delivery({ city: 'a\ud800' }), 'schema_violation', 'pattern', '/delivery/city'],
  ['33: a low surrogate', order({ locale: '\udc00a' }), 'schema_violation', 'pattern', '/locale'],
  ['38: amount "100"', payment({ amount: '100' }), 'schema_violation', 'type', '/payment/amount'],
  ['39: amount null', payment({ amount: null }), 'schema_violation', 'type', '/payment/amount'],
  ['40: amount true', payment({ amount: true }), 'schema_violation', 'type', '/payment/amount'],
  ['42: amount 19.99', payment({ amount: 19.99 }), 'schema_violation', 'type', '/payment/amount'],
  ['43: 2^53 + 1', rawAmount('9007199254740993'), 'schema_violation', 'maximum', '/payment/amount'],
  ['43: 2^53', rawAmount('9007199254740992'), 'schema_violation', 'maximum', '/payment/amount'],
  ['44: 1e400', rawAmount('1e400'), 'schema_violation', 'type', '/payment/amount'],
  ['45: a negative price', withItem({ price: -1 }), 'schema_violation', 'minimum', '/items/0/price'],
  ['46: a sale beyond exact integers', withItem({ sale: 2 ** 53 }), 'schema_violation', 'maximum', '/items/0/sale'],
  ['47: beyond int8', rawAmount('9223372036854775808'), 'schema_violation', 'maximum', '/payment/amount'],
  ['54: a negative payment_dt', payment({ payment_dt: -1 }), 'schema_violation', 'minimum', '/payment/payment_dt'],
  [
    '56: markup for an e-mail',
    delivery({ email: '"<script>"@x.com' }),
    'schema_violation',
    'format',
    '/delivery/email',
  ],
  ['56: an endless phone', delivery({ phone: '1'.repeat(1_025) }), 'schema_violation', 'maxLength', '/delivery/phone'],
  ['56: an endless zip', delivery({ zip: '1'.repeat(1_025) }), 'schema_violation', 'maxLength', '/delivery/zip'],
  ['58: no delivery', order({ delivery: undefined }), 'schema_violation', 'required', '/delivery'],
  ['58: no payment', order({ payment: undefined }), 'schema_violation', 'required', '/payment'],
  ['58: delivery as an array', order({ delivery: [] }), 'schema_violation', 'type', '/delivery'],
  ['58: a field of payment missing', payment({ bank: undefined }), 'schema_violation', 'required', '/payment/bank'],
  ['58: an item that is null', order({ items: [item, null] }), 'schema_violation', 'type', '/items/1'],
  [
    '64: a name of 1,025 characters',
    delivery({ name: 'я'.repeat(1_025) }),
    'schema_violation',
    'maxLength',
    '/delivery/name',
  ],
  [
    '64: dots of 900 KB for an e-mail',
    delivery({ email: 'a.'.repeat(450_000) }),
    'schema_violation',
    'format',
    '/delivery/email',
  ],
  [
    '64: an endless e-mail',
    delivery({ email: `${'a'.repeat(1_025)}@x.com` }),
    'schema_violation',
    'maxLength',
    '/delivery/email',
  ],
  [
    '65: bait for a regular expression',
    delivery({ email: `${'a.'.repeat(25_000)}@` }),
    'schema_violation',
    'format',
    '/delivery/email',
  ],
  ['an empty name', delivery({ name: '' }), 'schema_violation', 'minLength', '/delivery/name'],
]
const badUids = ['a b', 'a/b', '..', '%2e', '😀', 'a\u200fb', 'a\n']
const badCurrencies = ['usd', '', 'XXXX', 'US', 'USD\n']
const badDates: readonly (readonly [row: string, date: string])[] = [
  ['49: a day that never was', '2024-02-30T00:00:00Z'],
  ['49: 29 February of a common year', '2100-02-29T00:00:00Z'],
  ['49: month 13', '2024-13-01T00:00:00Z'],
  ['50: a leap second', '2016-12-31T23:59:60Z'],
  ['52: no zone', '2024-01-01T00:00:00'],
  ['52: zone +25:00', '2024-01-01T00:00:00+25:00'],
  ['52: zone of 60 minutes', '2024-01-01T00:00:00+01:60'],
  ['52: hour 24', '2024-01-01T24:00:00Z'],
  ['52: infinity', 'infinity'],
  ['52: tomorrow', 'tomorrow'],
  ['52: a date alone', '2024-01-01'],
  ['53: year 0000', '0000-01-01T00:00:00Z'],
  ['53: year 0070', '0070-01-01T00:00:00Z'],
  ['53: year 294277', '294277-01-01T00:00:00Z'],
  ['53: year 1900', '1900-01-01T00:00:00Z'],
  ['53: 1969 in UTC', '1970-01-01T00:59:59+01:00'],
  ['53: 10000 in UTC', '9999-12-31T23:59:59-00:01'],
]

const all: readonly Row[] = [
  ...rows,
  ...badUids.map(
    (uid): Row => [
      `28: uid ${JSON.stringify(uid)}`,
      order({ order_uid: uid }),
      'schema_violation',
      'pattern',
      '/order_uid',
    ],
  ),
  ...badCurrencies.map(
    (currency): Row => [
      `55: currency ${JSON.stringify(currency)}`,
      payment({ currency }),
      'schema_violation',
      'pattern',
      '/payment/currency',
    ],
  ),
  ...badDates.map(
    ([name, date_created]): Row => [name, order({ date_created }), 'schema_violation', 'format', '/date_created'],
  ),
]

export const badInputs: readonly BadInput[] = all.map(([name, input, reason, error, pointer = '']) => {
  return { name, value: bytesOf(input), reason, error, pointer }
})

/** The model's bytes with these put right after the first `after`. */
function withBytes(after: string, bytes: readonly number[]): Buffer {
  const text = JSON.stringify(model)
  const at = text.indexOf(after) + after.length
  return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))])
}

/** Arrays within one another. */
export function nested(levels: number): unknown {
  return levels === 0 ? 0 : [nested(levels - 1)]
}

/** A good order of exactly this many bytes, because JSON does not mind spaces. */
export function padded(bytes: number, input: unknown = model): Buffer {
  const text = Buffer.from(JSON.stringify(input))
  return Buffer.concat([text, Buffer.alloc(bytes - text.length, ' ')])
}
