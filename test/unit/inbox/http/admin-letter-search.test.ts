import { describe, expect, it } from 'vitest'
import type { DeadLetterRow } from '#src/inbox/ports.ts'
import { type AdminService, answerOf, startAdmin } from './admin-support.ts'

const bank = (name: string) => Buffer.from(JSON.stringify({ payment: { bank: name } }))

async function withBanks(): Promise<AdminService> {
  const service = await startAdmin()
  for (const name of ['alpha', 'beta', 'alpha']) service.inbox.add({ key: `key-${name}`, value: bank(name) })
  return service
}

const q = (filter: string) => `q=${encodeURIComponent(filter)}`
const ALPHA = 'value:/payment/bank=alpha'
const idsOf = (body: { dead_letters: DeadLetterRow[] }) => body.dead_letters.map(({ id }) => id)

describe('a filter', () => {
  it('says how it was understood', async () => {
    await using service = await withBanks()
    const list = async (filter: string) => (await answerOf(service.ask(`/admin/dead-letters?${q(filter)}`))).body
    expect(await list('key-beta')).toMatchObject({ filter: 'key:key-beta', dead_letters: [{ id: 'orders-0-1' }] })
    expect(await list('orders-0-0')).toMatchObject({ filter: 'id:orders-0-0', dead_letters: [{ id: 'orders-0-0' }] })
    expect(await list('missing state:open')).toMatchObject({ filter: 'text:missing state:open' })
    const groups = await answerOf(service.ask(`/admin/dead-letters/groups?${q('key-alpha')}`))
    expect(groups.body.groups).toMatchObject([{ count: 2 }])
  })

  it('searches values wherever it is taken, and notes who did without what was searched for', async () => {
    await using service = await withBanks()
    const { body } = await answerOf(service.ask(`/admin/dead-letters?${q(ALPHA)}`))
    expect(idsOf(body)).toEqual(['orders-0-2', 'orders-0-0'])
    expect(body).toMatchObject({ filter: `${ALPHA} state:open`, searched: { read: 3, gone: 0 }, next: null })
    expect(service.inbox.log).toMatchObject([
      { who: 'chief', what: 'search', filter: 'state:open value:/payment/bank=•••' },
    ])

    const groups = await answerOf(service.ask(`/admin/dead-letters/groups?${q(ALPHA)}`))
    expect(groups.body.groups).toMatchObject([{ count: 2 }])
    const check = await answerOf(service.post('/admin/dead-letters/check', { q: ALPHA }))
    expect(check.body).toMatchObject({ checked: 2 })
    const preview = await answerOf(service.post('/admin/replays', { q: ALPHA, dry_run: true }))
    expect(preview.body.preview).toMatchObject({ count: 2 })
    const started = await answerOf(service.post('/admin/replays', { q: ALPHA }))
    expect(started.body.replay).toMatchObject({ total: 2, filter: 'state:open value:/payment/bank=•••' })
    expect(service.inbox.membersOf(started.body.replay.id)).toEqual(['orders-0-0', 'orders-0-2'])
    const discard = await answerOf(service.post('/admin/dead-letters/discard', { q: ALPHA, because: 'test' }))
    expect(discard.body).toMatchObject({ discarded: 2 })
    expect(JSON.stringify(service.inbox.log)).not.toContain('alpha')
  })

  it('is refused by name when its condition would read more than one request may', async () => {
    await using service = await startAdmin({
      inbox: {
        letters: {
          page: async () => ({
            rows: new Array(100_001).fill({ dlq_partition: null }),
            places: [],
            next: { sort: 'source', keys: [] },
          }),
        },
      },
    })
    const { status, body } = await answerOf(service.ask(`/admin/dead-letters/groups?${q('value:/a')}`))
    expect([status, body.code]).toEqual([422, 'search_too_large'])
    expect(body.detail).toMatch(/narrow the filter/)
  })
})

