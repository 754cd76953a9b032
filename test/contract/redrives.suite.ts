import { describe, expect, it } from 'vitest'
import type { DeadLetterRow, DeadLetterStore } from '#src/inbox/ports.ts'
import { type RedriveRequest, type Redrives, USUAL_TARGET } from '#src/inbox/redrive-ports.ts'
import { plainFilter } from '../support/filter-model.ts'
import type { LetterFields } from '../support/letters.ts'

export interface RedrivesHarness {
  readonly redrives: Redrives
  insert(...letters: Partial<LetterFields>[]): Promise<unknown>
  /** Ids of the frozen set, in the order of publishing. */
  membersOf(id: string): Promise<readonly string[]>
  audit: DeadLetterStore['audit']
  /** Ids of letters that would pass now; the others would not. */
  readonly passing: Set<string>
  /** Ids of letters whose bytes are gone. */
  readonly gone: Set<string>
}

const ada = { who: 'ada', because: 'the schema is fixed' }

/**
 * The contract of {@link Redrives}, redrives as an operator starts and steers them, for the real one and for its stand-in.
 * @param open no letters, no redrives, an empty audit log; redriven records go to `orders`, and no worker is at work
 */
export function redrivesSuite(open: () => Promise<RedrivesHarness>): void {
  describe('preview and start', () => {
    it('count the same set: open letters of this topic that the filter takes', async () => {
      const { redrives, insert, membersOf, audit } = await open()
      await insert(
        { source_partition: 2, source_offset: 5, failed_at: ago(3) },
        { source_offset: 9, failed_at: ago(9), reason: 'malformed_json' },
        { source_offset: 3, failed_at: ago(1) },
        { source_offset: 20, state: 'parked' },
        { source_offset: 21, state: 'replaying' },
        { source_offset: 22, state: 'resolved' },
        { source_offset: 23, source_topic: 'other' },
        { source_offset: 24, dlq_offset: null },
        { source_offset: 25, reason: 'too_large' },
      )
      const request = asking('-reason:too_large')

      expect(await redrives.preview(request)).toEqual({
        count: 3,
        by_reason: { malformed_json: 1, schema_violation: 2 },
        oldest: ago(9),
        newest: ago(1),
        left_out: { not_open: 3, other_topic: 1, place_unknown: 1 },
        held_by: [],
        check: expect.objectContaining({ checked: 3, complete: true }),
      })
      const redrive = await redrives.start(request, ada)
      expect(redrive).toEqual({
        ...{ id: expect.stringMatching(/^r[a-z0-9]{10}$/), state: 'queued', filter: '-reason:too_large' },
        ...{
          to: 'store',
          requested_by: 'ada',
          because: ada.because,
          automatic: false,
          only_passing: false,
          edited: false,
        },
        ...{ rate: null, total: 3, pending: 3, published: 0, resolved: 0, failed_again: 0, parked: 0, skipped: 0 },
        ...{ released: 0, verdict: null, canary: 0, max_failures: 20, yield_above: 10 },
        ...{ paused_because: null, waiting_for: null },
        ...{ skipped_because: {}, created_at: expect.any(String), started_at: null, finished_at: null, error: null },
      })
      expect(await redrives.get(redrive.id)).toEqual(redrive)
      // By partition and offset, so that the order of a key is kept.
      expect(await membersOf(redrive.id)).toEqual(['orders-0-3', 'orders-0-9', 'orders-2-5'])
      expect(await audit({ limit: 10, before: undefined })).toMatchObject([
        { what: 'replay', filter: '-reason:too_large', ...ada, counts: { replay: redrive.id, letters: 3 } },
      ])
    })

    it('say which redrive, that is not over, holds letters of the same filter, and what to do', async () => {
      const { redrives, insert } = await open()
      await insert({}, {}, { reason: 'too_large' }, { reason: 'malformed_json' })
      const { id } = await redrives.start(asking('-reason:malformed_json'), ada)
      await redrives.pause(id, ada)
      const held = async (text: string) => (await redrives.preview(asking(text))).held_by
      expect(await held('reason:schema_violation')).toEqual([
        { replay: id, state: 'paused', letters: 2, message: expect.stringContaining(`--resume ${id}`) },
      ])
      expect(await held('')).toMatchObject([{ replay: id, letters: 3 }])
      expect(await held('reason:malformed_json')).toEqual([])
      await redrives.resume(id, ada)
      expect(await held('')).toMatchObject([{ state: 'queued', message: expect.stringContaining('wait for it') }])
      await redrives.cancel(id, ada)
      expect(await held('')).toEqual([])
    })

    it('take the oldest when there is a limit', async () => {
      const { redrives, insert, membersOf } = await open()
      await insert({ failed_at: ago(1) }, { failed_at: ago(9) }, { failed_at: ago(5) }, { failed_at: ago(2) })
      const request = asking('', { limit: 2 })
      expect(await redrives.preview(request)).toMatchObject({ count: 2, left_out: { over_limit: 2 } })
      expect(await membersOf((await redrives.start(request, ada)).id)).toEqual(['orders-0-1', 'orders-0-2'])
    })

    it('take parked letters and those in flight only when the filter names their state', async () => {
      const { redrives, insert } = await open()
      await insert({}, { state: 'parked', replay_count: 3 }, { state: 'replaying' }, { state: 'discarded' })
      const preview = async (text: string) => {
        const { count, left_out } = await redrives.preview(asking(text))
        return { count, left_out }
      }
      expect(await preview('state:parked')).toEqual({ count: 1, left_out: {} })
      expect(await preview('state:open,replaying')).toEqual({ count: 2, left_out: {} })
      expect(await preview('state:failed_again')).toEqual({ count: 0, left_out: { not_open: 1 } })
      expect(await preview('-state:resolved')).toEqual({ count: 1, left_out: { not_open: 3 } })
      expect(await preview('state:discarded')).toEqual({ count: 0, left_out: { not_open: 1 } })
    })

    it('take only those that pass now, when asked to, and say what became of the others', async () => {
      const { redrives, insert, membersOf, passing, gone } = await open()
      await insert(...Array.from({ length: 9 }, (_, i) => ({ failed_at: ago(9 - i) })))
      for (const offset of [0, 2, 4, 6, 8]) passing.add(`orders-0-${offset}`)
      gone.add('orders-0-3')

      expect(await redrives.preview(asking('', { onlyPassing: true }))).toMatchObject({
        count: 5,
        left_out: { not_passing: 3, bytes_gone: 1 },
      })
      const request = asking('', { onlyPassing: true, limit: 3 })
      // 0, 2 and 4; the last four were not looked at.
      expect(await redrives.preview(request)).toMatchObject({
        count: 3,
        left_out: { not_passing: 1, bytes_gone: 1, over_limit: 4 },
      })
      const redrive = await redrives.start(request, ada)
      expect(redrive.only_passing).toBe(true)
      expect(await membersOf(redrive.id)).toEqual(['orders-0-0', 'orders-0-2', 'orders-0-4'])
    })

    it('say how many of the members would pass now', async () => {
      const { redrives, insert, passing, gone } = await open()
      await insert(...Array.from({ length: 9 }, (_, i) => ({ failed_at: ago(9 - i) })), { state: 'resolved' })
      for (const offset of [0, 2, 4, 6, 8]) passing.add(`orders-0-${offset}`)
      gone.add('orders-0-3')
      expect((await redrives.preview(asking(''))).check).toEqual({
        ...{ checked: 9, passing: 5, failing: 3, gone: 1, complete: true, causes: [] },
        message: '5 of 9 would pass now; 3 would fail again; 1 cannot be checked: their bytes are gone',
      })
      // Those within a limit are the oldest.
      expect((await redrives.preview(asking('', { limit: 3 }))).check).toMatchObject({ checked: 3, passing: 2 })
      const some = await redrives.preview(asking('', { onlyPassing: true }))
      expect(some.check).toMatchObject({ checked: 5, passing: 5, failing: 0, gone: 0 })
      expect((await redrives.preview(asking('id:orders-0-1', { edited: Buffer.from('{}') }))).check).toBeNull()
      expect((await redrives.preview(asking('id:none'))).check).toBeNull()
    })

    it('refuse an empty set and say why it is empty', async () => {
      const { redrives, insert, audit } = await open()
      await insert({ state: 'resolved' })
      await expect(redrives.start(asking('reason:too_large'), ada)).rejects.toThrow('no dead letter matches')
      const refused = { name: 'NothingToRedriveError', preview: { count: 0, left_out: { not_open: 1 } } }
      await expect(redrives.start(asking(''), ada)).rejects.toMatchObject(refused)
      await expect(redrives.start(asking(''), ada)).rejects.toThrow('left out (1 not open)')
      expect(await redrives.list(10)).toEqual([])
      expect(await audit({ limit: 10, before: undefined })).toEqual([])
    })

    it('let one redrive be under way, and name it to a second operator', async () => {
      const { redrives, insert } = await open()
      await insert({}, {})
      const [first, second] = await Promise.allSettled([
        redrives.start(asking(''), ada),
        redrives.start(asking(''), { who: 'bob', because: 'no reason' }),
      ])
      const [winner, loser] = first.status === 'fulfilled' ? [first, second] : [second, first]
      if (winner.status !== 'fulfilled' || loser.status !== 'rejected') throw new Error('one of them must win')
      const running = winner.value
      expect(loser.reason).toMatchObject({ name: 'RedriveRunningError', running })
      expect(loser.reason.message).toContain(`redrive ${running.id} of ${running.requested_by} is queued`)
      await expect(redrives.start(asking('', { onlyPassing: true }), ada)).rejects.toThrow(running.id)
      expect(await redrives.list(10)).toEqual([running])
    })

    it('edit one letter, and no more than one', async () => {
      const { redrives, insert, membersOf } = await open()
      await insert({}, {})
      const edited = Buffer.from('{"a":1}')
      await expect(redrives.start(asking('', { edited }), ada)).rejects.toThrow('takes 2')
      expect(await redrives.list(10)).toEqual([])
      const redrive = await redrives.start(asking('id:orders-0-1', { edited }), ada)
      expect(redrive.edited).toBe(true)
      expect(await membersOf(redrive.id)).toEqual(['orders-0-1'])
    })

    it('keep when it is to pause and to rest by itself', async () => {
      const { redrives, insert } = await open()
      await insert(...Array.from({ length: 30 }, () => ({})))
      const usual = await redrives.start(asking(''), ada)
      expect(usual).toMatchObject({ canary: 20, max_failures: 20, yield_above: 10 })
      await redrives.cancel(usual.id, ada)
      const guard = { canary: 5, maxFailures: null, yieldAboveSeconds: 2.5 }
      expect(await redrives.start(asking('', { guard }), ada)).toMatchObject({
        ...{ canary: 5, max_failures: null, yield_above: 2.5 },
      })
    })

    it.each(['store', 'topic'] as const)('keep what was asked for: to the %s, the rate, and who asks', async to => {
      const { redrives, insert } = await open()
      await insert({})
      const redrive = await redrives.start(asking('', { to, rate: 2.5, automatic: true }), ada)
      expect(redrive).toMatchObject({ to, rate: 2.5, automatic: true })
    })
  })

  describe('steering', () => {
    it('pauses and cancels at once what no worker has, and says so in the audit log', async () => {
      const { redrives, insert, audit } = await open()
      await insert({})
      const { id } = await redrives.start(asking(''), ada)
      expect(await redrives.pause(id, ada)).toMatchObject({ state: 'paused' })
      expect(await redrives.resume(id, ada)).toMatchObject({ state: 'queued' })
      const cancelled = await redrives.cancel(id, ada)
      expect(cancelled).toMatchObject({ state: 'cancelled', pending: 0, released: 1, verdict: 'none' })
      expect(cancelled.finished_at).toEqual(expect.any(String))
      await expect(redrives.pause(id, ada)).rejects.toThrow(`${id} is cancelled`)
      await expect(redrives.resume(id, ada)).rejects.toThrow(`${id} is cancelled`)
      const entries = await audit({ limit: 10, before: undefined })
      expect(entries.map(({ what }) => what)).toEqual(['replay_cancel', 'replay_resume', 'replay_pause', 'replay'])
      expect(entries[0]).toMatchObject({ ...ada, filter: '', counts: { replay: id } })
    })

    it('resumes with other limits, which the audit log has; what is not given stays', async () => {
      const { redrives, insert, audit } = await open()
      await insert({}, {})
      const guard = { maxFailures: 7, yieldAboveSeconds: 3 }
      const { id } = await redrives.start(asking('', { rate: 50, guard }), ada)
      await redrives.pause(id, ada)
      expect(await redrives.resume(id, ada, { rate: 20 })).toMatchObject({
        ...{ state: 'queued', rate: 20, max_failures: 7, yield_above: 3 },
      })
      // It waits for a worker, which will go by what is asked for last.
      expect(await redrives.resume(id, ada, { rate: null, maxFailures: null, yieldAboveSeconds: 0 })).toMatchObject({
        ...{ state: 'queued', rate: null, max_failures: null, yield_above: 0 },
      })
      const entries = await audit({ limit: 2, before: undefined })
      expect(entries.map(({ what, counts }) => [what, counts])).toEqual([
        ['replay_resume', { replay: id, rate: null, max_failures: null, yield_above: 0 }],
        ['replay_resume', { replay: id, rate: 20 }],
      ])
    })

    it('changes nothing, and notes nothing, where all is as wanted', async () => {
      const { redrives, insert, audit } = await open()
      await insert({})
      const { id } = await redrives.start(asking(''), ada)
      const paused = await redrives.pause(id, ada)
      expect(await redrives.pause(id, ada)).toEqual(paused)
      const cancelled = await redrives.cancel(id, ada)
      expect(await redrives.cancel(id, ada)).toEqual(cancelled)
      expect(await audit({ limit: 10, before: undefined })).toHaveLength(3)
    })

    it('lets another redrive begin by pausing, and not two at a time', async () => {
      const { redrives, insert } = await open()
      await insert({}, {})
      const first = await redrives.start(asking('id:orders-0-0'), ada)
      await redrives.pause(first.id, ada)
      const second = await redrives.start(asking('id:orders-0-1'), ada)
      await expect(redrives.resume(first.id, ada)).rejects.toMatchObject({
        name: 'RedriveRunningError',
        running: { id: second.id },
      })
      expect((await redrives.list(10)).map(({ id }) => id)).toEqual([second.id, first.id])
      expect(await redrives.list(1)).toHaveLength(1)
    })

    it('knows no redrive of that name', async () => {
      const { redrives } = await open()
      await expect(redrives.pause('r0', ada)).rejects.toThrow('there is no redrive "r0"')
      expect(await redrives.get('r0')).toBeUndefined()
    })
  })
}

export function asking(text: string, over: Partial<RedriveRequest> = {}): RedriveRequest {
  const plain: Omit<RedriveRequest, 'filter'> = {
    to: USUAL_TARGET,
    rate: undefined,
    limit: undefined,
    onlyPassing: false,
    edited: undefined,
    automatic: false,
    guard: {},
  }
  return { filter: plainFilter(text), ...plain, ...over }
}

export function ago(seconds: number): DeadLetterRow['failed_at'] {
  return new Date(Date.UTC(2026, 1, 1) - seconds * 1_000).toISOString()
}
