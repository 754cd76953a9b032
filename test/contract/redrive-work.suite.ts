import { describe, expect, it } from 'vitest'
import type { RedriveState, RedriveStep } from '#src/inbox/letter-states.ts'
import { countsAfterResume, NOTHING_COUNTED, pausedUnsettled } from '#src/inbox/redrive-guard.ts'
import { type RedriveInHand, type RedriveStore, RedriveTakenOverError } from '#src/inbox/redrive-work.ts'
import { FAILURE } from '../support/memory-redrive-work.ts'

export interface RedriveWorkHarness {
  /** Of the only redrive, which is queued. */
  readonly id: string
  readonly store: RedriveStore
  state(): Promise<RedriveState | undefined>
  /** `id state outcome` of each member, in the order of publishing. */
  items(): Promise<readonly string[]>
  /** An operator decides about the letter otherwise: it is not open any more. */
  settle(letter: string): Promise<void>
  /** The record of a member that was published is settled; it fails with {@link FAILURE}. */
  settleMember(letter: string, as: 'resolved' | 'failed_again'): Promise<void>
  /** An operator asks for it while a worker is heard of. */
  ask(step: RedriveStep): Promise<void>
  /** Lets so much time pass that the worker counts as gone. */
  silence(): Promise<void>
}

const MARKS = new Map([[0, 7n]])

/**
 * The contract of {@link RedriveStore}, redrives as their worker records them, for the real one and for its stand-in.
 * @param open one redrive of so many letters, asked for at 2.5 records a second
 */
