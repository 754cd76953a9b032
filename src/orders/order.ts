import { isAscii, isUtf8 } from 'node:buffer'
import type { Reason, Rejection, Violation } from '../core/dead-letter.ts'
import { canonicalInstant, losesPrecision } from '../engine/values/instant.ts'
import type { UnusualKind, Verdict } from '../engine/verdict.ts'
import { knownOrder } from './order-json.ts'
import { type Order, UID_PATTERN } from './order-schema.ts'
import { createViolationFinder, holdsUnknownFields, MAX_VIOLATIONS } from './violations.ts'

export { canonicalInstant, formatInstant, isInstant, parseInstant } from '../engine/values/instant.ts'
export { orderJson } from './order-json.ts'
export type { Delivery, Item, Order, Payment } from './order-schema.ts'

/** The verdict on a record; of a good one also whether it holds fields that we do not know, or digits of its date that are cut off. */
export type OrderVerdict =
  | (Extract<Verdict<Order>, { ok: true }> & { readonly unknownFields: boolean; readonly precisionLost: boolean })
  | Extract<Verdict<Order>, { ok: false }>

/** What a judge looks at. */
export interface OrderBytes {
  readonly value: Buffer | null
  readonly key: Buffer | null
}

const UID = new RegExp(UID_PATTERN)

/** V8 quotes the input in some of its messages; only the position is ours to tell. */
const POSITION = /in JSON at position (\d+)(?: \(line \d+ column \d+\))?$/

/**
 * Judges bytes: an order, or the reason why not. Nothing that bytes can do makes it throw.
 *
 * The reasons, in the order in which they are looked for: `empty_value` (null or zero bytes), `too_large`,
 * `malformed_json` (not UTF-8, or not JSON; one byte order mark is skipped; of a repeated key the last one counts),
 * `schema_violation` (nesting beyond 32, else at most ten of the schema's rules).
 * A good order is a copy of the known fields, its date in canonical form and zeros without a sign.
 * @param limits.maxBytes of the record's value
 */
export function createOrderJudge(limits: { readonly maxBytes: number }): (record: OrderBytes) => OrderVerdict {
  const violationsOf = createViolationFinder()

  return function judge({ value }) {
    if (value === null) return reject('empty_value', 'tombstone', 'the record has no value (a tombstone)')
    if (value.length === 0) return reject('empty_value', 'zero_bytes', 'the value is empty (0 bytes)')
    if (value.length > limits.maxBytes) {
      return reject('too_large', 'max_bytes', `the value has ${value.length} bytes, more than ${limits.maxBytes}`)
    }

    const text = decode(value)
    if (text === undefined) return reject('malformed_json', 'not_utf8', 'the value is not UTF-8 text')
    let data: unknown
    try {
      // V8 misreads some keys with escapes, as another key that it has seen before and that holds a backslash
      // (nodejs/node#63785). None of ours does, so no field of an order is ever taken for another.
      data = JSON.parse(text)
    } catch (error) {
      const position = error instanceof Error ? POSITION.exec(error.message)?.[1] : undefined
      const where = position === undefined ? '' : ` (position ${position})`
      return reject('malformed_json', 'not_json', `the value is not JSON${where}`)
    }

    const violations = violationsOf(data, text)
    const [first] = violations
    if (first === undefined) {
      const valid = data as Order
      const order = knownOrder(valid, canonicalInstant(valid.date_created))
      const precisionLost = losesPrecision(valid.date_created)
      const unknownFields = holdsUnknownFields(valid)
      return { ok: true, key: order.order_uid, value: order, unknownFields, precisionLost }
    }
    return {
      ok: false,
      key: readableUid(data),
      rejection: {
        reason: 'schema_violation',
        error: first.keyword,
        pointer: first.pointer,
        message: summary(violations, first),
        violations,
      },
    }
  }
}

function reject(reason: Reason, error: string, message: string): OrderVerdict {
  const rejection: Rejection = { reason, error, pointer: '', message, violations: [] }
  return { ok: false, key: null, rejection }
}

function summary(violations: readonly Violation[], first: Violation): string {
  const more = violations.length - 1
  const others =
    more === 0 ? '' : ` (and ${more}${violations.length === MAX_VIOLATIONS ? ' or more' : ''} other violations)`
  return `${first.pointer === '' ? 'the value' : first.pointer} ${first.message}${others}`
}

/** Never `toString()` alone: it turns bad bytes into U+FFFD and lets wrong data through. */
function decode(value: Buffer): string | undefined {
  if (isAscii(value)) return value.toString('latin1')
  if (!isUtf8(value)) return undefined
  const text = value.toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/** For the index of dead letters: an invalid order is still found by its uid when it has a proper one. */
function readableUid(data: unknown): string | null {
  if (typeof data !== 'object' || data === null || !Object.hasOwn(data, 'order_uid')) return null
  const uid = (data as { readonly order_uid?: unknown }).order_uid
  return typeof uid === 'string' && UID.test(uid) ? uid : null
}

/**
 * Facts about a good order that its producer may want to hear of.
 * `key_mismatch`: the record's key is not the order's uid, so Kafka does not keep this order's records in order.
 * `precision`: `date_created` is finer than a microsecond, and is stored and served without the digits beyond.
 * `sum_mismatch`: the items do not add up to `goods_total`, or the parts of the payment to `amount`.
 */
export function unusual(record: OrderBytes, verdict: Extract<OrderVerdict, { ok: true }>): UnusualKind[] {
  const facts: UnusualKind[] = []
  if (record.key === null || !isText(record.key, verdict.key)) facts.push('key_mismatch')
  if (verdict.unknownFields) facts.push('unknown_field')
  if (verdict.precisionLost) facts.push('precision')
  const { items, payment } = verdict.value
  let goods = 0
  for (const item of items) goods += item.total_price
  const { amount, goods_total, delivery_cost, custom_fee } = payment
  if (goods !== goods_total || goods_total + delivery_cost + custom_fee !== amount) facts.push('sum_mismatch')
  return facts
}

/** Whether the bytes are this ASCII text, without decoding them. */
function isText(bytes: Buffer, ascii: string): boolean {
  return bytes.length === ascii.length && bytes.toString('latin1') === ascii
}
