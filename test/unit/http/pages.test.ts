import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { get, type IncomingHttpHeaders } from 'node:http'
import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { type Service, startService, UID } from './support.ts'

const MODEL = JSON.parse(readFileSync(new URL('../../../data/model.json', import.meta.url), 'utf8'))
const KEY = 'reads-only'
const KEYS = [{ name: 'reader', role: 'read', sha256: createHash('sha256').update(KEY).digest('hex') }] as const

const stored = (order: object = MODEL) => ({
  key: UID,
  json: Buffer.from(JSON.stringify(order)),
  origin: { topic: 'orders', partition: 0, offset: 7n, timestampMs: 0 },
})

/** Not by `service.get`: these are pages for people, and a stream that has no end. */
const visit = (service: Service, path: string, init?: RequestInit) => fetch(service.url + path, init)

describe('the order as a page without JavaScript', () => {
  it('shows the order, and runs no script', async () => {
    await using service = await startService({ read: async () => stored() })
    const response = await visit(service, `/view?order_uid=${UID}`)
    const page = await response.text()
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8')
    for (const part of ['Test Testov', '1,817 USD', 'Mascaras', '26 Nov 2021, 06:22:19 UTC', 'From the database']) {
      expect(page).toContain(part)
    }
    expect(page).not.toContain('<script')
  })

  it('takes a uid with what was pasted around it', async () => {
    await using service = await startService({ read: async () => stored() })
    const response = await visit(service, `/view?order_uid=${encodeURIComponent(` "${UID}",\n`)}`)
    expect(response.status).toBe(200)
    expect(service.asked).toEqual([UID])
  })

  it('writes whatever an order holds as text', async () => {
    const hostile = `"><script>alert('1')</script>`
    const order = { ...MODEL, delivery: { ...MODEL.delivery, name: hostile } }
    await using service = await startService({ read: async () => stored(order) })
    const page = await (await visit(service, `/view?order_uid=${UID}`)).text()
    expect(page).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;')
    expect(page).not.toContain('<script')
  })

  it.each([
    ['a uid of no order', `/view?order_uid=nobody`, 404, 'No order has this uid'],
    ['markup', `/view?order_uid=${encodeURIComponent('"><script>')}`, 400, 'This is not an order uid'],
    ['too long', `/view?order_uid=${'x'.repeat(10_000)}`, 400, 'This is not an order uid'],
    ['nothing', '/view', 200, 'Find an order'],
    ['an empty field', '/view?order_uid=', 200, 'Find an order'],
    ['two uids', '/view?order_uid=a&order_uid=b', 200, 'Find an order'],
  ])('says in plain words what is wrong: %s', async (_what, path, status, words) => {
    await using service = await startService({ read: async () => undefined })
    const response = await visit(service, path)
    const page = await response.text()
    expect(response.status).toBe(status)
    expect(page).toContain(words)
    expect(page).not.toContain('<script')
    expect(page.length).toBeLessThan(4_000)
  })

  it('says when to try again while the store is away', async () => {
    await using service = await startService({ read: () => Promise.reject(new StoreUnavailableError('refused')) })
    const response = await visit(service, `/view?order_uid=${UID}`)
    expect(response.status).toBe(503)
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await response.text()).toContain('The database cannot be reached')
  })

  it('shows nothing to those who need a key, and says where one can be given', async () => {
    await using service = await startService({ read: async () => stored(), keys: KEYS, keyless: 'nobody' })
    const refused = await visit(service, `/view?order_uid=${UID}`)
    expect(refused.status).toBe(401)
    expect(await refused.text()).toContain('This service asks for a key')
    const path = `/view?order_uid=${UID}`
    expect((await visit(service, path, { headers: { Authorization: 'Bearer guessed' } })).status).toBe(401)
    expect((await visit(service, path, { headers: { Authorization: `Bearer ${KEY}` } })).status).toBe(200)
    expect(service.asked).toEqual([UID])
  })
})

