import { describe, expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import type { ProvenanceClaim } from '#src/engine/provenance.ts'
import type { Settlement } from '#src/engine/settlement.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import type { Order } from '../support/order.ts'
import { aDeadLetter, aReadyOrder, aWork, type OrderOptions } from '../support/orders.ts'
import { aRecord } from '../support/records.ts'
import type { RedriveHarness } from '../support/redrive-harness.ts'

const ID = 'orders-0-0'
/** Where the letter of these tests first stood. */
const ORIGIN = { topic: 'orders', partition: 0, offset: 0n, timestampMs: 1_700_000_000_000 }

/** The dead letter's record, published once more at `offset` and valid this time. */
function redriven(offset: bigint, redriveId = 'r1', options: OrderOptions & { redriveCount?: number } = {}) {
  const { redriveCount = 1, ...order } = options
  const ready: ReadyRecord<Order> = {
    ...aReadyOrder({ uid: 'a', offset, origin: ORIGIN, ...order }),
    redrive: { redriveId, redriveCount },
  }
  return ready
}

/** The same, and it fails. */
function failing(offset: bigint, redriveId = 'r1', redriveCount = 1): DeadLetter {
  const rejection = {
    reason: 'store_rejected',
    error: '23514',
    pointer: '',
    message: 'refused',
    violations: [],
  } as const
  return aDeadLetter(offset, {
    record: aRecord({ offset }),
    origin: ORIGIN,
    rejection,
    redriveId,
    redriveCount,
    failedAtMs: 1_700_000_100_000,
    dlq: { partition: 0, offset: 100n + offset },
  })
}

/** What every settlement store makes of records that were redriven. */
export function redrivenRecordsSuite(createHarness: () => Promise<RedriveHarness>): void {
  /** The record at offset 0 is a dead letter, and the redrive r1 has it in hand. */
  async function redriving(state: 'claimed' | 'published' = 'published'): Promise<RedriveHarness> {
    const harness = await createHarness()
    await harness.store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
    await harness.store.settle(
      aWork([], { from: 0n, deadLetters: [aDeadLetter(0n, { dlq: { partition: 0, offset: 100n } })] }),
    )
    await harness.setState(ID, 'replaying', 'r1')
    await harness.addItem('r1', ID, state)
    return harness
  }

  const closingsOf = (settlement: Settlement<Order>) => (settlement.kind === 'settled' ? settlement.closings : null)

  describe('a dead letter', () => {
    it('is indexed with its position in the DLQ topic, and the latest one counts', async () => {
      const harness = await redriving()
      expect(await harness.letter(ID)).toMatchObject({ dlq: { partition: 0, offset: 100n } })
      await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n)] }))
      expect(await harness.letter(ID)).toMatchObject({ dlq: { partition: 0, offset: 101n } })
      // One whose position is not known leaves what is known
      const { dlq: _, ...unplaced } = failing(2n)
      await harness.store.settle(aWork([], { from: 2n, deadLetters: [unplaced] }))
      expect(await harness.letter(ID)).toMatchObject({ dlq: { partition: 0, offset: 101n } })
    })

    it('without a redriven record in the batch closes nothing', async () => {
      const harness = await redriving()
      const settlement = await harness.store.settle(aWork([aReadyOrder({ uid: 'b', offset: 1n })], { from: 1n }))
      expect(closingsOf(settlement)).toBeUndefined()
      expect(await harness.letter(ID)).toMatchObject({ state: 'replaying' })
    })
  })

  describe('what a record claims of its redrive', () => {
    const claim = { origin: ORIGIN, redriveId: 'r1' }
    const facts = { topic: ORIGIN.topic, timestampMs: ORIGIN.timestampMs, nextOffset: 1n }
    const asked = async ({ store }: RedriveHarness, ...claims: ProvenanceClaim[]) =>
      Object.fromEntries(await store.redrives('holdfast', 'orders', claims))

    it('is known by the member of that redrive: how often, its timestamp, and how far the group is', async () => {
      const harness = await redriving()
      const far = { ...claim, origin: { ...ORIGIN, offset: 77n } }
      const other = { ...claim, redriveId: 'r2' }
      expect(await asked(harness, other, claim, far)).toEqual({ [`r1 ${ID}`]: { ...facts, redriveCount: 1 } })
      const elsewhere = await harness.store.redrives('another group', 'orders', [claim])
      expect(elsewhere.get(`r1 ${ID}`)).toEqual({ ...facts, redriveCount: 1, nextOffset: undefined })
    })

    it('counts once more with each redrive, and the same when its record is read again', async () => {
      const harness = await redriving('claimed')
      await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n)] }))
      await harness.addItem('r2', ID, 'published')
      const again = await asked(harness, claim, { ...claim, redriveId: 'r2' })
      expect(again).toMatchObject({ [`r1 ${ID}`]: { redriveCount: 1 }, [`r2 ${ID}`]: { redriveCount: 2 } })
    })

    it('is nothing as long as its redrive has not published it', async () => {
      const harness = await redriving()
      await harness.addItem('r2', ID, 'pending')
      expect(await asked(harness, { ...claim, redriveId: 'r2' })).toEqual({})
    })
  })

  describe('a record that is read again, as after seek', () => {
    /** By another group, whose progress is behind. */
    const again = { groupId: 'again', from: 0n, readAgain: true } as const

    async function readAgain(state = 'open'): Promise<RedriveHarness> {
      const harness = await createHarness()
      const { store } = harness
      await store.startProgress('holdfast', { topic: 'orders', partition: 0, nextOffset: 0n })
      const deadLetters = [aDeadLetter(0n), aDeadLetter(1n)]
      await store.settle(aWork([], { from: 0n, deadLetters }))
      await store.startProgress('again', { topic: 'orders', partition: 0, nextOffset: 0n })
      await harness.setState(ID, state, null)
      return harness
    }
    const place = { topic: 'orders', partition: 0 }

    it('is known by the dead letters that wait before its partition', async () => {
      const { store, setState } = await readAgain()
      expect(await store.readProgress('again', [place])).toMatchObject([{ nextOffset: 0n, readAgainTo: 2n }])
      const [ahead] = await store.readProgress('holdfast', [place])
      expect(ahead).toMatchObject({ nextOffset: 2n, readAgainTo: undefined })
      for (const [id, state] of [
        ['orders-0-0', 'resolved'],
        ['orders-0-1', 'discarded'],
      ] as const)
        await setState(id, state, null)
      const [settled] = await store.readProgress('again', [place])
      expect(settled?.readAgainTo).toBeUndefined()
    })

    it.each(['open', 'parked'])('resolves its letter, which was %s, when it has its effect', async state => {
      const harness = await readAgain(state)
      const settlement = await harness.store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], again))
      expect(closingsOf(settlement), 'no loop of a redrive').toBeUndefined()
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved', failures: 1, redriveCount: 0 })
      expect(await harness.events(ID)).toEqual([{ what: 'resolved', detail: { outcome: 'written', read_again: true } }])
      expect(await harness.letter('orders-0-1'), 'that was not read').toMatchObject({ state: 'open' })
    })

    it('resolves the letter of a record that another one of its batch replaced', async () => {
      const harness = await readAgain()
      const records = [aReadyOrder({ uid: 'a', offset: 0n }), aReadyOrder({ uid: 'a', offset: 1n })]
      await harness.store.settle(aWork(records, again))
      expect(await harness.events(ID)).toMatchObject([{ what: 'resolved', detail: { outcome: 'superseded' } }])
      expect(await harness.letter('orders-0-1')).toMatchObject({ state: 'resolved' })
    })

    it.each(['discarded', 'replaying', 'resolved'])('leaves a letter that is %s as it is', async state => {
      const harness = await readAgain(state)
      await harness.store.settle(aWork([aReadyOrder({ uid: 'a', offset: 0n })], again))
      expect(await harness.letter(ID)).toMatchObject({ state })
      expect(await harness.events(ID)).toEqual([])
    })

    it('says nothing of a letter whose record was another one, before the topic was made anew', async () => {
      const harness = await readAgain()
      const another = aReadyOrder({ uid: 'a', offset: 0n, timestampMs: 1_700_000_000_001 })
      await harness.store.settle(aWork([another], again))
      expect(await harness.letter(ID)).toMatchObject({ state: 'open' })
    })

    it('leaves its letter open when it fails again, and counts that', async () => {
      const harness = await readAgain()
      await harness.store.settle(aWork([], { ...again, deadLetters: [aDeadLetter(0n)] }))
      expect(await harness.letter(ID)).toMatchObject({ state: 'open', failures: 2 })
      expect(await harness.events(ID)).toEqual([])
    })
  })

  describe('a redriven record that is settled', () => {
    it.each(['claimed', 'published'] as const)('resolves its letter and its member, which was %s', async state => {
      const harness = await redriving(state)
      const settlement = await harness.store.settle(aWork([redriven(1n)], { from: 1n }))
      expect(closingsOf(settlement)).toEqual({ resolved: 1, failed_again: 0, parked: 0 })
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved', failures: 1, redriveCount: 1 })
      expect(await harness.item('r1', ID)).toEqual({ state: 'resolved', outcome: 'written' })
      expect(await harness.events(ID)).toEqual([
        { what: 'resolved', detail: { outcome: 'written', replay_id: 'r1', replay_count: 1 } },
      ])
    })

    it('is resolved as stale by what the store has, and overwrites nothing', async () => {
      const harness = await redriving()
      await harness.store.settle(aWork([aReadyOrder({ uid: 'a', offset: 1n, amount: 7 })], { from: 1n }))
      const settlement = await harness.store.settle(aWork([redriven(2n, 'r1', { amount: 9 })], { from: 2n }))
      expect(settlement).toMatchObject({ counts: { stale: 1, written: 0 }, closings: { resolved: 1 } })
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved' })
      expect(await harness.item('r1', ID)).toEqual({ state: 'resolved', outcome: 'stale' })
    })

    it('is resolved as a duplicate when its order is there already', async () => {
      const harness = await redriving()
      await harness.store.settle(aWork([redriven(1n)], { from: 1n }))
      await harness.addItem('r2', ID, 'published')
      await harness.store.settle(aWork([redriven(2n, 'r2')], { from: 2n }))
      expect(await harness.item('r2', ID)).toEqual({ state: 'resolved', outcome: 'duplicate' })
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved' })
    })

    it.each([
      ['superseded', [redriven(1n), aReadyOrder({ uid: 'a', offset: 2n })]],
      ['stale', [aReadyOrder({ uid: 'a', offset: 1n }), redriven(2n)]],
    ])('is resolved as %s within its batch', async (outcome, records) => {
      const harness = await redriving()
      const settlement = await harness.store.settle(aWork(records, { from: 1n }))
      expect(closingsOf(settlement)).toEqual({ resolved: 1, failed_again: 0, parked: 0 })
      expect(await harness.item('r1', ID)).toEqual({ state: 'resolved', outcome })
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved' })
    })

    it('counts once when it was published twice, also in one batch', async () => {
      const harness = await redriving()
      const settlement = await harness.store.settle(aWork([redriven(1n), redriven(2n)], { from: 1n }))
      expect(settlement).toMatchObject({ counts: { written: 1, duplicate: 1 }, closings: { resolved: 1 } })
      expect(await harness.item('r1', ID)).toEqual({ state: 'resolved', outcome: 'written' })
      await harness.store.settle(aWork([redriven(3n)], { from: 3n }))
      expect(await harness.item('r1', ID)).toEqual({ state: 'resolved', outcome: 'written' })
    })

    it('resolves its letter in whatever state that is, unless somebody has discarded it', async () => {
      for (const [state, after] of [
        ['open', 'resolved'],
        ['parked', 'resolved'],
        ['discarded', 'discarded'],
      ] as const) {
        const harness = await redriving()
        await harness.setState(ID, state, 'r1')
        await harness.store.settle(aWork([redriven(1n)], { from: 1n }))
        expect(await harness.letter(ID)).toMatchObject({ state: after })
        expect(await harness.item('r1', ID)).toMatchObject({ state: 'resolved' })
      }
    })

    it('is settled like any other when nobody knows its letter', async () => {
      const harness = await redriving()
      const elsewhere = { ...redriven(1n), origin: { ...ORIGIN, offset: 77n } }
      await harness.addItem('r1', 'orders-0-77', 'published')
      await harness.store.settle(aWork([elsewhere], { from: 1n }))
      expect(await harness.letter('orders-0-77')).toBeUndefined()
      expect(await harness.events('orders-0-77')).toEqual([])
      expect(await harness.item('r1', 'orders-0-77')).toMatchObject({ state: 'resolved' })
    })
  })

  describe('a redriven record that fails', () => {
    it('opens its letter again, which remembers what it failed for before', async () => {
      const harness = await redriving('claimed')
      const settlement = await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n)] }))
      expect(closingsOf(settlement)).toEqual({ resolved: 0, failed_again: 1, parked: 0 })
      expect(await harness.letter(ID)).toMatchObject({
        state: 'open',
        reason: 'store_rejected',
        failures: 2,
        redriveCount: 1,
      })
      expect(await harness.item('r1', ID)).toEqual({ state: 'failed_again', outcome: 'store_rejected' })
      expect(await harness.events(ID)).toMatchObject([
        {
          what: 'failed_again',
          detail: { replay_id: 'r1', replay_count: 1, reason: 'store_rejected', was_reason: 'malformed_json' },
        },
      ])
    })

    it('parks its letter when it was redriven so often', async () => {
      const harness = await redriving()
      await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n)] }))
      await harness.setState(ID, 'replaying', 'r2')
      await harness.addItem('r2', ID, 'published')
      const settlement = await harness.store.settle(aWork([], { from: 2n, deadLetters: [failing(2n, 'r2', 2)] }))
      expect(closingsOf(settlement)).toEqual({ resolved: 0, failed_again: 0, parked: 1 })
      expect(await harness.letter(ID)).toMatchObject({ state: 'parked', failures: 3, redriveCount: 2 })
      expect(await harness.item('r2', ID)).toEqual({ state: 'parked', outcome: 'store_rejected' })
      expect((await harness.events(ID)).map(({ what }) => what)).toEqual(['failed_again', 'failed_again', 'parked'])
    })

    it('fails once, however often its batch is settled', async () => {
      const harness = await redriving()
      const work = aWork([], { from: 1n, deadLetters: [failing(1n)] })
      await harness.store.settle(work)
      expect(closingsOf(await harness.store.settle(work))).toBeUndefined() // its reply to COMMIT was lost
      expect(await harness.letter(ID)).toMatchObject({ failures: 2, redriveCount: 1, state: 'open' })
      expect(await harness.events(ID)).toHaveLength(1)
    })

    it('leaves a letter alone that was resolved or discarded meanwhile', async () => {
      for (const state of ['resolved', 'discarded']) {
        const harness = await redriving()
        await harness.setState(ID, state, 'r1')
        await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n)] }))
        expect(await harness.letter(ID)).toMatchObject({ state, failures: 2 })
        expect(await harness.item('r1', ID)).toMatchObject({ state: 'failed_again' })
      }
    })

    it('leaves its letter to another redrive that has it in hand, whose record decides', async () => {
      const harness = await redriving()
      await harness.setState(ID, 'replaying', 'r2')
      await harness.addItem('r2', ID, 'published')
      await harness.store.settle(aWork([], { from: 1n, deadLetters: [failing(1n, 'r1')] }))
      expect(await harness.letter(ID)).toMatchObject({ state: 'replaying', redriveCount: 1 })
      await harness.store.settle(aWork([], { from: 2n, deadLetters: [failing(2n, 'r2')] }))
      expect(await harness.letter(ID)).toMatchObject({ state: 'open', failures: 3 })
    })

    it.each([
      ['before', 1n, 2n],
      ['after', 2n, 1n],
    ])('%s another copy of it was written: the letter is resolved', async (_, failsAt, writtenAt) => {
      const harness = await redriving()
      await harness.addItem('r2', ID, 'published')
      const steps = [
        { at: failsAt, work: aWork([], { from: failsAt, deadLetters: [failing(failsAt, 'r1')] }) },
        { at: writtenAt, work: aWork([redriven(writtenAt, 'r2')], { from: writtenAt }) },
      ].sort((a, b) => Number(a.at - b.at))
      for (const { work } of steps) await harness.store.settle(work)
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved' })
    })

    it('in one batch with a copy that is written: the letter is resolved', async () => {
      const harness = await redriving()
      await harness.addItem('r2', ID, 'published')
      const work = aWork([redriven(2n, 'r2')], { from: 1n, deadLetters: [failing(1n, 'r1')] })
      expect(closingsOf(await harness.store.settle(work))).toEqual({ resolved: 1, failed_again: 1, parked: 0 })
      expect(await harness.letter(ID)).toMatchObject({ state: 'resolved', failures: 2 })
    })

    it('is merely read again when it comes without a redrive: what was decided stands', async () => {
      const harness = await redriving()
      await harness.setState(ID, 'parked', 'r1')
      await harness.store.settle(aWork([], { from: 1n, deadLetters: [aDeadLetter(0n)] }))
      expect(await harness.letter(ID)).toMatchObject({ state: 'parked', failures: 2, redriveCount: 0 })
    })
  })
}
