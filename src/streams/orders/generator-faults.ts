import type { Reason } from '../../engine/dead-letter.ts'
import type { Random } from '../../engine/values/random.ts'
import type { Order } from './schema.ts'

/** One way to get a record wrong, and how it must be judged. */
export interface Fault {
  readonly name: string
  readonly expect: Reason
  /** @param order a good one, with a uid of its own */
  readonly spoil: (order: Order, random: Random) => Buffer | null
}

/**
 * The ways in which producers fail in practice, one for each rule that a consumer checks. `too_large` is left out: the
 * broker itself refuses such a record by default, and a demo should not weigh megabytes.
 */
export const FAULTS: readonly Fault[] = [
  { name: 'tombstone', expect: 'empty_value', spoil: () => null },
  { name: 'zero bytes', expect: 'empty_value', spoil: () => Buffer.alloc(0) },

  malformed('blank', () => Buffer.from('  \n')),
  malformed('cut short', (order, random) => {
    const bytes = bytesOf(order)
    return bytes.subarray(0, random.between(1, bytes.length - 1))
  }),
  malformed('something after it', order => Buffer.from(`${JSON.stringify(order)} trailing`)),
  malformed('two in one record', order => Buffer.from(`${JSON.stringify(order)}\n${JSON.stringify(order)}`)),
  malformed('single quotes', order => Buffer.from(JSON.stringify(order).replaceAll('"', "'"))),
  malformed('NaN for a number', order => Buffer.from(JSON.stringify(order).replace(/"amount":\d+/, '"amount":NaN'))),
  malformed('not UTF-8 within a string', order => {
    const bytes = bytesOf(order)
    bytes.set([0xff, 0xfe], bytes.indexOf('"name":"') + '"name":"'.length)
    return bytes
  }),
  malformed('UTF-16', order => Buffer.from(`\ufeff${JSON.stringify(order)}`, 'utf16le')),
  malformed('a compressed body', (_, random) => Buffer.from(`1f8b0800${random.hex(200)}`, 'hex')),

  violation('an array', order => [order]),
  violation('a bare string', order => order.order_uid),
  violation('no order_uid', ({ order_uid: _, ...others }) => others),
  violation('an empty order_uid', order => ({ ...order, order_uid: '' })),
  violation('a uid with a path in it', order => ({ ...order, order_uid: `../${order.order_uid}` })),
  violation('no payment', ({ payment: _, ...others }) => others),
  violation('no items at all', order => ({ ...order, items: [] })),
  violation('items as an object', order => ({ ...order, items: { ...order.items } })),
  violation('an amount as text', order => withPayment(order, { amount: String(order.payment.amount) })),
  violation('no amount', order => withPayment(order, { amount: null })),
  violation('a fraction', order => withPayment(order, { amount: order.payment.amount + 0.99 })),
  violation('a negative fee', order => withPayment(order, { custom_fee: -1 })),
  violation('beyond exact integers', order => withPayment(order, { goods_total: 2 ** 53 })),
  violation('currency in lower case', order => withPayment(order, { currency: order.payment.currency.toLowerCase() })),
  violation('no e-mail address', order => withDelivery(order, { email: 'not an address' })),
  violation('NUL in a name', order => withDelivery(order, { name: `${order.delivery.name}\u0000` })),
  violation('half a surrogate pair', order => withDelivery(order, { address: `${order.delivery.address} \ud83d` })),
  violation('an endless name', order => withDelivery(order, { name: order.delivery.name.padEnd(2_100, '.') })),
  violation('a day that never was', order => ({ ...order, date_created: '2024-02-30T12:00:00Z' })),
  violation('a date without zone', order => ({ ...order, date_created: '2024-02-03T12:00:00' })),
  violation('an item without brand', ({ items, ...order }) => ({
    ...order,
    items: items.map(({ brand: _, ...item }) => item),
  })),
  {
    name: 'nested too deep',
    expect: 'schema_violation',
    spoil: order => Buffer.from(`${JSON.stringify(order).slice(0, -1)},"x":${'['.repeat(64)}${']'.repeat(64)}}`),
  },
]

function malformed(name: string, spoil: (order: Order, random: Random) => Buffer): Fault {
  return { name, expect: 'malformed_json', spoil }
}

function violation(name: string, spoil: (order: Order) => unknown): Fault {
  return { name, expect: 'schema_violation', spoil: order => bytesOf(spoil(order)) }
}

/** JSON.stringify escapes NUL and lone surrogates, so that they arrive as they were meant. */
function bytesOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}

function withPayment(order: Order, change: object): unknown {
  return { ...order, payment: { ...order.payment, ...change } }
}

function withDelivery(order: Order, change: object): unknown {
  return { ...order, delivery: { ...order.delivery, ...change } }
}
