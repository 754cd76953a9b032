import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Reason } from '#src/core/dead-letter.ts'
import { createOrderJudge, type Order, orderJson, unusual } from '#src/orders/order.ts'

const MAX_BYTES = 1024 * 1024
const judge = createOrderJudge({ maxBytes: MAX_BYTES })
const model: Order = JSON.parse(readFileSync('data/model.json', 'utf8'))
const [item] = model.items

/** The model with parts replaced; `undefined` leaves one out. */
const order = (change: object) => ({ ...model, ...change })
const payment = (change: object) => order({ payment: { ...model.payment, ...change } })
const delivery = (change: object) => order({ delivery: { ...model.delivery, ...change } })
const withItem = (change: object) => order({ items: [{ ...item, ...change }] })
/** The model's text with one number written as no JSON.stringify would. */
const rawAmount = (digits: string) => JSON.stringify(model).replace('"amount":1817', `"amount":${digits}`)

function judged(input: unknown) {
  const value =
    input === null || Buffer.isBuffer(input)
      ? input
      : Buffer.from(typeof input === 'string' ? input : JSON.stringify(input))
  return judge({ value, key: Buffer.from(model.order_uid) })
}

type Bad = readonly [name: string, input: unknown, reason: Reason, error: string, pointer?: string]

/** Numbers are the rows of the table of bad inputs: one case each for all that the bytes alone decide. */
const bad: readonly Bad[] = [
  ['1: a tombstone', null, 'empty_value', 'tombstone'],
  ['2: zero bytes', '', 'empty_value', 'zero_bytes'],
  ['3: spaces only', '   ', 'malformed_json', 'not_json'],
  ['4: null', 'null', 'schema_violation', 'type', ''],
  ['5: an array', '[]', 'schema_violation', 'type', ''],
  ['6: a string', '"x"', 'schema_violation', 'type', ''],
  ['6: a number', '5', 'schema_violation', 'type', ''],
  ['6: true', 'true', 'schema_violation', 'type', ''],
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
  ['18: 200,000 brackets', '['.repeat(200_000) + ']'.repeat(200_000), 'schema_violation', 'max_depth', ''],
  ['18: 200,000 open brackets', '['.repeat(200_000), 'malformed_json', 'not_json'],
  ['18: 33 deep in an unknown field', order({ deep: nested(32) }), 'schema_violation', 'max_depth', ''],
  ['19: one byte too many', padded(MAX_BYTES + 1), 'too_large', 'max_bytes'],
  ['20: 10,001 items', order({ items: Array(10_001).fill(1) }), 'schema_violation', 'maxItems', '/items'],
  ['21: no items', order({ items: [] }), 'schema_violation', 'minItems', '/items'],
  ['22: items missing', order({ items: undefined }), 'schema_violation', 'required', '/items'],
  ['23: items as an object', order({ items: {} }), 'schema_violation', 'type', '/items'],
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
  ['47: beyond int8', rawAmount('9223372036854775808'), 'schema_violation', 'maximum', '/payment/amount'],
  [
    '56: markup for an e-mail',
    delivery({ email: '"<script>"@x.com' }),
    'schema_violation',
    'format',
    '/delivery/email',
  ],
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
  ['an empty name', delivery({ name: '' }), 'schema_violation', 'minLength', '/delivery/name'],
]
const badUids = ['a b', 'a/b', '..', '%2e', '😀', 'a\u200fb', 'a\n']
const badCurrencies = ['usd', '', 'XXXX', 'US', 'USD\n']
const badDates: readonly (readonly [row: string, date: string])[] = [
  ['49: a day that never was', '2024-02-30T00:00:00Z'],
  ['49: 29 February of a common year', '1900-02-29T00:00:00Z'],
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

const all: readonly Bad[] = [
  ...bad,
  ...badUids.map(
    (uid): Bad => [
      `28: uid ${JSON.stringify(uid)}`,
      order({ order_uid: uid }),
      'schema_violation',
      'pattern',
      '/order_uid',
    ],
  ),
  ...badCurrencies.map(
    (currency): Bad => [
      `55: currency ${JSON.stringify(currency)}`,
      payment({ currency }),
      'schema_violation',
      'pattern',
      '/payment/currency',
    ],
  ),
  ...badDates.map(
    ([name, date_created]): Bad => [name, order({ date_created }), 'schema_violation', 'format', '/date_created'],
  ),
]

describe('a record that must become a dead letter', () => {
  it.each(all)('%s', (_, input, reason, error, pointer = '') => {
    const verdict = judged(input)
    expect(verdict).toMatchObject({ ok: false, rejection: { reason, error, pointer } })
  })

  it('46: takes what fits the model, though it would not fit an int4', () => {
    expect(judged(order({ sm_id: 3_000_000_000 })).ok).toBe(true)
  })

  it('says at most ten violations of 100,001 bad items, and soon', () => {
    const value = Buffer.from(JSON.stringify({ ...model, items: Array(100_001).fill({}) }))
    const started = performance.now()
    const verdict = judge({ value, key: null })
    expect(performance.now() - started).toBeLessThan(1_000)
    expect(verdict.ok || verdict.rejection.violations).toHaveLength(10)
  })

  it('65: is not slowed down by bait for regular expressions', () => {
    const started = performance.now()
    for (const email of [
      'a'.repeat(50_000),
      `a@${'a-'.repeat(25_000)}`,
      `${'a.'.repeat(25_000)}@`,
      '@'.repeat(50_000),
    ]) {
      expect(judged(delivery({ email })).ok).toBe(false)
    }
    expect(judged(order({ date_created: `2024-01-01T00:00:00.${'0'.repeat(50_000)}` })).ok).toBe(false)
    expect(performance.now() - started).toBeLessThan(1_000)
  })

  it('names every violation of several, the first of which leads', () => {
    const verdict = judged({ ...payment({ amount: -1, currency: 'usd' }), items: [{ ...item, sale: '1' }] })
    expect(verdict.ok || verdict.rejection.violations.map(({ pointer, keyword }) => [pointer, keyword])).toEqual([
      ['/payment/currency', 'pattern'],
      ['/payment/amount', 'minimum'],
      ['/items/0/sale', 'type'],
    ])
    expect(verdict.ok || verdict.rejection.message).toContain('/payment/currency')
  })

  it('keeps the uid for the index when it can be read, and only then', () => {
    expect(judged(payment({ amount: -1 }))).toMatchObject({ ok: false, uid: model.order_uid })
    expect(judged(order({ order_uid: '../etc' }))).toMatchObject({ ok: false, uid: null })
    expect(judged(JSON.stringify(model).slice(0, -1))).toMatchObject({ ok: false, uid: null })
  })

  it('never quotes what the record holds', () => {
    const secret = 'Geheimrat'
    const inputs = [`{"x": ${secret}}`, `"${secret}`, ...all.map(([, input]) => input)]
    const spoiled = [
      delivery({ name: `${secret}\u0000`, email: secret, phone: null }),
      order({ order_uid: `${secret} `, date_created: secret }),
      payment({ currency: secret, amount: secret }),
    ]
    for (const input of [...inputs, ...spoiled]) {
      expect(JSON.stringify(judged(input))).not.toContain(secret)
    }
  })
})

describe('a record that must be stored', () => {
  const good: readonly (readonly [string, unknown])[] = [
    ['11: one byte order mark', `\ufeff${JSON.stringify(model)}`],
    ['18: 32 deep in an unknown field', order({ deep: nested(31) })],
    ['19: the limit to the byte', padded(MAX_BYTES)],
    ['20: 3,500 items', order({ items: Array(3_500).fill(item) })],
    ['34: control characters', delivery({ name: 'a\u001b[31m\n\tb\u0007' })],
    ['35: markup', delivery({ name: '<script>alert(1)</script>"><img onerror=x>' })],
    ['36: a formula', delivery({ city: '=cmd()' })],
    ['37: SQL', delivery({ name: "'; drop table orders;--" })],
    ['54: payment_dt in ms', payment({ payment_dt: 1637907727000 })],
    ['55: an unknown locale', order({ locale: 'zz' })],
    ['56: no e-mail', delivery({ email: '' })],
    ['59: an item twice', order({ items: [item, item] })],
    ['64: 1,024 characters outside the basic plane', delivery({ name: '𠮷'.repeat(1_024) })],
    ['an escaped emoji', JSON.stringify(model).replace('Mascaras', '\\ud83d\\ude00')],
    ['a backslash before u0000', delivery({ name: '\\u0000' })],
  ]
  it.each(good)('%s', (_, input) => {
    expect(judged(input)).toMatchObject({ ok: true, uid: model.order_uid })
  })

  it.each([
    ['41: 1.0', '1.0', 1],
    ['41: 1e3', '1e3', 1000],
    ['45: -0', '-0', 0],
    ['the largest', '9007199254740991', Number.MAX_SAFE_INTEGER],
  ])('%s is that number', (_, digits, amount) => {
    const verdict = judged(rawAmount(digits))
    // toBe tells 0 from -0
    expect(verdict.ok && verdict.value.payment.amount).toBe(amount)
  })

  it('15: of a repeated key the last one counts', () => {
    const verdict = judged(JSON.stringify(model).replace('{', '{"order_uid":"first",'))
    expect(verdict).toMatchObject({ ok: true, uid: model.order_uid })
  })

  it.each(['__proto__', 'constructor', 'prototype'])('16, 17: a key %s changes nothing, and is dropped', key => {
    const hostile = `"${key}":{"polluted":true,"order_uid":"x"},`
    const text = JSON.stringify(model).replaceAll('{', `{${hostile}`)
    const verdict = judged(text)
    if (!verdict.ok) throw new Error(verdict.rejection.message)
    expect(orderJson(verdict.value).toString()).toBe(JSON.stringify(model))
    expect(Object.getPrototypeOf(verdict.value.delivery)).toBe(Object.prototype)
    expect({}).not.toHaveProperty('polluted')
  })

  it('16: fields that only a prototype brings are missing', () => {
    expect(judged('{"__proto__":{"order_uid":"a"}}')).toMatchObject({ ok: false, rejection: { error: 'required' } })
  })

  it.each([
    ['29: another key', model, 'b', ['key_mismatch']],
    ['30: no key', model, null, ['key_mismatch']],
    ['31: a binary key', model, Buffer.from([0xff, 0]), ['key_mismatch']],
    ['48: goods that do not add up', payment({ goods_total: 1, amount: 1501 }), model.order_uid, ['sum_mismatch']],
    ['48: an amount that does not add up', payment({ amount: 1 }), model.order_uid, ['sum_mismatch']],
    ['57: an unknown field', order({ coupon: 'X' }), model.order_uid, ['unknown_field']],
    ['57: an unknown field of an item', withItem({ colour: 'red' }), model.order_uid, ['unknown_field']],
    ['nothing', model, model.order_uid, []],
  ] as const)('and tells as unusual: %s', (_, input, key, expected) => {
    const record = { value: Buffer.from(JSON.stringify(input)), key: typeof key === 'string' ? Buffer.from(key) : key }
    const verdict = judge(record)
    if (!verdict.ok) throw new Error(verdict.rejection.message)
    expect(unusual(record, verdict)).toEqual(expected)
  })
})

/** The model's bytes with these put right after the first `after`. */
function withBytes(after: string, bytes: readonly number[]): Buffer {
  const text = JSON.stringify(model)
  const at = text.indexOf(after) + after.length
  return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at))])
}

/** Arrays within one another. */
function nested(levels: number): unknown {
  return levels === 0 ? 0 : [nested(levels - 1)]
}

/** A good order of exactly this many bytes, because JSON does not mind spaces. */
function padded(bytes: number): Buffer {
  const text = Buffer.from(JSON.stringify(model))
  return Buffer.concat([text, Buffer.alloc(bytes - text.length, ' ')])
}
