import { describe, expect, it } from 'vitest'
import { collapse } from '#src/engine/collapse.ts'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import type { PageWork } from '#src/inbox/redrive-settlement.ts'
import { type RedriveInHand, RedriveTakenOverError } from '#src/inbox/redrive-work.ts'
import { NO_RULES } from '../support/memory-redrive-work.ts'
import type { Order } from '../support/order.ts'
import { aDeadLetter, aReadyOrder, aWork, type OrderOptions } from '../support/orders.ts'
import type { RedriveHarness } from '../support/redrive-harness.ts'

const REDRIVE: RedriveInHand = { id: 'r1', epoch: 3, to: 'store', rate: undefined, ...NO_RULES }
const by = (redriveCount = 1) => ({ redriveId: 'r1', redriveCount })

function passing(offset: bigint, options: OrderOptions & { timestampMs?: number } = {}): ReadyRecord<Order> {
  return { ...aReadyOrder({ uid: `order-${offset}`, offset, ...options }), redrive: by() }
}

/** A failure of the store, of a letter that failed for its JSON before. */
function failing(offset: bigint, redriveCount = 1): DeadLetter {
  const rejection = {
    reason: 'store_rejected',
    error: '23514',
    pointer: '',
    message: 'refused',
    violations: [],
  } as const
  return aDeadLetter(offset, { rejection, ...by(redriveCount), failedAtMs: 1_700_000_100_000 })
}

function aPage(records: readonly ReadyRecord<Order>[], deadLetters: readonly DeadLetter[] = []): PageWork<Order> {
  const { ready, ...collapsed } = collapse(records)
  return { ready, collapsed, deadLetters, isolate: false }
}

const idOf = (offset: bigint) => `orders-0-${offset}`

