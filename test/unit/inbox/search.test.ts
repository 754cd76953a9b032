import { describe, expect, it } from 'vitest'
import { printFilter } from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { READ_AT_ONCE, type SearchProgress, SearchTooLargeError } from '#src/inbox/search.ts'
import { type AdminStandIn, adminStandIn } from '../../support/admin-stand-in.ts'

const BY = { who: 'ada', because: 'a search in values' }

function written(text: string) {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.filter
}

const bank = (name: string) => Buffer.from(JSON.stringify({ payment: { bank: name } }))

/** Every third is of the bank alpha. */
function filled(count: number): AdminStandIn {
  const inbox = adminStandIn()
  for (let i = 0; i < count; i++) inbox.add({ value: bank(i % 3 === 0 ? 'alpha' : 'beta') })
  return inbox
}

async function foundBy(inbox: AdminStandIn, text: string): Promise<string[]> {
  const filter = await inbox.search.answerable(written(text), { by: BY })
  const { rows } = await inbox.letters.page({ filter, limit: 10_000, sort: 'source', after: undefined })
  return rows.map(({ id }) => id)
}

describe('a word without a field', () => {
  it('is an id, else a key, else text; with an asterisk a key', async () => {
    const inbox = adminStandIn()
    inbox.add({ key: 'abc', message: 'no route', state: 'resolved' })
    inbox.add({ key: 'orders-0-0', message: 'abc is missing' })
    const named = async (text: string) => printFilter(await inbox.search.named(written(text)))
    expect(await named('orders-0-0')).toBe('id:orders-0-0')
    expect(await named('abc -abc')).toBe('key:abc -key:abc')
    expect(await named('ab*')).toBe('key:ab*')
    expect(await named('ab')).toBe('text:ab')
    expect(await named('"no route" state:open')).toBe('text:"no route" state:open')
    expect(await foundBy(inbox, 'abc')).toEqual(['orders-0-0'])
    expect(await foundBy(inbox, 'missing')).toEqual(['orders-0-1'])
  })
})

describe('a condition on the value', () => {
  it('is met by the letters whose bytes say so, together with the other terms', async () => {
    const inbox = filled(7)
    expect(await foundBy(inbox, 'value:/payment/bank=alpha')).toEqual(['orders-0-0', 'orders-0-3', 'orders-0-6'])
    expect(await foundBy(inbox, 'value:/payment/bank=alpha -id:orders-0-3')).toEqual(['orders-0-0', 'orders-0-6'])
    expect(await foundBy(inbox, '-value:/payment/bank=alpha id:orders-0-0,orders-0-1')).toEqual(['orders-0-1'])
  })

  it('is about open letters unless a state is named, and then about those', async () => {
    const inbox = filled(1)
    inbox.add({ value: bank('alpha'), state: 'parked' })
    expect(await foundBy(inbox, 'value:/payment/bank=alpha')).toEqual(['orders-0-0'])
    expect(await foundBy(inbox, 'value:/payment/bank=alpha state:parked')).toEqual(['orders-0-1'])
    expect(await foundBy(inbox, 'value:/payment/bank=alpha -state:resolved')).toEqual(['orders-0-0', 'orders-0-1'])
  })

  it('is met by no letter whose bytes are gone, whichever way it asks', async () => {
    const inbox = filled(3)
    inbox.bytes.delete('orders-0-0')
    inbox.add({ value: bank('alpha'), dlq_offset: null })
    expect(await foundBy(inbox, 'value:/payment/bank=alpha')).toEqual([])
    expect(await foundBy(inbox, '-value:/payment/bank=alpha')).toEqual(['orders-0-1', 'orders-0-2'])
    const seen: SearchProgress[] = []
    await inbox.search.answerable(written('value:/payment'), { by: BY, onProgress: now => seen.push(now) })
    expect(seen).toEqual([{ read: 4, gone: 2, found: 2 }])
  })

  it('is noted for the audit log once, without what was searched for', async () => {
    const inbox = filled(READ_AT_ONCE + 1)
    const filter = await inbox.search.answerable(written('value:/payment/bank=alpha -value:/x'), { by: BY })
    expect(inbox.log).toMatchObject([
      { what: 'search', who: 'ada', filter: 'state:open value:/payment/bank=••• -value:/x' },
    ])
    expect(printFilter(filter)).not.toContain('alpha')
    await inbox.search.answerable(written('state:open'), { by: BY })
    expect(inbox.log).toHaveLength(1)
  })

  it('is searched chunk by chunk, with progress, until it is stopped', async () => {
    const inbox = filled(4_500)
    const seen: SearchProgress[] = []
    const stop = new AbortController()
    const searching = inbox.search.answerable(written('value:/payment/bank=alpha'), {
      by: BY,
      signal: stop.signal,
      onProgress(now) {
        seen.push(now)
        if (seen.length === 2) stop.abort(new Error('stopped'))
      },
    })
    await expect(searching).rejects.toThrow('stopped')
    expect(seen.map(({ read }) => read)).toEqual([2_000, 4_000])
  })

  it('is refused where it would read more than one request may', async () => {
    const inbox = filled(2_500)
    const search = (maxRead: number) =>
      inbox.search.answerable(written('value:/payment/bank=alpha'), { by: BY, maxRead })
    await expect(search(2_000)).rejects.toThrow(SearchTooLargeError)
    await expect(search(2_500)).resolves.toBeDefined()
  })

  it.each([1, 7, 400, 1_000])('is turned page by page without gap or repeat: %i at a time', async limit => {
    const inbox = filled(4_500)
    const filter = await inbox.search.named(written('value:/payment/bank=alpha'))
    const ids: string[] = []
    let read = 0
    let after: Parameters<typeof inbox.search.page>[0]['after']
    let pages = 0
    do {
      const page = await inbox.search.page({ filter, limit, sort: 'source', after })
      expect(page.rows.length).toBeLessThanOrEqual(limit)
      // The first pages suffice to see where one ends in the middle of a chunk.
      if (++pages === 5 && limit < 10) return expect(ids).toEqual(thirds(ids.length))
      ids.push(...page.rows.map(row => row.id))
      read += page.read
      after = page.next
    } while (after !== undefined)
    expect(ids).toEqual(thirds(1_500))
    expect(read).toBeGreaterThanOrEqual(4_500)
  })

  it('turns a page without a match, and says where it goes on', async () => {
    const inbox = filled(READ_AT_ONCE + 1)
    const filter = await inbox.search.named(written('value:/payment/bank=gamma'))
    const page = await inbox.search.page({ filter, limit: 50, sort: 'source', after: undefined })
    expect(page).toMatchObject({ rows: [], read: READ_AT_ONCE })
    expect((await inbox.search.page({ filter, limit: 50, sort: 'source', after: page.next })).next).toBeUndefined()
  })
})

const thirds = (count: number) => Array.from({ length: count }, (_, i) => `orders-0-${i * 3}`)
