import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { answerOf, bearer, startAdmin } from './admin-support.ts'

const ROUTES: readonly (readonly [method: string, path: string])[] = [
  ['GET', '/admin/dead-letters/groups'],
  ['GET', '/admin/dead-letters'],
  ['GET', '/admin/dead-letters/orders-0-0'],
  ['POST', '/admin/dead-letters/check'],
  ['POST', '/admin/dead-letters/replays'],
  ['POST', '/admin/dead-letters/discard'],
  ['POST', '/admin/dead-letters/restore'],
  ['GET', '/admin/replays'],
  ['POST', '/admin/replays'],
  ['GET', '/admin/replays/r1'],
  ['POST', '/admin/replays/r1/pause'],
  ['POST', '/admin/replays/r1/resume'],
  ['POST', '/admin/replays/r1/cancel'],
  ['GET', '/admin/audit'],
  ['GET', '/admin/stream'],
  ['GET', '/admin/timeline'],
  ['POST', '/admin/stream/resume'],
  ['POST', '/admin/automatic-redrive'],
  ['GET', '/admin/events'],
]

describe('what operators may do', () => {
  it.each(ROUTES)('nobody may without a key, not even on this machine: %s %s', async (method, path) => {
    await using service = await startAdmin()
    const response = await service.get(path, { method })
    expect(response.status).toBe(401)
    expect(await response.json()).toMatchObject({ code: 'key_required' })
  })

  it.each(ROUTES)('nobody may whose key says less: %s %s', async (method, path) => {
    await using service = await startAdmin()
    for (const name of ['reader', 'writer']) {
      const response = await service.get(path, { method, headers: bearer(name) })
      expect([name, response.status]).toEqual([name, 403])
    }
  })

  it('cannot be forged by a page of another site, which has no key to send', async () => {
    await using service = await startAdmin()
    const id = service.inbox.add()
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/json']) {
      const response = await service.get('/admin/dead-letters/discard', {
        method: 'POST',
        headers: { 'Content-Type': type, Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' },
        body: JSON.stringify({ q: '', because: 'x' }),
      })
      expect([response.status, response.headers.get('access-control-allow-origin')]).toEqual([401, null])
    }
    expect(service.inbox.rows.get(id)?.state).toBe('open')
    expect(service.inbox.log).toEqual([])
  })

  it('answers 405 with the methods that an address takes', async () => {
    await using service = await startAdmin()
    const allowed = async (method: string, path: string) => {
      const response = await service.ask(path, { method })
      return [response.status, response.headers.get('allow')]
    }
    expect(await allowed('POST', '/admin/dead-letters')).toEqual([405, 'GET, HEAD'])
    expect(await allowed('GET', '/admin/dead-letters/check')).toEqual([405, 'POST'])
    expect(await allowed('GET', '/admin/dead-letters/replays')).toEqual([405, 'POST'])
    expect(await allowed('DELETE', '/admin/dead-letters/orders-0-0')).toEqual([405, 'GET, HEAD'])
    expect(await allowed('PUT', '/admin/replays')).toEqual([405, 'GET, HEAD, POST'])
    expect(await allowed('GET', '/admin/replays/r1/pause')).toEqual([405, 'POST'])
    expect(await allowed('POST', '/admin/stream')).toEqual([405, 'GET, HEAD'])
    expect(await allowed('POST', '/admin/events')).toEqual([405, 'GET, HEAD'])
  })

  it('is limited in how often it writes, and not in how often it looks', async () => {
    await using service = await startAdmin({ limits: { writesPerMinute: 2 } })
    const discard = () => service.post('/admin/dead-letters/discard', { q: '', because: 'x', dry_run: true })
    expect([(await discard()).status, (await discard()).status, (await discard()).status]).toEqual([200, 200, 429])
    expect((await service.ask('/admin/dead-letters')).status).toBe(200)
  })
})

