import { describe, expect, it } from 'vitest'
import { UsageError } from '#src/engine/errors.ts'
import type { AuditQuery } from '#src/inbox/audit-query.ts'
import type { DeadLetterPlace, DeadLetterStore, LetterSort } from '#src/inbox/ports.ts'
import { plainFilter } from '../support/filter-model.ts'
import type { LetterFields } from '../support/letters.ts'

export interface LetterHarness {
  readonly store: DeadLetterStore
  insert(...letters: Partial<LetterFields>[]): Promise<unknown>
  /** By id of the letter. */
  states(): Promise<Record<string, string>>
  /** By the clock of the store, in ms since the epoch. */
  nowMs(): number
}

const ada = { who: 'ada', because: 'producer 1.4 was rolled back' }
const HOUR_MS = 3_600_000

/** The contract of {@link DeadLetterStore}, for the real store and for its stand-in. @param open an index without letters, and an empty audit log */
export function deadLetterStoreSuite(open: () => Promise<LetterHarness>): void {
  describe('groups', () => {
    it('put together what failed in the same way, the largest first, with the latest as a sample', async () => {
      const { store, insert } = await open()
      await insert(
        { reason: 'malformed_json', error: 'not_json', pointer: '', message: 'the value is not JSON' },
        { key: 'a', message: 'first' },
        { key: 'b', message: 'second', state: 'resolved' },
        { key: 'c', message: 'third', first_failed_at: '2024-01-01T00:00:00.000Z' },
        { pointer: '/payment/currency' },
      )

      const groups = await store.groups(plainFilter(''))

      expect(groups.map(({ error, count }) => [error, count])).toEqual([
        ['required', 3],
        ['not_json', 1],
        ['required', 1],
      ])
      expect(groups[0]).toEqual({
        reason: 'schema_violation',
        error: 'required',
        pointer: '/payment/amount',
        count: 3,
        states: { open: 2, resolved: 1 },
        first_seen: '2024-01-01T00:00:00.000Z',
        last_seen: new Date(1_750_000_003_000).toISOString(),
        sample: { id: 'orders-0-3', key: 'c', message: 'third' },
        cause: {
          ...{ id: expect.stringMatching(/^c[0-9a-f]{12}$/), state: 'new', since: '2024-01-01T00:00:00.000Z' },
          ...{ version: null, owner: null, note: null, snoozed_until: null, snoozed_above: null },
          ...{ changed_by: null, changed_at: null },
        },
      })
    })

    it('hold only what the filter takes, the sample included', async () => {
      const { store, insert } = await open()
      await insert({ key: 'a' }, { key: 'b', state: 'discarded' })

      expect(await store.groups(plainFilter('-state:discarded'))).toMatchObject([
        { count: 1, states: { open: 1 }, sample: { key: 'a' } },
      ])
      expect(await store.groups(plainFilter('key:none'))).toEqual([])
    })
  })

  it('counts arrivals of the last day, by cause and hour of the first failure', async () => {
    const { store, insert, nowMs } = await open()
    // Of one moment: between two of them the hour may turn.
    const fromMs = nowMs()
    const hoursAgo = (hours: number) => new Date(fromMs - hours * HOUR_MS).toISOString()
    await insert(
      { first_failed_at: hoursAgo(2) },
      { first_failed_at: hoursAgo(2), failed_at: hoursAgo(0) },
      { first_failed_at: hoursAgo(0), state: 'resolved' },
      { first_failed_at: hoursAgo(30), failed_at: hoursAgo(0) },
      { first_failed_at: hoursAgo(5), reason: 'malformed_json', error: 'not_json', pointer: '' },
    )

    const { since, step_seconds, groups } = await store.arrivals(plainFilter(''))

    expect(step_seconds).toBe(3_600)
    expect(fromMs - Date.parse(since)).toBeLessThan(24 * HOUR_MS)
    const countsOf = (error: string) => groups.find(group => group.error === error)?.counts ?? []
    expect(countsOf('required')).toHaveLength(24)
    // The hour may have turned since the rows were made.
    const recent = countsOf('required').slice(-4)
    expect(recent.filter(count => count > 0)).toEqual([2, 1])
    expect(countsOf('not_json').reduce((sum, count) => sum + count, 0)).toBe(1)
    expect((await store.arrivals(plainFilter('state:open'))).groups).toHaveLength(2)
    expect((await store.arrivals(plainFilter('key:none'))).groups).toEqual([])
  })

  describe('pages', () => {
    const AT = '2025-06-15T12:00:00.123Z'

    async function walk(store: DeadLetterStore, text: string, limit: number, sort?: LetterSort): Promise<string[][]> {
      const pages: string[][] = []
      let after: DeadLetterPlace | undefined
      do {
        const page = await store.page({
          filter: plainFilter(text),
          limit,
          after,
          ...(sort === undefined ? {} : { sort }),
        })
        pages.push(page.rows.map(({ id }) => id))
        after = page.next
      } while (after !== undefined)
      return pages
    }

    it('go through all that the filter takes, latest failure first, each once, also within one instant', async () => {
      const { store, insert } = await open()
      await insert(
        ...[0, 1, 2, 3, 4].map(source_offset => ({ source_offset, failed_at: AT })),
        { source_partition: 1, source_offset: 0, failed_at: '2025-06-16T00:00:00.000Z' },
        { source_partition: 1, source_offset: 1, failed_at: '2025-06-14T00:00:00.000Z' },
        { source_partition: 2, state: 'resolved' },
      )

      expect(await walk(store, 'state:open', 3)).toEqual([
        ['orders-1-0', 'orders-0-4', 'orders-0-3'],
        ['orders-0-2', 'orders-0-1', 'orders-0-0'],
        ['orders-1-1'],
      ])
    })

    it('go through all of them in the order that is asked for, numbers as numbers', async () => {
      const { store, insert } = await open()
      await insert(
        ...[10, 9, 100, 11].map(source_offset => ({ source_offset, failed_at: AT })),
        ...[10, 9].map(source_offset => ({ source_partition: 10, source_offset })),
        { source_partition: 9, source_offset: 7 },
        // A letter of another program may name the same record.
        { id: 'theirs', source_offset: 10, failed_at: AT },
        { source_topic: 'orders.old', source_offset: 3, failed_at: AT },
        { source_topic: 'Orders', source_offset: 4 },
      )

      const source = [
        ...['Orders-0-4', 'orders-0-9', 'orders-0-10', 'theirs', 'orders-0-11', 'orders-0-100', 'orders-9-7'],
        ...['orders-10-9', 'orders-10-10', 'orders.old-0-3'],
      ]
      expect((await walk(store, '', 2, 'source')).flat()).toEqual(source)
      expect((await walk(store, '', 3, '-source')).flat()).toEqual(source.toReversed())
      expect((await walk(store, '', 4, 'failed_at')).flat()).toEqual([
        ...['orders-0-10', 'orders-0-100', 'orders-0-11', 'orders-0-9', 'orders.old-0-3', 'theirs'],
        ...['orders-10-10', 'orders-10-9', 'orders-9-7', 'Orders-0-4'],
      ])
    })

    it('have no next one when the last is full', async () => {
      const { store, insert } = await open()
      await insert({}, {})
      expect((await store.page({ filter: plainFilter(''), limit: 2, after: undefined })).next).toBeUndefined()
    })

    it('give each letter in the words of its columns, without its violations', async () => {
      const { store, insert } = await open()
      await insert({ key: 'b563', source_offset: 41, dlq_offset: 7 })
      const { rows } = await store.page({ filter: plainFilter(''), limit: 10, after: undefined })
      expect(rows).toEqual([
        {
          id: 'orders-0-41',
          reason: 'schema_violation',
          error: 'required',
          pointer: '/payment/amount',
          message: 'is missing',
          key: 'b563',
          group_id: 'holdfast',
          source_topic: 'orders',
          source_partition: 0,
          source_offset: '41',
          source_timestamp: '2023-11-14T22:13:20.000Z',
          first_failed_at: '2025-06-15T15:06:40.000Z',
          failed_at: '2025-06-15T15:06:40.000Z',
          attempts: 1,
          replay_count: 0,
          state: 'open',
          state_changed_at: '2025-06-15T15:06:40.000Z',
          bytes: 100,
          written_by: 'holdfast',
          dlq_partition: 0,
          dlq_offset: '7',
          replay_id: null,
        },
      ])
    })
  })

  it('looks one letter up with its violations, and no other', async () => {
    const { store, insert } = await open()
    const violations = [{ pointer: '/payment/amount', keyword: 'required', message: 'is missing' }]
    await insert({ violations })
    expect(await store.get('orders-0-0')).toMatchObject({ id: 'orders-0-0', violations })
    expect(await store.get('orders-0-1')).toBeUndefined()
  })

  it('begins the history of a letter with its first failure', async () => {
    const { store, insert } = await open()
    await insert({ reason: 'store_rejected', error: '23514', pointer: '' })
    await store.noteRevealed('id:orders-0-0', ['orders-0-0'], ada)

    expect(await store.history('orders-0-0')).toMatchObject([
      {
        at: '2025-06-15T15:06:40.000Z',
        what: 'failed',
        who: null,
        detail: { reason: 'store_rejected', error: '23514', pointer: '' },
      },
      { what: 'revealed', who: 'ada', detail: { because: ada.because } },
    ])
    expect(await store.history('orders-0-1')).toEqual([])
  })

  it('says which texts are ids, and which are keys, in whatever state', async () => {
    const { store, insert } = await open()
    await insert({ key: 'abc', state: 'resolved' }, { key: 'orders-0-0' }, { key: null })
    const { ids, keys } = await store.named(['orders-0-0', 'abc', 'ab', 'ABC', "'; DROP", '', 'orders-0-0'])
    expect([...ids]).toEqual(['orders-0-0'])
    expect([...keys].toSorted()).toEqual(['abc', 'orders-0-0'])
  })

  it('proposes what there is in each field, the most frequent first', async () => {
    const { store, insert } = await open()
    await insert(
      { pointer: '/b', source_partition: 2, key: 'secret' },
      { pointer: '/a' },
      { pointer: '/a', error: 'é' },
    )
    expect(await store.fieldValues()).toEqual({
      reason: ['schema_violation'],
      error: ['required', 'é'],
      pointer: ['/a', '/b'],
      topic: ['orders'],
      partition: ['0', '2'],
    })
  })

  it('tells of each row of a page where the list goes on behind it', async () => {
    const { store, insert } = await open()
    await insert({}, {}, {}, {})
    for (const sort of ['-failed_at', 'source'] as const) {
      const { rows, places, next } = await store.page({ filter: plainFilter(''), limit: 3, sort, after: undefined })
      expect(places).toHaveLength(3)
      expect(places.at(-1)).toEqual(next)
      const rest = await store.page({ filter: plainFilter(''), limit: 3, after: places[0] })
      expect(rest.rows.slice(0, 2)).toEqual(rows.slice(1))
    }
  })

  describe('discarding', () => {
    it('takes open and parked ones, says so in the audit log and in their history, and can be undone', async () => {
      const { store, insert, states } = await open()
      await insert({}, { state: 'parked' }, { state: 'replaying' }, { state: 'resolved' }, { error: 'type' })

      const { discarded, action } = await store.discard(plainFilter('error:required'), ada)

      expect(discarded).toBe(2)
      expect(await states()).toEqual({
        'orders-0-0': 'discarded',
        'orders-0-1': 'discarded',
        'orders-0-2': 'replaying',
        'orders-0-3': 'resolved',
        'orders-0-4': 'open',
      })
      expect((await store.get('orders-0-0'))?.state_changed_at).not.toBe('2025-06-15T15:06:40.000Z')
      expect(await store.audit({ limit: 10, before: undefined })).toEqual([
        {
          id: action,
          at: expect.stringMatching(/^20.*Z$/),
          stream: 'orders',
          what: 'discard',
          filter: 'error:required',
          ...ada,
          counts: { discarded: 2 },
        },
      ])
      expect((await store.history('orders-0-1')).at(-1)).toMatchObject({
        what: 'discarded',
        who: 'ada',
        detail: { because: ada.because, action, was_state: 'parked' },
      })

      expect(await store.restore(action, ada)).toEqual({ restored: 2 })
      // As they were: a parked one does not pass the loop guard in this way.
      expect(await states()).toMatchObject({ 'orders-0-0': 'open', 'orders-0-1': 'parked', 'orders-0-3': 'resolved' })
      expect((await store.history('orders-0-0')).map(({ what }) => what)).toEqual(['failed', 'discarded', 'restored'])
      const [restore] = await store.audit({ limit: 1, before: undefined })
      expect(restore).toMatchObject({ what: 'restore', filter: 'error:required', counts: { restored: 2 } })
      expect(await store.restore(action, ada)).toEqual({ restored: 0 })
    })

    it('is undone only for what it discarded itself, and not for what was discarded again since', async () => {
      const { store, insert, states } = await open()
      await insert({}, { error: 'type' })
      const first = await store.discard(plainFilter('error:required'), ada)
      await store.discard(plainFilter('error:type'), ada)
      await store.restore(first.action, ada)
      expect(await states()).toEqual({ 'orders-0-0': 'open', 'orders-0-1': 'discarded' })

      await store.discard(plainFilter('error:required'), ada)
      expect(await store.restore(first.action, ada)).toEqual({ restored: 0 })
      expect(await states()).toMatchObject({ 'orders-0-0': 'discarded' })
    })

    it('is not undone by a number that is none of its own', async () => {
      const { store, insert } = await open()
      await expect(store.restore('x', ada)).rejects.toThrow(UsageError)
      await expect(store.restore('99999', ada)).rejects.toThrow(/no discard/)
      await insert({})
      const { action } = await store.discard(plainFilter(''), ada)
      await store.restore(action, ada)
      const [restore] = await store.audit({ limit: 1, before: undefined })
      await expect(store.restore(restore?.id ?? '', ada)).rejects.toThrow(/no discard/)
    })
  })

  describe('the audit log', () => {
    it('says who searched in payloads', async () => {
      const { store } = await open()
      await store.noteSearched('state:open value:/a=•••', ada)
      expect(await store.audit({ limit: 10, before: undefined })).toMatchObject([
        { who: 'ada', what: 'search', filter: 'state:open value:/a=•••', counts: {} },
      ])
    })

    it('says who looked at which payloads, and counts letters that exist', async () => {
      const { store, insert } = await open()
      await insert({}, {})
      await store.noteRevealed('error:required', ['orders-0-0', 'orders-0-1', 'orders-0-7'], ada)
      await store.noteRevealed('error:type', [], ada)
      expect(await store.audit({ limit: 10, before: undefined })).toMatchObject([
        { who: 'ada', what: 'reveal', filter: 'error:required', counts: { revealed: 2 } },
      ])
      expect(await store.history('orders-0-7')).toEqual([])
    })

    it('is paged, latest first', async () => {
      const { store } = await open()
      for (let n = 0; n < 5; n++) await store.discard(plainFilter(`uid:${n}`), ada)
      const first = await store.audit({ limit: 3, before: undefined })
      const rest = await store.audit({ limit: 3, before: first.at(-1)?.id })
      expect([...first, ...rest].map(entry => entry.filter)).toEqual(['key:4', 'key:3', 'key:2', 'key:1', 'key:0'])
      await expect(store.audit({ limit: 3, before: 'x' })).rejects.toThrow(UsageError)
    })

    it('is asked for by who, what and when, page by page', async () => {
      const { store } = await open()
      for (let n = 0; n < 4; n++)
        await store.discard(plainFilter(`uid:${n}`), n % 2 === 0 ? ada : { ...ada, who: 'ben' })
      await store.noteRevealed('error:required', ['orders-0-0'], ada)
      const found = async (asked: Partial<AuditQuery>) =>
        (await store.audit({ limit: 10, ...asked })).map(entry => entry.filter)
      expect(await found({ who: ['ada'] })).toEqual(['error:required', 'key:2', 'key:0'])
      expect(await found({ who: ['ada'], what: ['discard', 'seek'] })).toEqual(['key:2', 'key:0'])
      expect(await found({ who: ['ada', 'ben'], what: ['discard'], limit: 3 })).toEqual(['key:3', 'key:2', 'key:1'])
      const [, , third] = await store.audit({ limit: 3, what: ['discard'] })
      expect(await found({ what: ['discard'], before: third?.id })).toEqual(['key:0'])
      const all = await store.audit({ limit: 10 })
      const second = all[3]?.at ?? ''
      // Entries of one transaction's instant belong together, so that the edges are looked at, and not their number.
      expect(await found({ since: second })).toEqual(all.filter(({ at }) => at >= second).map(entry => entry.filter))
      expect(await found({ until: '2000-01-01T00:00:00Z' })).toEqual([])
      expect(await found({ since: '2000-01-01T00:00:00Z', who: ['nobody'] })).toEqual([])
    })
  })
}
