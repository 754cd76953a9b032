import { describe, expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { OwnershipLostError, ProgressRemovedError, ProgressSetBackError } from '#src/engine/errors.ts'
import type { Origin } from '#src/engine/record.ts'
import type { Settlement, SettlementStore } from '#src/engine/settlement.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import type { Order } from '../support/order.ts'
import { aDeadLetter, aReadyOrder, aWork } from '../support/orders.ts'

/** A ledger row, or an entry of the stand-in's ledger. */
export interface Range {
  readonly from: bigint
  readonly to: bigint
  readonly records: number
  readonly written: number
  readonly gaps: number
  readonly expired: number
  readonly skipped: number
  readonly inserted: number
}

export interface StoredOrder {
  readonly origin: Origin
  /** `chrt_id` of each, in order of position. */
  readonly items: readonly number[]
  readonly amount: number
}

/** A store with nothing in it, and a look behind its port. It refuses every order whose amount is 666. */
export interface Harness {
  readonly store: SettlementStore<Order>
  order(uid: string): Promise<StoredOrder | undefined>
  ledger(partition: number): Promise<readonly Range[]>
  /** By id, with state. */
  deadLetters(): Promise<ReadonlyMap<string, Pick<DeadLetter['rejection'], 'reason'>>>
}

const REFUSED = 666
const orders0 = { topic: 'orders', partition: 0 }
const orders1 = { topic: 'orders', partition: 1 }

/** What every settlement store promises. */
export function settlementStoreSuite(createHarness: () => Promise<Harness>): void {
  /** Progress of both partitions at offset 0. */
  async function started(): Promise<Harness> {
    const harness = await createHarness()
    await harness.store.startProgress('holdfast', { ...orders0, nextOffset: 0n })
    await harness.store.startProgress('holdfast', { ...orders1, nextOffset: 0n })
    return harness
  }

  describe('a settled batch', () => {
    it('stores new orders, moves progress and enters the ledger, in one', async () => {
      const { store, order, ledger } = await started()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n, items: 2 }), aReadyOrder({ uid: 'b', offset: 1n })], {
        from: 0n,
        to: 5n,
      })
      const settlement = await store.settle(work)
      expect(settlement).toMatchObject({ kind: 'settled', counts: { written: 2, duplicate: 0, stale: 0 } })
      expect(uidsOf(settlement)).toEqual(['a', 'b'])
      expect(await order('a')).toMatchObject({ items: [0, 1], origin: { topic: 'orders', partition: 0, offset: 0n } })
      expect(await store.readProgress('holdfast', [orders0])).toMatchObject([{ ...orders0, nextOffset: 5n }])
      expect(await ledger(0)).toMatchObject([
        { from: 0n, to: 5n, records: 2, written: 2, inserted: 2, gaps: 3, expired: 0 },
      ])
    })

    it('replaces an order as a whole: its items shrink and grow', async () => {
      const { store, order, ledger } = await started()
      for (const [offset, items] of [
        [0n, 3],
        [1n, 1],
        [2n, 4],
      ] as const) {
        await store.settle(aWork([aReadyOrder({ uid: 'a', offset, items })], { from: offset }))
        expect((await order('a'))?.items).toEqual(Array.from({ length: items }, (_, position) => position))
      }
      expect((await ledger(0)).map(({ written, inserted }) => [written, inserted])).toEqual([
        [1, 1],
        [1, 0],
        [1, 0],
      ])
    })

    it('counts the same record again as a duplicate, and an earlier one as stale, and changes nothing', async () => {
      const { store, order } = await started()
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 5n, amount: 5 })], { from: 0n }))
      const again = await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 5n, amount: 7 })], { from: 1n }))
      expect(again).toMatchObject({ counts: { written: 0, duplicate: 1, stale: 0 }, written: [] })
      const earlier = await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 4n, amount: 4 })], { from: 2n }))
      expect(earlier).toMatchObject({ counts: { written: 0, duplicate: 0, stale: 1 }, written: [] })
      expect((await order('a'))?.amount).toBe(5)
    })

    it('across partitions lets the later record win by its timestamp, and the arriving one when they are equal', async () => {
      const { store, order } = await started()
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 9n, timestampMs: 2000, amount: 1 })], { from: 0n }))
      const onOther = (timestampMs: number, amount: number, offset: bigint) =>
        store.settle(
          aWork([aReadyOrder({ uid: 'a', partition: 1, offset, timestampMs, amount })], { from: offset, partition: 1 }),
        )
      expect(await onOther(1999, 2, 0n)).toMatchObject({ counts: { written: 0, stale: 1 } })
      expect(await onOther(2000, 3, 1n)).toMatchObject({ counts: { written: 1, stale: 0 } })
      expect((await order('a'))?.amount).toBe(3)
    })

    it('weighs a redriven record by its first position', async () => {
      const { store, order } = await started()
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 5n, amount: 5 })], { from: 0n }))
      const origin = { topic: 'orders', partition: 0, offset: 3n, timestampMs: 1 }
      const redriven = aReadyOrder({ uid: 'a', offset: 9n, amount: 9, origin })
      expect(await store.settle(aWork([redriven], { from: 1n }))).toMatchObject({ counts: { written: 0, stale: 1 } })
      expect((await order('a'))?.amount).toBe(5)
    })

    it('counts what was collapsed before it came', async () => {
      const { store } = await started()
      const records = [aReadyOrder({ uid: 'a', offset: 0n }), aReadyOrder({ uid: 'a', offset: 1n, amount: 2 })]
      const settlement = await store.settle(aWork(records, { from: 0n }))
      expect(settlement).toMatchObject({ counts: { written: 1, superseded: 1 } })
    })

    it('indexes its dead letters, also when it holds no order', async () => {
      const { store, deadLetters } = await started()
      const settlement = await store.settle(aWork([], { from: 0n, deadLetters: [aDeadLetter(0n), aDeadLetter(1n)] }))
      expect(settlement).toMatchObject({ kind: 'settled', counts: { written: 0, dead_lettered: 2 }, written: [] })
      expect([...(await deadLetters())]).toEqual([
        ['orders-0-0', { reason: 'malformed_json' }],
        ['orders-0-1', { reason: 'malformed_json' }],
      ])
    })

    it('may hold nothing but gaps', async () => {
      const { store, ledger } = await started()
      await store.settle(aWork([], { from: 0n, to: 4n }))
      expect(await ledger(0)).toMatchObject([{ from: 0n, to: 4n, records: 0, gaps: 4 }])
    })

    it('is stopped before anything is written when its numbers do not add up', async () => {
      const { store, order } = await started()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n, records: 2, to: 2n })
      await expect(store.settle(work)).rejects.toThrow(RangeError)
      expect(await order('a')).toBeUndefined()
    })
  })

  describe('the fence', () => {
    it('lets nobody write who starts from an offset that progress has left', async () => {
      const { store, order } = await started()
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n, to: 3n }))
      const zombie = aWork([aReadyOrder({ uid: 'b', offset: 0n })], { from: 0n, to: 1n })
      await expect(store.settle(zombie)).rejects.toThrow(OwnershipLostError)
      expect(await order('b')).toBeUndefined()
    })

    it('lets nobody write ahead of progress, which no other consumer has moved there', async () => {
      const { store, order } = await started()
      const ahead = aWork([aReadyOrder({ uid: 'b', offset: 7n })], { from: 7n })
      await expect(store.settle(ahead)).rejects.toThrow(ProgressSetBackError)
      expect(await order('b')).toBeUndefined()
    })

    it('lets nobody write to a partition that was never started', async () => {
      const { store } = await started()
      const work = aWork([aReadyOrder({ uid: 'b', partition: 9 })], { from: 0n, partition: 9 })
      await expect(store.settle(work)).rejects.toThrow(OwnershipLostError)
    })

    it('knows the batch that it has settled already (its reply was lost), and settles it once', async () => {
      const { store, ledger } = await started()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n }), aReadyOrder({ uid: 'b', offset: 1n })], {
        from: 0n,
        deadLetters: [aDeadLetter(2n)],
      })
      const first = await store.settle(work)
      const again = await store.settle(work)
      expect(again).toEqual({ kind: 'settled', counts: first.kind === 'settled' && first.counts, written: undefined })
      expect(await ledger(0)).toHaveLength(1)
    })

    it('takes a batch for lost once progress has gone beyond it: then another consumer has it', async () => {
      const { store } = await started()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n })
      await store.settle(work)
      await store.settle(aWork([aReadyOrder({ uid: 'b', offset: 1n })], { from: 1n }))
      await expect(store.settle(work)).rejects.toThrow(OwnershipLostError)
    })

    it('takes a batch for lost that another consumer has settled in two', async () => {
      const { store } = await started()
      const both = [aReadyOrder({ uid: 'a', offset: 0n }), aReadyOrder({ uid: 'b', offset: 1n })] as const
      await store.settle(aWork([both[0]], { from: 0n }))
      await store.settle(aWork([both[1]], { from: 1n }))
      await expect(store.settle(aWork(both, { from: 0n }))).rejects.toThrow(OwnershipLostError)
    })

    it('lets one of two that settle the same batch at once, and tells the other the same', async () => {
      const { store, ledger } = await started()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n })
      const both = await Promise.all([store.settle(work), store.settle(work)])
      expect(both.map(settlement => settlement.kind)).toEqual(['settled', 'settled'])
      expect(both.filter(settlement => settlement.kind === 'settled' && settlement.written === undefined)).toHaveLength(
        1,
      )
      expect(await ledger(0)).toHaveLength(1)
    })

    it('keeps groups apart', async () => {
      const { store } = await started()
      await store.startProgress('other', { ...orders0, nextOffset: 0n })
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n }))
      const other = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n, groupId: 'other' })
      expect(await store.settle(other)).toMatchObject({ counts: { duplicate: 1 } })
    })
  })

  describe('records that the store refuses', () => {
    const batchOf = (size: number, bad: readonly number[]): ReadyRecord<Order>[] =>
      Array.from({ length: size }, (_, index) =>
        aReadyOrder({
          uid: `order-${String(index).padStart(3, '0')}`,
          offset: BigInt(index),
          amount: bad.includes(index) ? REFUSED : 1,
        }),
      )

    it('are named, and nothing is written until they are out of the batch', async () => {
      const { store, order, ledger } = await started()
      const records = batchOf(100, [17])
      const refusal = await store.settle(aWork(records, { from: 0n }))
      expect(refusal).toMatchObject({ kind: 'refused', culprits: [{ index: 17, error: '23514', kind: 'refused' }] })
      expect(await order('order-000')).toBeUndefined()
      expect(await ledger(0)).toEqual([])

      const [culprit] = records.splice(17, 1)
      const letter = aDeadLetter(17n, { key: culprit?.key ?? null })
      const settlement = await store.settle(aWork(records, { from: 0n, deadLetters: [letter] }))
      expect(settlement).toMatchObject({ kind: 'settled', counts: { written: 99, dead_lettered: 1 } })
    })

    it('are all found, in O(k log n) attempts', async () => {
      const { store } = await started()
      const bad = [0, 31, 32, 63]
      const refusal = await store.settle(aWork(batchOf(64, bad), { from: 0n }))
      if (refusal.kind !== 'refused') throw new Error('the batch was settled')
      expect(refusal.culprits.map(culprit => culprit.index)).toEqual(bad)
      expect(refusal.attempts).toBeLessThanOrEqual(1 + 2 * bad.length * Math.ceil(Math.log2(64)))
    })

    it('need no search when they come alone', async () => {
      const { store } = await started()
      const refusal = await store.settle(aWork(batchOf(1, [0]), { from: 0n }))
      expect(refusal).toMatchObject({ kind: 'refused', attempts: 1, culprits: [{ index: 0 }] })
    })

    it('may be all of them: a refusal is about the record', async () => {
      const { store } = await started()
      const refusal = await store.settle(aWork(batchOf(3, [0, 1, 2]), { from: 0n }))
      expect(refusal).toMatchObject({ kind: 'refused', culprits: [{ index: 0 }, { index: 1 }, { index: 2 }] })
    })

    it('are not dead-lettered by one who has lost the partition', async () => {
      const { store } = await started()
      await store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n }))
      await expect(store.settle(aWork(batchOf(2, [1]), { from: 0n }))).rejects.toThrow(OwnershipLostError)
    })
  })

  describe('progress', () => {
    it('is made once, and stays where it is', async () => {
      const { store } = await createHarness()
      expect(await store.startProgress('holdfast', { ...orders0, nextOffset: 7n })).toBe(7n)
      expect(await store.startProgress('holdfast', { ...orders0, nextOffset: 9n })).toBe(7n)
    })

    it('begins where it is told to, and the ledger holds what that passes over', async () => {
      const { store, ledger } = await createHarness()
      expect(await store.startProgress('holdfast', { ...orders0, nextOffset: 7n }, 2n)).toBe(7n)
      expect(await store.startProgress('holdfast', { ...orders0, nextOffset: 9n }, 2n)).toBe(7n)
      expect(await store.startProgress('holdfast', { ...orders1, nextOffset: 7n }, 7n)).toBe(7n)
      expect(await ledger(0)).toMatchObject([{ from: 2n, to: 7n, records: 0, skipped: 5 }])
      expect(await ledger(1)).toEqual([])
    })

    it('goes over offsets that hold no record, and keeps the count of dead letters in a row', async () => {
      const { store, ledger } = await started()
      const storm = { deadLettersInARow: 4, refusedInARow: 0, recent: '1111' }
      const settlement = await store.settle({ ...aWork([], { from: 0n, to: 3n }), storm })
      expect(settlement).toMatchObject({ kind: 'settled', counts: { written: 0, dead_lettered: 0 } })
      expect(await ledger(0)).toMatchObject([{ from: 0n, to: 3n, records: 0, gaps: 3 }])
      expect(await store.readProgress('holdfast', [orders0])).toMatchObject([{ nextOffset: 3n, storm }])
    })

    it('that is gone is called so by a batch, which changes nothing', async () => {
      const { store, order } = await createHarness()
      const work = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n })
      await expect(store.settle(work)).rejects.toThrow(ProgressRemovedError)
      await expect(store.expire('holdfast', orders0, 0n, 4n)).rejects.toThrow(ProgressRemovedError)
      expect(await order('a')).toBeUndefined()
    })

    it('is absent for a partition that was never consumed', async () => {
      const { store } = await started()
      expect(await store.readProgress('holdfast', [orders1, { topic: 'orders', partition: 8 }])).toMatchObject([
        { ...orders1, nextOffset: 0n },
      ])
      expect(await store.readProgress('another', [orders0])).toEqual([])
      expect(await store.readProgress('holdfast', [])).toEqual([])
    })

    it('knows the topic in which it counts, once that was noted', async () => {
      const { store } = await started()
      await store.identify('holdfast', [orders0], 'topic-1')
      await store.identify('another', [orders1], 'topic-2')
      const rows = await store.readProgress('holdfast', [orders0, orders1])
      expect(new Map(rows.map(row => [row.partition, row.topicId]))).toEqual(
        new Map([
          [0, 'topic-1'],
          [1, undefined],
        ]),
      )
    })

    it('passes offsets that retention removed, behind the fence, and says so in the ledger', async () => {
      const { store, ledger } = await started()
      await store.expire('holdfast', orders0, 0n, 12n)
      expect(await store.readProgress('holdfast', [orders0])).toMatchObject([{ ...orders0, nextOffset: 12n }])
      expect(await ledger(0)).toMatchObject([{ from: 0n, to: 12n, records: 0, gaps: 0, expired: 12 }])
      await store.expire('holdfast', orders0, 0n, 12n) // the reply was lost: once is enough
      await expect(store.expire('holdfast', orders0, 3n, 20n)).rejects.toThrow(OwnershipLostError)
      expect(await ledger(0)).toHaveLength(1)
    })
  })

  describe('what the storm guard has counted', () => {
    const storm = { deadLettersInARow: 3, refusedInARow: 2, recent: '00111' }
    const pause = { reason: 'storm_guard', because: '3 dead letters in a row' } as const
    const stored = async ({ store }: Harness) => (await store.readProgress('holdfast', [orders0]))[0]

    it('is stored with the batch, with the pause and its cause; one that is told nothing of it changes nothing', async () => {
      const harness = await started()
      const one = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n })
      await harness.store.settle({ ...one, storm, pause })
      expect(await stored(harness)).toMatchObject({ nextOffset: 1n, storm, pause })
      await harness.store.expire('holdfast', orders0, 1n, 5n)
      expect(await stored(harness)).toMatchObject({ nextOffset: 5n, storm, pause })
    })

    it('lets no consumer settle a batch while the partition waits for an operator', async () => {
      const harness = await started()
      const one = { ...aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n }), storm, pause }
      await harness.store.settle(one)
      expect(await harness.store.settle(one)).toMatchObject({ kind: 'settled' }) // the reply was lost
      const two = aWork([aReadyOrder({ uid: 'b', offset: 1n })], { from: 1n })
      await expect(harness.store.settle({ ...two, storm })).rejects.toThrow(OwnershipLostError)
      expect(await harness.order('b')).toBeUndefined()
    })

    it('holds a thousand records', async () => {
      const harness = await started()
      const recent = '0'.repeat(999).concat('1')
      const one = aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n })
      await harness.store.settle({ ...one, storm: { ...storm, recent } })
      expect(await stored(harness)).toMatchObject({ storm: { ...storm, recent } })
    })

    it('is kept when a batch is held: only the pause is new, and only where progress is', async () => {
      const harness = await started()
      await harness.store.settle({ ...aWork([aReadyOrder({ uid: 'a', offset: 0n })], { from: 0n }), storm })
      await harness.store.hold('holdfast', { ...orders0, nextOffset: 1n }, pause)
      expect(await stored(harness)).toMatchObject({ nextOffset: 1n, storm, pause })
      const late = harness.store.hold('holdfast', { ...orders0, nextOffset: 0n }, pause)
      await expect(late).rejects.toThrow(OwnershipLostError)
    })
  })

  it('answers a probe', async () => {
    const { store } = await createHarness()
    await expect(store.probe()).resolves.toBeUndefined()
  })
}

function uidsOf(settlement: Settlement<Order>): string[] | undefined {
  return settlement.kind === 'settled' ? settlement.written?.map(order => order.key) : undefined
}