describe('what operators send', () => {
  it.each([
    ['no JSON', '{"q":', 400, 'bad_body'],
    ['no object', '["q"]', 400, 'bad_body'],
    ['too much', JSON.stringify({ q: 'x'.repeat(65 * 1024) }), 413, 'too_large'],
  ])('is refused when it is %s', async (_, body, status, code) => {
    await using service = await startAdmin()
    const headers = { 'Content-Type': 'application/json' }
    const asking = service.ask('/admin/dead-letters/check', { method: 'POST', headers, body })
    expect(await answerOf(asking)).toMatchObject({ status, body: { code } })
  })

  it('must say that it is JSON', async () => {
    await using service = await startAdmin()
    const headers = { 'Content-Type': 'text/plain' }
    const response = await service.ask('/admin/dead-letters/check', { method: 'POST', headers, body: '{"q":""}' })
    expect([response.status, response.headers.get('accept')]).toEqual([415, 'application/json'])
  })

  it.each([
    [
      '/admin/dead-letters/check',
      { limit: 0 },
      [
        ['/q', 'is missing'],
        ['/limit', 'must be at least 1'],
      ],
    ],
    [
      '/admin/dead-letters/check',
      { q: '', sort: 'bytes' },
      [['/sort', expect.stringMatching(/^must be one of "-failed_at"/)]],
    ],
    ['/admin/dead-letters/discard', { q: '', because: ' ' }, [['/because', 'must not be blank']]],
    [
      '/admin/replays',
      { q: 7, rate: 0 },
      [
        ['/q', 'must be text'],
        ['/rate', 'must be greater than 0'],
      ],
    ],
    [
      '/admin/replays',
      { q: '', because: 'a\0b' },
      [['/because', 'must hold neither NUL nor half of a surrogate pair']],
    ],
    [
      '/admin/replays',
      { q: '', constructor: 1, 'a/b': 1 },
      [
        ['/constructor', expect.stringMatching(/^is not known here; there are q, dry_run, /)],
        ['/a~1b', expect.stringMatching(/^is not known here/)],
      ],
    ],
    ['/admin/stream/resume', { because: 'x', partition: 2 ** 31 }, [['/partition', 'must be at most 2147483647']]],
    ['/admin/automatic-redrive', { on: null }, [['/on', 'must be true or false']]],
  ])('is held against the schema of %s in the OpenAPI document: %j', async (path, body, expected) => {
    await using service = await startAdmin()
    const answer = await answerOf(service.post(path, body))
    expect(answer).toMatchObject({ status: 400, body: { code: 'bad_body' } })
    const errors = answer.body.errors as { pointer: string; message: string }[]
    expect(errors.map(({ pointer, message }) => [pointer, message])).toEqual(expected)
  })

  it('may be null where it may be left out', async () => {
    await using service = await startAdmin()
    const body = { q: '', because: 'x', dry_run: null }
    expect(await answerOf(service.post('/admin/dead-letters/discard', body))).toMatchObject({ status: 200 })
  })

  it('may not be misspelt, and each mistake is named', async () => {
    await using service = await startAdmin()
    service.inbox.add()
    const { status, body } = await answerOf(
      service.post('/admin/dead-letters/discard', { q: 7, becuase: 'x', dry_run: 'yes', because: ' ' }),
    )
    expect([status, body.code]).toEqual([400, 'bad_body'])
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/becuase',
      '/q',
      '/because',
      '/dry_run',
    ])
    expect(service.inbox.log).toEqual([])
  })

  it.each([
    ['/admin/dead-letters?q=colour:red', 1],
    ['/admin/dead-letters/groups?q=reason:schema_violation%20state:shut', 31],
  ])('is told where a filter goes wrong: %s', async (path, column) => {
    await using service = await startAdmin()
    expect(await answerOf(service.ask(path))).toMatchObject({ status: 400, body: { code: 'bad_filter', column } })
  })

  it.each([
    '/admin/dead-letters?limit=0',
    '/admin/dead-letters?limit=501',
    '/admin/dead-letters?limit=x',
    '/admin/dead-letters?cursor=abc',
    '/admin/dead-letters?q=a&q=b',
    '/admin/dead-letters/orders-0-0?masked=perhaps',
    '/admin/replays?limit=101',
    '/admin/audit?before=yesterday',
  ])('is refused when it cannot be used: %s', async path => {
    await using service = await startAdmin()
    service.inbox.add()
    expect(await answerOf(service.ask(path))).toMatchObject({ status: 400, body: { code: 'bad_query' } })
  })
})

describe('while Postgres is away', () => {
  const away = async (): Promise<never> => {
    throw new StoreUnavailableError('no connection')
  }

  it('what needs it is 503 with Retry-After', async () => {
    const letters = { page: away, groups: away, get: away, discard: away, audit: away }
    await using service = await startAdmin({ inbox: { letters } })
    for (const path of ['/admin/dead-letters', '/admin/dead-letters/groups', '/admin/dead-letters/x', '/admin/audit']) {
      const response = await service.ask(path)
      expect([path, response.status, response.headers.get('retry-after')]).toEqual([path, 503, '5'])
      expect(await response.json()).toMatchObject({ code: 'store_unavailable' })
    }
    const discard = await service.post('/admin/dead-letters/discard', { q: '', because: 'x' })
    expect(discard.status).toBe(503)
  })

  it('a question ends once the database has been silent for three seconds, and one that only takes long goes on', async () => {
    let silentMs = 0
    const never = () => new Promise<never>(() => {})
    const slow = Promise.withResolvers<[]>()
    const inbox = { letters: { page: never, groups: () => slow.promise }, storeSilentMs: () => silentMs }
    await using service = await startAdmin({ inbox })
    const groups = service.ask('/admin/dead-letters/groups')
    silentMs = 2_900
    const page = service.ask('/admin/dead-letters')
    await new Promise<void>(resolve => setTimeout(resolve, 700))
    slow.resolve([])
    expect((await groups).status).toBe(200)
    silentMs = 3_000
    expect(await answerOf(page)).toMatchObject({ status: 503, body: { code: 'store_unavailable' } })
  })

  it('bytes are not shown, because nobody could note who saw them', async () => {
    await using service = await startAdmin({ inbox: { letters: { noteRevealed: away } } })
    const id = service.inbox.add()
    const response = await service.ask(`/admin/dead-letters/${id}`)
    expect(response.status).toBe(503)
    expect(await response.text()).not.toContain('order_uid')
    expect((await service.ask(`/admin/dead-letters/${id}?masked=true`)).status).toBe(200)
  })
})