export function redriveWorkSuite(open: (count: number) => Promise<RedriveWorkHarness>): void {
  async function taken(count: number) {
    const harness = await open(count)
    const redrive = await take(harness)
    const { items } = await harness.store.page(redrive, count)
    return { ...harness, redrive, ids: items.map(({ id }) => id) }
  }

  it('hands a redrive that waits to one worker', async () => {
    const { id, store, state } = await open(1)
    expect(await store.waiting()).toBe(id)
    expect(await store.take(id)).toMatchObject({ id, epoch: 1, to: 'topic', rate: 2.5 })
    expect(await store.waiting()).toBeUndefined()
    expect(await store.take(id)).toBeUndefined()
    expect(await state()).toBe('running')
  })

  describe('a page', () => {
    it('holds the next members and what is needed to publish them, and touches none', async () => {
      const { store, redrive, ids } = await taken(3)
      const page = await store.page(redrive, 2)
      expect(page).toMatchObject({ state: 'running', marks: undefined })
      expect(page.items.map(({ id }) => id)).toEqual(ids.slice(0, 2))
      expect(page.items[0]).toMatchObject({
        origin: { topic: 'orders', offset: expect.any(BigInt), timestampMs: expect.any(Number) },
        ...{ redriveCount: 0, place: { offset: expect.any(BigInt) }, bytes: 100, edited: undefined },
      })
      expect(await store.page(redrive, 2)).toEqual(page)
    })

    it('that was begun comes first, whole and with its marks, to a successor as well', async () => {
      const { store, redrive, ids } = await taken(4)
      expect(await store.claim(redrive, ids.slice(0, 3), MARKS)).toEqual(new Set(ids.slice(0, 3)))
      await store.notePublished(redrive, ids.slice(0, 1))
      const page = await store.page(redrive, 1)
      expect(page.marks).toEqual(MARKS)
      expect(page.items.map(({ id }) => id)).toEqual(ids.slice(1, 3))

      await store.part(redrive, { to: 'queued' })
      const successor = await store.take(redrive.id)
      expect(successor).toMatchObject({ epoch: 2 })
      if (successor !== undefined) expect(await store.page(successor, 1)).toEqual(page)
    })

    it('skips letters that are not open any more, and none is claimed twice', async () => {
      const { store, redrive, ids, items, settle } = await taken(3)
      const [first = '', second = '', third = ''] = ids
      await settle(second)
      expect(await store.claim(redrive, [first, second], MARKS)).toEqual(new Set([first]))
      expect(await items()).toEqual([`${first} claimed`, `${second} skipped not_open`, `${third} pending`])
      await store.notePublished(redrive, [first])
      expect(await store.claim(redrive, [first, third], MARKS)).toEqual(new Set([third]))
      expect(await items()).toEqual([`${first} published`, `${second} skipped not_open`, `${third} claimed`])
    })

    it('is empty once all is published or skipped, also before it was claimed; what is published stays so', async () => {
      const { store, redrive, ids, items } = await taken(3)
      const [first = '', second = '', third = ''] = ids
      await store.noteSkipped(redrive, [first], 'place_unknown')
      await store.claim(redrive, [second, third], MARKS)
      await store.notePublished(redrive, [second])
      await store.noteSkipped(redrive, [second, third], 'refused_by_topic')
      expect(await items()).toEqual([
        `${first} skipped place_unknown`,
        `${second} published`,
        `${third} skipped refused_by_topic`,
      ])
      expect(await store.page(redrive, 5)).toEqual({ items: [], marks: undefined, state: 'running' })
    })
  })

  it('fences a worker off that was not heard of for long, once another one has the redrive', async () => {
    const { store, redrive: frozen, ids, items, state, silence } = await taken(2)
    await store.claim(frozen, ids.slice(0, 1), MARKS)
    await silence()
    expect(await store.waiting()).toBe(frozen.id)
    const successor = await store.take(frozen.id)
    expect(successor).toMatchObject({ epoch: 2 })
    const before = [await items(), await state()]
    for (const attempt of [
      () => store.beat(frozen),
      () => store.page(frozen, 1),
      () => store.claim(frozen, ids, new Map()),
      () => store.notePublished(frozen, ids),
      () => store.noteSkipped(frozen, ids, 'bytes_gone'),
      () => store.outcomes(frozen, 0),
      () => store.noteGuard(frozen, NOTHING_COUNTED, undefined),
      () => store.part(frozen, { to: 'done' }),
      () => store.part(frozen, { to: 'cancelled' }),
    ]) {
      await expect(attempt()).rejects.toThrow(RedriveTakenOverError)
    }
    expect([await items(), await state()]).toEqual(before)
  })

  it('keeps a redrive with a worker that is heard of, which hears what an operator wants', async () => {
    const { store, redrive, silence, ask } = await taken(1)
    await silence()
    expect(await store.beat(redrive)).toBe('running')
    expect(await store.waiting()).toBeUndefined()
    await ask('pause')
    expect(await store.beat(redrive)).toBe('pausing')
    await ask('cancel')
    expect((await store.page(redrive, 1)).state).toBe('cancelling')
  })

  it('counts workers that vanished with a page in hand, until one parts with it or spares it', async () => {
    const harness = await taken(2)
    const { store, redrive, silence } = harness
    expect(await store.inherit(redrive)).toBe(1)
    await silence()
    const second = await take(harness)
    expect(await store.inherit(second)).toBe(2)
    await expect(store.inherit(redrive)).rejects.toThrow(RedriveTakenOverError)
    await expect(store.spare(redrive)).rejects.toThrow(RedriveTakenOverError)
    await store.part(second, { to: 'queued' })
    const third = await take(harness)
    expect([await store.inherit(third), await store.inherit(third)]).toEqual([1, 2])
    await store.spare(third)
    expect(await store.inherit(third)).toBe(1)
  })

  describe('what the rules of a redrive are applied to', () => {
    it('are the outcomes of its members, in order, up to the first one that is not over', async () => {
      const { store, redrive, ids, settleMember } = await taken(6)
      const [first = '', second = '', third = '', fourth = '', fifth = ''] = ids
      expect(await store.outcomes(redrive, 0)).toEqual({ outcomes: [], at: 0, awaits: false, more: false })
      await store.noteSkipped(redrive, [first], 'bytes_gone')
      await store.claim(redrive, ids.slice(1, 5), MARKS)
      expect(await store.outcomes(redrive, 0)).toEqual({ outcomes: [], at: 1, awaits: false, more: false })
      await store.notePublished(redrive, ids.slice(1, 5))
      await settleMember(second, 'resolved')
      await settleMember(third, 'failed_again')
      await settleMember(fifth, 'resolved')
      const failed = { failure: FAILURE }
      const passed = { failure: undefined }
      expect(await store.outcomes(redrive, 0)).toEqual({ outcomes: [passed, failed], at: 3, awaits: true, more: false })
      expect(await store.outcomes(redrive, 2)).toEqual({ outcomes: [failed], at: 3, awaits: true, more: false })
      await settleMember(fourth, 'failed_again')
      expect(await store.outcomes(redrive, 3)).toEqual({
        ...{ outcomes: [failed, passed], at: 5, awaits: false, more: false },
      })
    })

    it('are counted on by a successor', async () => {
      const harness = await taken(2)
      const { store, redrive } = harness
      expect(redrive.counts).toEqual(NOTHING_COUNTED)
      const counts = { ...NOTHING_COUNTED, at: 2, settled: 2, failed: 1, causes: [{ ...FAILURE, count: 1 }] }
      await store.noteGuard(redrive, counts, { kind: 'lag', message: 'rests' })
      await store.part(redrive, { to: 'queued' })
      expect((await take(harness)).counts).toEqual(counts)
    })

    it('end in a pause that no operator has asked for, after which a new count begins', async () => {
      const harness = await taken(2)
      const { store, redrive, state, ask } = harness
      const counts = { ...NOTHING_COUNTED, at: 1, settled: 1, failed: 1 }
      const because = pausedUnsettled(counts, { canary: 1, maxFailures: 20, yieldAboveSeconds: 10 })
      await store.part(redrive, { to: 'paused', because, counts })
      expect(await state()).toBe('paused')
      expect(await store.waiting()).toBeUndefined()
      await ask('resume')
      expect((await take(harness)).counts).toEqual(countsAfterResume(counts))
    })
  })

  describe('a worker that parts with it', () => {
    it('leaves it to the next one, which begins at once', async () => {
      const { store, redrive, state } = await taken(1)
      await store.part(redrive, { to: 'queued' })
      expect(await state()).toBe('queued')
      expect(await store.waiting()).toBe(redrive.id)
      await expect(store.beat(redrive)).rejects.toThrow(RedriveTakenOverError)
    })

    it('does not undo what an operator has asked for meanwhile', async () => {
      const harness = await taken(1)
      const { store, state, ask } = harness
      await ask('pause')
      await store.part(harness.redrive, { to: 'queued' })
      expect(await state()).toBe('paused')
      expect(await store.waiting()).toBeUndefined()

      await ask('resume')
      const second = await take(harness)
      await ask('pause')
      await ask('resume')
      await store.part(second, { to: 'paused' })
      expect(await state()).toBe('queued')

      const third = await take(harness)
      await ask('cancel')
      await store.part(third, { to: 'paused' })
      expect(await state()).toBe('cancelling')
      expect(await store.waiting()).toBe(harness.id)
    })

    it.each(['cancelled', 'failed'] as const)('lets go of the page in hand when it is %s', async to => {
      const { store, redrive, ids, items, state } = await taken(3)
      const [first = '', second = '', third = ''] = ids
      await store.claim(redrive, [first, second], MARKS)
      await store.notePublished(redrive, [first])
      await store.part(redrive, to === 'failed' ? { to, error: 'the topic may not be written' } : { to })
      expect(await state()).toBe(to)
      expect(await items()).toEqual([`${first} published`, `${second} cancelled`, `${third} pending`])
      expect(await store.waiting()).toBeUndefined()
      expect(await store.take(redrive.id)).toBeUndefined()
    })
  })
}

async function take({ store, id }: Pick<RedriveWorkHarness, 'store' | 'id'>): Promise<RedriveInHand> {
  const redrive = await store.take(id)
  if (redrive === undefined) throw new Error(`${id} cannot be taken`)
  return redrive
}