describe('the live list', () => {
  it('streams what is stored, and does not hold the close up', async () => {
    await using service = await startService()
    const response = await visit(service, '/orders/live')
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    service.feed.publish([stored()], value => value)
    const text = response.text()
    await service.server.close()
    expect(await text).toContain(`event: order\ndata: {"order_uid":"${UID}"`)
  })

  it('is for those who may read', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    expect((await visit(service, '/orders/live')).status).toBe(401)
    expect(service.feed.watchers).toBe(0)
    const ended = new AbortController()
    const headers = { Authorization: `Bearer ${KEY}` }
    expect((await visit(service, '/orders/live', { headers, signal: ended.signal })).status).toBe(200)
    expect(service.feed.watchers).toBe(1)
    ended.abort()
  })

  it('is told as a request that was answered at once, however long somebody watches', async () => {
    await using service = await startService()
    const leave = new AbortController()
    const asked = performance.now()
    await visit(service, '/orders/live', { signal: leave.signal })
    const answered = performance.now()
    // Watches for longer than the answer took, however slow this machine is just now.
    const watchedMs = 2 * (answered - asked)
    while (performance.now() - answered < watchedMs) await new Promise<void>(resolve => setImmediate(resolve))
    leave.abort()
    const fact = await service.firstServed
    expect(fact).toMatchObject({ kind: 'http_served', route: '/orders/live', status: 200 })
    expect('seconds' in fact && fact.seconds * 1000).toBeLessThan(watchedMs)
  })

  it('answers HEAD without a stream', async () => {
    await using service = await startService()
    expect((await visit(service, '/orders/live', { method: 'HEAD' })).status).toBe(200)
    expect(service.feed.watchers).toBe(0)
  })
})

describe('the API page', () => {
  it.each([
    ['/docs', 'text/html; charset=utf-8'],
    ['/docs/', 'text/html; charset=utf-8'],
    ['/docs/swagger-ui.css', 'text/css; charset=utf-8'],
    ['/docs/swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
    ['/docs.js', 'text/javascript; charset=utf-8'],
  ])('has all that it needs on this server: %s', async (path, type) => {
    await using service = await startService()
    const response = await visit(service, path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe(type)
    expect(response.headers.get('content-security-policy')).toContain("script-src 'self';")
  })

  it('gives out nothing else of the package', async () => {
    await using service = await startService()
    for (const name of ['package.json', 'swagger-ui-bundle.js.map', '..%2Fpackage.json']) {
      expect((await visit(service, `/docs/${name}`)).status, name).toBe(404)
    }
  })
})

describe('the console', () => {
  it('has all that it needs on this server, for anybody: it holds no data', async () => {
    await using service = await startService({ keyless: 'nobody' })
    const page = await visit(service, '/admin')
    expect(page.status).toBe(200)
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self';")
    const asked = [...(await page.text()).matchAll(/(?:href|src)="(\/[^"?]+\.(?:css|js|svg))"/g)].map(
      ([, path]) => path,
    )
    expect(asked.length).toBeGreaterThan(3)
    for (const path of asked) expect((await visit(service, path ?? '')).status, path).toBe(200)
  })

  it.each(['/admin', '/'])('takes no other method, as the search page does not: %s', async path => {
    await using service = await startService()
    const refused = await visit(service, path, { method: 'POST' })
    expect([refused.status, refused.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  })
})

describe('the files of the pages', () => {
  const asked = (service: Service, headers: Record<string, string>) => {
    return new Promise<{ status: number | undefined; headers: IncomingHttpHeaders; bytes: number }>(
      (resolve, reject) => {
        const request = get(`${service.url}/console/main.js`, { headers }, async answer => {
          let bytes = 0
          for await (const part of answer) bytes += part.length
          resolve({ status: answer.statusCode, headers: answer.headers, bytes })
        })
        request.on('error', reject)
      },
    )
  }

  it('come packed for who takes that, and are not sent again while they are the same', async () => {
    await using service = await startService()
    const plain = await asked(service, {})
    const packed = await asked(service, { 'Accept-Encoding': 'gzip, br' })
    expect(plain.headers['content-encoding']).toBeUndefined()
    expect(packed).toMatchObject({
      status: 200,
      headers: {
        'content-encoding': 'gzip',
        'content-type': 'text/javascript; charset=utf-8',
        'cache-control': 'no-cache',
        vary: 'Accept-Encoding',
      },
    })
    expect(packed.bytes).toBeLessThan(plain.bytes / 2)
    const again = { 'Accept-Encoding': 'gzip', 'If-None-Match': String(packed.headers.etag) }
    expect(await asked(service, again)).toMatchObject({ status: 304, bytes: 0 })
  })
})
