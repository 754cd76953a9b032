import { describe, expect, it } from 'vitest'
import { RecordRefusedError, StoreContendedError, StoreUnavailableError } from '#src/engine/errors.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import {
  createRedriveSettlement,
  type RedrivePages,
  type RedriveSettlementParts,
} from '#src/inbox/redrive-settlement.ts'
import type { LoadedItem, RedriveInHand } from '#src/inbox/redrive-work.ts'
import { NO_RULES } from '../../support/memory-redrive-work.ts'
import { createMemoryStore } from '../../support/memory-store.ts'
import { createOrderJudge, type Order } from '../../support/order.ts'
import { anOrder, type OrderOptions } from '../../support/orders.ts'
import { aRecord } from '../../support/records.ts'
import { createVirtualProcess, createVirtualTime } from '../../support/simulation/virtual-time.ts'

const REDRIVE: RedriveInHand = { id: 'r1', epoch: 1, to: 'store', rate: undefined, ...NO_RULES }
const stop = new AbortController().signal

/** A letter at this offset of partition 1, that stands elsewhere in the DLQ topic. */
function aLetter(offset: bigint, value: OrderOptions | string, edited?: OrderOptions): LoadedItem {
  const text = (of: OrderOptions | string) => (typeof of === 'string' ? of : JSON.stringify(anOrder(of)))
  return {
    item: {
      id: `orders-1-${offset}`,
      origin: { topic: 'orders', partition: 1, offset, timestampMs: 1_700_000_000_000 },
      ...{ redriveCount: 1, place: { partition: 0, offset: 70n + offset }, bytes: 100, ahead: false },
      edited: edited === undefined ? undefined : Buffer.from(text(edited)),
    },
    letter: aRecord({ topic: 'orders.dlq', partition: 0, offset: 70n + offset, text: text(value) }),
  }
}

function aSettlement(
  over: Partial<RedriveSettlementParts<Order>> & { refuse?: (ready: ReadyRecord<Order>) => Error | undefined } = {},
) {
  const { refuse, ...parts } = over
  const time = createVirtualTime()
  const store = createMemoryStore<Order>({ ...(refuse === undefined ? {} : { refuse }) })
  store.epochs.set('r1', 1)
  const told: (readonly string[] | undefined)[] = []
  const settlement = createRedriveSettlement<Order>({
    pages: store.pages,
    judge: createOrderJudge({ maxBytes: 1024 * 1024 }),
    ...{ groupId: 'holdfast', maxAttempts: 3 },
    onSettled: written => told.push(written?.map(({ key }) => key)),
    ...{ clock: createVirtualProcess('one', time).clock, random: () => 0.5 },
    ...parts,
  })
  /** Lets the waits between attempts pass. */
  async function settle(...page: LoadedItem[]) {
    let over = false
    const settling = settlement.settle(REDRIVE, page, stop).finally(() => {
      over = true
    })
    settling.catch(() => {})
    while (!over) if (!(await time.step())) await Promise.resolve()
    return await settling
  }
  return { store, told, settle }
}

describe('a page of a redrive into the store', () => {
  it('is validated as the stream does, and settled at the first positions of its letters', async () => {
    const { store, told, settle } = aSettlement()
    const outcome = await settle(aLetter(3n, { uid: 'a' }), aLetter(4n, '{"order_uid":'), aLetter(5n, { uid: 'b' }))
    expect(outcome).toMatchObject({ resolved: 2, failed_again: 1, parked: 0 })
    expect([...store.deadLetters.values()]).toMatchObject([{ rejection: { reason: 'malformed_json' } }])
    expect(store.rows.get('a')?.origin).toMatchObject({ topic: 'orders', partition: 1, offset: 3n })
    expect(store.inbox.letters.get('orders-1-4')).toMatchObject({ state: 'open', redriveCount: 2 })
    expect(told).toEqual([['a', 'b']])
  })

  it("takes an edited value instead of the letter's own", async () => {
    const { store, settle } = aSettlement()
    await settle(aLetter(3n, '{"order_uid":', { uid: 'a', amount: 7 }))
    expect(store.rows.get('a')?.value.payment.amount).toBe(7)
  })

  it('gives a letter its turn that one which the store refuses had superseded', async () => {
    const refused = new RecordRefusedError('refused', { sqlState: '23514' })
    const { store, settle } = aSettlement({
      refuse: ({ value }) => (value.payment.amount === 666 ? refused : undefined),
    })
    const outcome = await settle(
      aLetter(3n, { uid: 'a' }),
      aLetter(4n, { uid: 'a', amount: 666 }),
      aLetter(5n, { uid: 'b' }),
    )
    expect(outcome).toMatchObject({ resolved: 2, failed_again: 1 })
    expect(store.deadLetters.get('orders-1-4')?.rejection).toMatchObject({ reason: 'store_rejected', error: '23514' })
    expect(store.rows.get('a')?.origin.offset).toBe(3n)
  })

  it('tries again what fails for an unforeseen reason, and blames it in the end', async () => {
    let tries = 0
    const { store, settle } = aSettlement({
      refuse: ({ key }) => (key === 'b' && ++tries > 0 ? new TypeError('cannot read {"name":"Ada"}') : undefined),
    })
    const outcome = await settle(aLetter(3n, { uid: 'a' }), aLetter(4n, { uid: 'b' }))
    expect(outcome).toMatchObject({ resolved: 1, failed_again: 1 })
    const { rejection } = store.deadLetters.get('orders-1-4') ?? {}
    expect(rejection).toMatchObject({ reason: 'unexpected_error', error: 'TypeError' })
    expect(JSON.stringify(rejection)).not.toContain('Ada')
    expect(tries).toBeGreaterThan(3)
  })

  it('is taken apart when the store gives up on it again and again, and a single letter is to blame for it', async () => {
    const timeout = new StoreContendedError('statement timeout', { sqlState: '57014' })
    const isolated: boolean[] = []
    const { store, settle } = aSettlement({
      refuse: ({ key }) => (key === 'b' ? timeout : undefined),
      pages: { settle: (...args) => asked(...args) },
    })
    const asked: RedrivePages<Order>['settle'] = (redrive, work) => {
      isolated.push(work.isolate)
      return store.pages.settle(redrive, work)
    }
    const outcome = await settle(...['a', 'b', 'c'].map((uid, n) => aLetter(BigInt(n), { uid })))
    expect(outcome).toMatchObject({ resolved: 2, failed_again: 1 })
    expect(isolated.slice(0, 4)).toEqual([false, false, false, true])
  })

  it('leaves an outage to its worker, and takes what it may have written out of the cache', async () => {
    const { store, told, settle } = aSettlement()
    store.fail(new StoreUnavailableError('away'))
    await expect(settle(aLetter(3n, { uid: 'a' }))).rejects.toThrow('away')
    expect(told).toEqual([undefined])
  })

  it('does not wait without end for a store that is busy: an operator may want something', async () => {
    const { store, settle } = aSettlement()
    store.fail(new StoreContendedError('lock timeout', { sqlState: '55P03' }))
    await expect(settle(aLetter(3n, { uid: 'a' }))).rejects.toThrow('lock timeout')
  })
})
