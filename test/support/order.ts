import type { RecordBytes } from '../../src/engine/stream.ts'
import { createJson } from '../../src/engine/values/json.ts'
import { createMask } from '../../src/engine/values/mask.ts'
import { type ObjectShape, shapeOf } from '../../src/engine/values/shape.ts'
import { createValues, type Values } from '../../src/engine/values/values.ts'
import type { Verdict } from '../../src/engine/verdict.ts'
import { PERSONAL_PLACES, sumMismatch } from '../../src/streams/orders/facts.ts'
import { type Order, orderSchema } from '../../src/streams/orders/schema.ts'

export { canonicalInstant, formatInstant, isInstant, parseInstant } from '../../src/engine/values/instant.ts'
export type { Delivery, Item, Order, Payment } from '../../src/streams/orders/schema.ts'

/** Everything that the schema of orders gives. @param limits.maxBytes of a record's value */
export function createOrderValues(limits: { readonly maxBytes: number }): Values<Order> {
  return createValues({
    ...limits,
    schema: orderSchema,
    key: '/order_uid',
    personal: PERSONAL_PLACES,
    unusual: sumMismatch,
  })
}

/** Decodes and validates orders (`createValues`). */
export function createOrderJudge(limits: { readonly maxBytes: number }): (record: RecordBytes) => Verdict<Order> {
  return createOrderValues(limits).validate
}

const shape = shapeOf(orderSchema) as ObjectShape

/** Canonical JSON of orders (`createJson`). */
export const orderJson = createJson<Order>(shape)

/** An order's JSON with its personal content masked (`createMask`). */
export const maskPersonal = createMask(shape, PERSONAL_PLACES)
