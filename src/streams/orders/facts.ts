import type { Order } from './schema.ts'

/** Who ordered and who receives it. */
export const PERSONAL_PLACES = ['/customer_id', '/delivery'] as const

/** What orders add to the facts of any stream. */
export const ORDER_FACTS = ['sum_mismatch'] as const

/** What {@link sumMismatch} reads. */
export const SUMMED_PLACES = [
  '/items/*/total_price',
  '/payment/amount',
  '/payment/goods_total',
  '/payment/delivery_cost',
  '/payment/custom_fee',
] as const

/** `sum_mismatch`: the items do not add up to `goods_total`, or the parts of the payment to `amount`. */
export function sumMismatch({ items, payment }: Order): readonly (typeof ORDER_FACTS)[number][] {
  let goods = 0
  for (const item of items) goods += item.total_price
  const { amount, goods_total, delivery_cost, custom_fee } = payment
  const adds = goods === goods_total && goods_total + delivery_cost + custom_fee === amount
  return adds ? [] : ['sum_mismatch']
}