describe('values for filters', () => {
  it('are those that are there, the most frequent first, and no key and no message', async () => {
    await using service = await startAdmin()
    service.inbox.add({ pointer: '/rare', key: 'personal', message: 'personal' })
    service.inbox.add({ pointer: '/frequent', source_partition: 2 })
    service.inbox.add({ pointer: '/frequent' })
    const { body } = await answerOf(service.ask('/admin/dead-letters/field-values'))
    expect(body).toEqual({
      ...{ reason: ['schema_violation'], error: ['required'], pointer: ['/frequent', '/rare'] },
      ...{ topic: ['orders'], partition: ['0', '2'] },
    })
  })
})

describe('the whole list', () => {
  it('is streamed as NDJSON and as CSV, all pages of it, with what a spreadsheet would run made safe', async () => {
    await using service = await startAdmin()
    for (let i = 0; i < 1_203; i++) service.inbox.add({ key: i === 0 ? '=1+1' : `key-${i}` })
    const get = (accept: string, rest = '') =>
      service.ask(`/admin/dead-letters?sort=source${rest}`, { headers: { Accept: accept } })
    const ndjson = await get('application/x-ndjson')
    expect(ndjson.headers.get('content-type')).toBe('application/x-ndjson; charset=utf-8')
    expect(ndjson.headers.get('content-disposition')).toBe('attachment; filename="dead-letters.ndjson"')
    const rows = (await ndjson.text()).trimEnd().split('\n')
    expect(rows).toHaveLength(1_203)
    expect(rows.map(row => JSON.parse(row).id)).toEqual(rows.map((_, i) => `orders-0-${i}`))

    const csv = await get('text/csv')
    expect(csv.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    const lines = (await csv.text()).split('\r\n')
    expect(lines).toHaveLength(1_205)
    expect(lines[0]).toMatch(/^id,state,failed_at,/)
    expect(lines[1]).toContain(",'=1+1,")
    expect(lines.at(-1)).toBe('')

    expect((await (await get('text/csv', '&limit=2')).text()).trimEnd().split('\r\n')).toHaveLength(3)
    expect(
      (await (await get('text/csv', `&limit=700&${q('partition:0')}`)).text()).trimEnd().split('\r\n'),
    ).toHaveLength(701)
    expect(service.inbox.log).toEqual([])
  })

  it('stays JSON for everybody who does not ask for another form', async () => {
    await using service = await withBanks()
    for (const accept of ['*/*', 'application/json', 'text/html,*/*;q=0.8', 'text/csv;q=0.5, application/json']) {
      const response = await service.ask('/admin/dead-letters', { headers: { Accept: accept } })
      expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    }
    expect((await service.ask('/admin/dead-letters?limit=501')).status).toBe(400)
    const bad = await service.ask(`/admin/dead-letters?${q('reson:x')}`, { headers: { Accept: 'text/csv' } })
    expect([bad.status, bad.headers.get('content-type')]).toEqual([400, expect.stringContaining('problem+json')])
  })

  it('holds only letters whose values meet the condition', async () => {
    await using service = await withBanks()
    const response = await service.ask(`/admin/dead-letters?${q(ALPHA)}`, {
      headers: { Accept: 'application/x-ndjson' },
    })
    const rows = (await response.text()).trimEnd().split('\n')
    expect(rows.map(row => JSON.parse(row).id)).toEqual(['orders-0-2', 'orders-0-0'])
  })

  it('is broken off, and not ended, when something fails after the first page', async () => {
    await using service = await startAdmin()
    for (let i = 0; i < 600; i++) service.inbox.add()
    const { page } = service.inbox.letters
    Object.assign(service.inbox.letters, {
      page: async (query: Parameters<typeof page>[0]) => {
        if (query.after !== undefined) throw new Error('the database broke')
        return await page(query)
      },
    })
    const response = await service.ask('/admin/dead-letters', { headers: { Accept: 'text/csv' } })
    await expect(response.text()).rejects.toThrow()
  })
})
