import type { Header } from '#src/engine/record.ts'
import { MAX_BYTES, nested } from './bad-inputs.ts'
import type { Order } from './order.ts'
import { modelOrder as model } from './orders.ts'
import { aHeader } from './records.ts'

/** An input that looks dangerous and must be stored all the same, and what must be read back. */
export interface GoodInput {
  readonly name: string
  readonly uid: string
  readonly key: Buffer | null
  readonly value: Buffer
  readonly headers: readonly Header[]
  readonly expected: Order
}

interface Over {
  /** Other than the uid. */
  readonly key?: Buffer | null
  readonly headers?: readonly Header[]
  /** What is done to the text of the order. */
  readonly raw?: (text: string) => string
  /** Where what is read back differs from what was sent. */
  readonly readBack?: Partial<Order>
}

const [item] = model.items
if (item === undefined) throw new Error('the model order has no item')
const named = (name: string) => ({ delivery: { ...model.delivery, name } })
const paid = (change: object) => ({ payment: { ...model.payment, ...change } })
const rawAmount = (digits: string) => (text: string) => text.replace('"amount":1817', `"amount":${digits}`)
const hostileKey = (key: string) => (text: string) => text.replaceAll('{', `{"${key}":{"polluted":true},`)
const dated = (date_created: string) => ({ date_created })

/** 5,000 items in about 900 KB. */
const MANY = Array.from({ length: 5_000 }, (_, i) => ({ ...item, chrt_id: i, name: 'n', rid: `r${i}`, brand: 'b' }))

const headers: readonly Header[] = [
  ...Array.from({ length: 1_000 }, (_, i) => aHeader(`h${i}`, 'x')),
  aHeader('__proto__', 'an ordinary name'),
  ['traceparent', Buffer.from([0xff, 0xfe, 0x00])],
  ['large', Buffer.alloc(100_000, 'h')],
]
export const awkwardHeaders = headers

const rows: readonly (readonly [name: string, change: object, over?: Over])[] = [
  ['11: one byte order mark', {}, { raw: text => `\ufeff${text}` }],
  ['15: a repeated key, of which the last one counts', {}, { raw: text => text.replace('{', '{"order_uid":"first",') }],
  ['16: a key __proto__ in every object', {}, { raw: hostileKey('__proto__') }],
  ['17: a key constructor in every object', {}, { raw: hostileKey('constructor') }],
  ['17: a key prototype in every object', {}, { raw: hostileKey('prototype') }],
  ['18: 32 deep in an unknown field', { deep: nested(31) }],
  ['19: the limit to the byte', {}, { raw: text => text.padEnd(MAX_BYTES) }],
  ['20: 5,000 items', { items: MANY }],
  ['29: another key', {}, { key: Buffer.from('another') }],
  ['30: no key', {}, { key: null }],
  ['31: a binary key', {}, { key: Buffer.from([0xff, 0, 0xfe]) }],
  ['34: control characters, an ANSI escape, line breaks', named('a\u001b[31m\r\n\tb\u0007\u007f')],
  ['35: a script', named('<script>alert(1)</script>')],
  ['35: an image that fails', named('"><img src=x onerror=alert(1)>')],
  ['35: an address that runs', named('javascript:alert(1)')],
  ['36: a formula', named('=cmd()')],
  ['36: a plus', named('+1')],
  ['36: an at', named('@SUM(A1)')],
  ['36: a tab first', named('\t=1')],
  ['37: SQL', named("'; drop table orders;--")],
  ['41: 1.0', {}, { raw: rawAmount('1.0'), readBack: paid({ amount: 1 }) }],
  ['41: 1e3', {}, { raw: rawAmount('1e3'), readBack: paid({ amount: 1000 }) }],
  ['45: -0', {}, { raw: rawAmount('-0'), readBack: paid({ amount: 0 }) }],
  ['45: a price of 0', { items: [{ ...item, price: 0 }] }],
  ['46: beyond an int4', { sm_id: 3_000_000_000, items: [{ ...item, sale: 3_000_000_000, status: 3_000_000_000 }] }],
  ['47: the largest exact integer', paid({ amount: Number.MAX_SAFE_INTEGER })],
  ['48: goods that do not add up', paid({ goods_total: 1 })],
  ['48: an amount that does not add up', paid({ amount: 1 })],
  ['51: a space for the T', dated('2024-01-01 00:00:00Z'), { readBack: dated('2024-01-01T00:00:00Z') }],
  ['51: lower-case t and z', dated('2024-01-01t00:00:00z'), { readBack: dated('2024-01-01T00:00:00Z') }],
  ['51: nine decimals', dated('2024-01-01T00:00:00.123456789Z'), { readBack: dated('2024-01-01T00:00:00.123456Z') }],
  ['53: the last second', dated('9999-12-31T23:59:59Z')],
  ['54: payment_dt in ms', paid({ payment_dt: 1_637_907_727_000 })],
  ['55: an unknown locale', { locale: 'zz' }],
  ['56: no e-mail', { delivery: { ...model.delivery, email: '' } }],
  ['57: an unknown field', { coupon: 'X' }],
  ['57: an unknown field of an item', { items: [{ ...item, colour: 'red' }] }, { readBack: { items: [item] } }],
  ['59: an item twice', { items: [item, item] }],
  ['64: 1,024 characters outside the basic plane', named('𠮷'.repeat(1_024))],
  ['66: headers of every kind', {}, { headers }],
]

export const goodInputs: readonly GoodInput[] = rows.map(([name, change, over = {}], i) => {
  const uid = `good-${i}`
  const sent: Order & { deep?: unknown; coupon?: unknown } = { ...model, ...change, order_uid: uid }
  const text = JSON.stringify(sent)
  const { deep, coupon, ...known } = sent
  return {
    name,
    uid,
    key: over.key === undefined ? Buffer.from(uid) : over.key,
    value: Buffer.from((over.raw ?? (same => same))(text)),
    headers: over.headers ?? [],
    expected: { ...known, ...over.readBack },
  }
})
