import { describe, expect, it } from 'vitest'
import {
  badInputs,
  bytesOf,
  delivery,
  MAX_BYTES,
  nested,
  order,
  padded,
  payment,
  rawAmount,
  withItem,
} from '../../../support/bad-inputs.ts'
import { measureCpuMs } from '../../../support/cpu-time.ts'
import { createOrderJudge, orderJson } from '../../../support/order.ts'
import { modelOrder as model } from '../../../support/orders.ts'

const judge = createOrderJudge({ maxBytes: MAX_BYTES })
const [item] = model.items

function judged(input: unknown) {
  return judge({ value: bytesOf(input), key: Buffer.from(model.order_uid) })
}

describe('a record that must become a dead letter', () => {
  it.each(badInputs)('$name', ({ value, reason, error, pointer }) => {
    expect(judged(value)).toMatchObject({ ok: false, rejection: { reason, error, pointer } })
  })

  it('46: takes what fits the model, though it would not fit an int4', () => {
    expect(judged(order({ sm_id: 3_000_000_000 })).ok).toBe(true)
  })

  it('says at most ten violations of 100,001 bad items, and soon', () => {
    const value = Buffer.from(JSON.stringify({ ...model, items: Array(100_001).fill({}) }))
    const cpuMs = measureCpuMs()
    const verdict = judge({ value, key: null })
    expect(cpuMs()).toBeLessThan(1_000)
    expect(verdict.ok || verdict.rejection.violations).toHaveLength(10)
  })

  it('65: is not slowed down by bait for regular expressions', () => {
    const cpuMs = measureCpuMs()
    for (const email of [
      'a'.repeat(50_000),
      `a@${'a-'.repeat(25_000)}`,
      `${'a.'.repeat(25_000)}@`,
      '@'.repeat(50_000),
    ]) {
      expect(judged(delivery({ email })).ok).toBe(false)
    }
    expect(judged(order({ date_created: `2024-01-01T00:00:00.${'0'.repeat(50_000)}` })).ok).toBe(false)
    expect(cpuMs()).toBeLessThan(1_000)
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
    expect(judged(payment({ amount: -1 }))).toMatchObject({ ok: false, key: model.order_uid })
    expect(judged(order({ order_uid: '../etc' }))).toMatchObject({ ok: false, key: null })
    expect(judged(JSON.stringify(model).slice(0, -1))).toMatchObject({ ok: false, key: null })
  })

  it('never quotes what the record holds', () => {
    const secret = 'Geheimrat'
    const inputs = [`{"x": ${secret}}`, `"${secret}`, ...badInputs.map(({ value }) => value)]
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
    expect(judged(input)).toMatchObject({ ok: true, key: model.order_uid })
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
    expect(verdict).toMatchObject({ ok: true, key: model.order_uid })
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

  const created = (date_created: string) => order({ date_created })

  it.each([
    ['29: another key', model, 'b', ['key_mismatch']],
    ['30: no key', model, null, ['key_mismatch']],
    ['31: a binary key', model, Buffer.from([0xff, 0]), ['key_mismatch']],
    ['48: goods that do not add up', payment({ goods_total: 1, amount: 1501 }), model.order_uid, ['sum_mismatch']],
    ['48: an amount that does not add up', payment({ amount: 1 }), model.order_uid, ['sum_mismatch']],
    ['57: an unknown field', order({ coupon: 'X' }), model.order_uid, ['unknown_field']],
    ['57: an unknown field of an item', withItem({ colour: 'red' }), model.order_uid, ['unknown_field']],
    ['a date in nanoseconds', created('2021-11-26T06:22:19.123456789Z'), model.order_uid, ['precision']],
    [
      'a date whose digits beyond microseconds are zeros',
      created('2021-11-26T06:22:19.123456000Z'),
      model.order_uid,
      [],
    ],
    ['nothing', model, model.order_uid, []],
  ] as const)('and tells as unusual: %s', (_, input, key, expected) => {
    const record = { value: Buffer.from(JSON.stringify(input)), key: typeof key === 'string' ? Buffer.from(key) : key }
    const verdict = judge(record)
    if (!verdict.ok) throw new Error(verdict.rejection.message)
    expect(verdict.unusual).toEqual(expected)
  })
})
