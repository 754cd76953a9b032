import { readFileSync } from 'node:fs'
import { collapse } from '#src/engine/collapse.ts'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import type { Origin } from '#src/engine/record.ts'
import type { SettlementWork } from '#src/engine/settlement.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { createOrderJudge, type Order } from './order.ts'
import { aRecord } from './records.ts'

const judge = createOrderJudge({ maxBytes: 1024 * 1024 })

/** An order as the judge leaves it. @throws when it is none: the test is wrong. */
export function judged(value: Buffer): Order {
  const verdict = judge({ key: null, value })
  if (!verdict.ok) throw new Error(`not an order: ${verdict.rejection.message}`)
  return verdict.value
}

/** `data/model.json`, as the judge leaves it. */
export const modelOrder: Order = judged(readFileSync(new URL('../../data/model.json', import.meta.url)))

export interface OrderOptions {
  readonly uid?: string
  /** How many items, numbered by `chrt_id`. */
  readonly items?: number
  readonly amount?: number
}

export function anOrder({ uid = 'order-1', items = 1, amount = 100 }: OrderOptions = {}): Order {
  const [item] = modelOrder.items
  if (item === undefined) throw new Error('the model order has no item')
  return {
    ...modelOrder,
    order_uid: uid,
    payment: { ...modelOrder.payment, transaction: uid, amount },
    items: Array.from({ length: items }, (_, position) => ({ ...item, chrt_id: position })),
  }
}

/** An order on its record. `origin` only when it stood elsewhere first (a redriven one). */
export function aReadyOrder(
  options: OrderOptions & Partial<Origin> & { readonly origin?: Origin } = {},
): ReadyRecord<Order> {
  const { topic = 'orders', partition = 0, offset = 0n, timestampMs = 1_700_000_000_000 } = options
  const value = anOrder(options)
  const record = aRecord({ topic, partition, offset, timestampMs, text: JSON.stringify(value) })
  return { record, origin: options.origin ?? record, key: value.order_uid, value }
}

type WorkOptions<T> = Pick<SettlementWork<T>, 'from'> & Partial<SettlementWork<T>>

/** The work that the pipeline would make of these records, which are read from `from` on. */
export function aWork<T = Order>(
  records: readonly ReadyRecord<T>[],
  { from, deadLetters = [], ...over }: WorkOptions<T>,
): SettlementWork<T> {
  const { ready, ...collapsed } = collapse(records)
  const count = records.length + deadLetters.length
  return {
    topic: 'orders',
    partition: 0,
    groupId: 'holdfast',
    from,
    to: from + BigInt(count),
    records: count,
    ready,
    collapsed,
    deadLetters,
    isolate: false,
    ...over,
  }
}

export function aDeadLetter(offset: bigint, over: Partial<DeadLetter> = {}): DeadLetter {
  const record = aRecord({ offset, key: Buffer.from('key'), text: '{"broken":' })
  return {
    record,
    origin: record,
    rejection: {
      reason: 'malformed_json',
      error: 'not_json',
      pointer: '',
      message: 'the value is not JSON',
      violations: [],
    },
    failedAtMs: 1_700_000_000_123,
    attempts: 1,
    redriveCount: 0,
    key: null,
    groupId: 'holdfast',
    ...over,
  }
}