/** The contract of {@link RedrivePages}, for the real one and for its stand-in. @param open nothing stored; parks after two redrives */
export function redrivePagesSuite(open: () => Promise<RedriveHarness>): void {
  /** So many letters at the offsets from 0, which the redrive has in hand; progress stands behind them. */
  async function inHand(count: number): Promise<RedriveHarness> {
    const harness = await open()
    await harness.store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    const letters = Array.from({ length: count }, (_, n) =>
      aDeadLetter(BigInt(n), { dlq: { partition: 2, offset: BigInt(n) } }),
    )
    await harness.store.settle(aWork([], { from: 0n, deadLetters: letters }))
    for (let n = 0n; n < count; n++) {
      await harness.setState(idOf(n), 'replaying', 'r1')
      await harness.addItem('r1', idOf(n), 'claimed')
    }
    await harness.hold('r1', REDRIVE.epoch)
    return harness
  }

  it('stores values at the first positions of their letters, which are resolved, and counts the new keys', async () => {
    const { pages, stored, letter, item, events, added } = await inHand(3)
    const records = [0n, 1n, 2n].map(offset => passing(offset))
    const settled = await pages.settle(REDRIVE, aPage(records))
    expect(settled).toMatchObject({ kind: 'settled', closings: { resolved: 3, failed_again: 0, parked: 0 } })
    expect(settled).toMatchObject({ written: records.map(({ key }) => ({ key })) })
    expect(await stored('order-1')).toEqual({ partition: 0, offset: 1n })
    expect(await letter(idOf(1n))).toMatchObject({ state: 'resolved', redriveCount: 1, failures: 1 })
    expect(await item('r1', idOf(1n))).toEqual({ state: 'resolved', outcome: 'written' })
    expect(await events(idOf(1n))).toMatchObject([
      { what: 'resolved', detail: { replay_id: 'r1', replay_count: 1, outcome: 'written' } },
    ])
    expect(await added()).toBe(3)
  })

  it('never overwrites a newer version, and closes the letters of what it collapsed or finds in place', async () => {
    const { store, pages, stored, item, added } = await inHand(5)
    const live = [
      aReadyOrder({ uid: 'newer', offset: 5n }),
      aReadyOrder({ uid: 'here', offset: 6n, origin: { topic: 'orders', partition: 0, offset: 1n, timestampMs: 1 } }),
      aReadyOrder({ uid: 'older', offset: 7n, origin: { topic: 'orders', partition: 1, offset: 9n, timestampMs: 1 } }),
    ]
    await store.settle(aWork(live, { from: 5n }))
    const uids = ['newer', 'here', 'older', 'twice', 'twice']
    const page = aPage(uids.map((uid, n) => passing(BigInt(n), { uid })))
    expect(await pages.settle(REDRIVE, page)).toMatchObject({ closings: { resolved: 5 } })
    const outcomes = await Promise.all(uids.map(async (_, n) => (await item('r1', idOf(BigInt(n))))?.outcome))
    expect(outcomes).toEqual(['stale', 'duplicate', 'written', 'superseded', 'written'])
    expect(await stored('newer')).toEqual({ partition: 0, offset: 5n })
    expect(await stored('older')).toEqual({ partition: 0, offset: 2n })
    expect(await stored('twice')).toEqual({ partition: 0, offset: 4n })
    expect(await added()).toBe(1)
  })

  describe('a letter that fails again', () => {
    it('is open once more with its new cause, at the place of its only copy, and no failure of the ledger is added', async () => {
      const { pages, letter, item, events, stored } = await inHand(2)
      const settled = await pages.settle(REDRIVE, aPage([passing(1n)], [failing(0n)]))
      expect(settled).toMatchObject({ closings: { resolved: 1, failed_again: 1, parked: 0 } })
      expect(await letter(idOf(0n))).toMatchObject({
        ...{ state: 'open', reason: 'store_rejected', redriveCount: 1, failures: 1 },
        dlq: { partition: 2, offset: 0n },
      })
      expect(await item('r1', idOf(0n))).toEqual({ state: 'failed_again', outcome: 'store_rejected' })
      expect(await events(idOf(0n))).toMatchObject([
        { what: 'failed_again', detail: { reason: 'store_rejected', was_reason: 'malformed_json', replay_count: 1 } },
      ])
      expect(await stored('order-1')).toBeDefined()
    })

    it('is parked when it was redriven so often', async () => {
      const { pages, letter, item, events } = await inHand(1)
      const settled = await pages.settle(REDRIVE, aPage([], [failing(0n, 2)]))
      expect(settled).toMatchObject({ closings: { resolved: 0, failed_again: 0, parked: 1 } })
      expect(await letter(idOf(0n))).toMatchObject({ state: 'parked', redriveCount: 2, failures: 1 })
      expect(await item('r1', idOf(0n))).toEqual({ state: 'parked', outcome: 'store_rejected' })
      expect((await events(idOf(0n))).map(({ what }) => what)).toEqual(['failed_again', 'parked'])
    })

    it('keeps its state when it was resolved or discarded meanwhile', async () => {
      for (const state of ['resolved', 'discarded']) {
        const { pages, letter, setState } = await inHand(1)
        await setState(idOf(0n), state, 'r1')
        await pages.settle(REDRIVE, aPage([], [failing(0n)]))
        expect(await letter(idOf(0n))).toMatchObject({ state, failures: 1 })
      }
    })
  })

  it('finds those that the store refuses, and writes nothing of the page until they are taken out', async () => {
    const { pages, stored, item, letter } = await inHand(40)
    const records = Array.from({ length: 40 }, (_, n) =>
      passing(BigInt(n), { uid: `o${String(n).padStart(2, '0')}`, amount: n === 17 ? 666 : 1 }),
    )
    const refused = await pages.settle(REDRIVE, aPage(records))
    expect(refused).toMatchObject({ kind: 'refused', culprits: [{ index: 17, error: '23514', kind: 'refused' }] })
    expect([await stored('o00'), (await item('r1', idOf(0n)))?.state, (await letter(idOf(0n)))?.state]).toEqual([
      ...[undefined, 'claimed', 'replaying'],
    ])
    const settled = await pages.settle(REDRIVE, aPage(records.toSpliced(17, 1), [failing(17n)]))
    expect(settled).toMatchObject({ closings: { resolved: 39, failed_again: 1 } })
  })

  it('changes nothing for a worker that another one has replaced', async () => {
    const { pages, stored, item, letter, added } = await inHand(2)
    const before = [await letter(idOf(0n)), await letter(idOf(1n)), await item('r1', idOf(0n))]
    const late = { ...REDRIVE, epoch: REDRIVE.epoch - 1 }
    for (const work of [aPage([passing(0n)], [failing(1n)]), { ...aPage([passing(0n)]), isolate: true }]) {
      await expect(pages.settle(late, work)).rejects.toThrow(RedriveTakenOverError)
    }
    expect([await letter(idOf(0n)), await letter(idOf(1n)), await item('r1', idOf(0n))]).toEqual(before)
    expect([await stored('order-0'), await added()]).toEqual([undefined, 0])
  })

  it('has its effect once when a page comes again, because its reply was lost', async () => {
    const { pages, letter, item, added } = await inHand(2)
    const page = aPage([passing(0n)], [failing(1n)])
    await pages.settle(REDRIVE, page)
    await pages.settle(REDRIVE, page)
    expect(await item('r1', idOf(0n))).toEqual({ state: 'resolved', outcome: 'written' })
    expect(await letter(idOf(1n))).toMatchObject({ state: 'open', redriveCount: 1, failures: 1 })
    expect(await added()).toBe(1)
  })
}
