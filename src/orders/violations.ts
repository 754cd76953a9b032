import { Ajv2020, type ErrorObject, type ValidateFunction } from 'ajv/dist/2020.js'
import { fullFormats } from 'ajv-formats/dist/formats.js'
import type { Violation } from '../core/dead-letter.ts'
import { isInstant } from '../engine/values/instant.ts'
import { itemSchema, type Order, orderSchema, TEXT_PATTERN } from './order-schema.ts'

/** More violations than these say nothing new, and building a hundred thousand of them is an attack. */
export const MAX_VIOLATIONS = 10

/** Objects and arrays within one another. An order needs 3; deeper ones overflow the stack of a careless reader. */
export const MAX_DEPTH = 32

/** Escapes of NUL and of surrogates. A raw NUL is no JSON, a raw surrogate no UTF-8: these are the only way in. */
const SUSPICIOUS_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/

const TOO_DEEP: Violation = {
  pointer: '',
  keyword: 'max_depth',
  message: `must not nest objects and arrays more than ${MAX_DEPTH} deep`,
}

const NONE: readonly Violation[] = []

/**
 * Compiles the schema: once, when the process starts (some 150 ms of CPU).
 *
 * Three validators come from it. The quick one judges nearly all records: it counts UTF-16 units instead of characters
 * (never fewer) and leaves out TEXT_PATTERN, which an input without suspicious escapes cannot break; so what it accepts
 * is valid. What it refuses goes to the exact ones, which name each violation: one for the order without what its items
 * hold, one for an item at a time, so that the work ends soon after the tenth violation.
 * @returns the violations of parsed JSON, at most {@link MAX_VIOLATIONS}, the order's before its items'; none: it is an
 * {@link Order}, perhaps with unknown fields. `text` is what it was parsed from.
 */
export function createViolationFinder(): (data: unknown, text: string) => readonly Violation[] {
  const isOrder = newAjv({ unicode: false }).compile<Order>(withoutTextPattern(orderSchema))
  const exact = newAjv({ allErrors: true })
  const { items, ...fields } = orderSchema.properties
  const { items: _, ...list } = items
  const checkOrder = exact.compile({ ...orderSchema, properties: { ...fields, items: list } })
  const checkItem = exact.compile(itemSchema)

  function explain(data: unknown): Violation[] {
    const violations = violationsOf(checkOrder, data, '')
    const items = isContainer(data) && 'items' in data ? data.items : undefined
    if (!Array.isArray(items)) return violations.slice(0, MAX_VIOLATIONS)
    for (const [index, item] of items.entries()) {
      if (violations.length >= MAX_VIOLATIONS) break
      violations.push(...violationsOf(checkItem, item, `/items/${index}`))
    }
    return violations.slice(0, MAX_VIOLATIONS)
  }

  return (data, text) => {
    if (isOrder(data) && !(text.includes('\\u') && SUSPICIOUS_ESCAPE.test(text))) {
      // Only what we do not know can be deep in something that fits the schema.
      return holdsUnknownFields(data) && isDeeperThan(data, MAX_DEPTH) ? [TOO_DEEP] : NONE
    }
    return isDeeperThan(data, MAX_DEPTH) ? [TOO_DEEP] : explain(data)
  }
}

const ORDER_FIELDS = orderSchema.required.length
const DELIVERY_FIELDS = orderSchema.properties.delivery.required.length
const PAYMENT_FIELDS = orderSchema.properties.payment.required.length
const ITEM_FIELDS = itemSchema.required.length

/** All known fields are required and present: more keys than those are unknown ones. */
export function holdsUnknownFields(order: Order): boolean {
  if (Object.keys(order).length > ORDER_FIELDS) return true
  if (Object.keys(order.delivery).length > DELIVERY_FIELDS) return true
  if (Object.keys(order.payment).length > PAYMENT_FIELDS) return true
  return order.items.some(item => Object.keys(item).length > ITEM_FIELDS)
}

/** Level by level instead of by recursion, so that 200,000 brackets cost time but no stack. */
function isDeeperThan(data: unknown, maxDepth: number): boolean {
  let level = isContainer(data) ? [data] : []
  for (let depth = 0; level.length > 0; depth++) {
    if (depth === maxDepth) return true
    level = level.flatMap(container => Object.values(container).filter(isContainer))
  }
  return false
}

function isContainer(data: unknown): data is object {
  return typeof data === 'object' && data !== null
}

function newAjv(options: { readonly unicode?: boolean; readonly allErrors?: boolean }): Ajv2020 {
  return new Ajv2020({
    ...options,
    // It would print that `unicode: false` is deprecated. Nothing else is lost: strict mode throws.
    logger: false,
    strict: true,
    formats: { 'date-time': { type: 'string', validate: isInstant }, email: fullFormats.email },
  })
}

function withoutTextPattern(schema: object): object {
  const isText = (name: string, value: unknown) => name === 'pattern' && value === TEXT_PATTERN
  return JSON.parse(JSON.stringify(schema, (name, value) => (isText(name, value) ? undefined : value)))
}

function violationsOf(check: ValidateFunction, data: unknown, base: string): Violation[] {
  if (check(data)) return []
  // `if` only repeats that its `then` has failed.
  return (check.errors ?? []).filter(({ keyword }) => keyword !== 'if').map(error => toViolation(error, base))
}

/** ajv's own messages quote the schema, never the data. */
function toViolation({ keyword, instancePath, params, message }: ErrorObject, base: string): Violation {
  const pointer = base + instancePath
  if (keyword === 'required') {
    // The place of a missing property is where it should be.
    return { pointer: `${pointer}/${escapeSegment(String(params.missingProperty))}`, keyword, message: 'is missing' }
  }
  if (keyword === 'pattern' && params.pattern === TEXT_PATTERN) {
    return { pointer, keyword, message: 'must hold neither NUL nor half of a surrogate pair' }
  }
  return { pointer, keyword, message: message ?? `breaks the rule ${keyword}` }
}

/** RFC 6901, section 3. */
function escapeSegment(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
