import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import type { AccessRole, ApiKey } from '#src/settings/access.ts'
import { modelOrder } from '../../support/orders.ts'
import { ORDER, startService, UID } from './support.ts'

const sha256 = (key: string) => createHash('sha256').update(key).digest('hex')
const aKey = (name: string, role: AccessRole, key = `${name}-key`): ApiKey => ({ name, role, sha256: sha256(key) })
const bearer = (key: string) => ({ Authorization: `Bearer ${key}` })
const JSON_TYPE = { 'Content-Type': 'application/json' }
const BODY = JSON.stringify(modelOrder)
const KEYS = [aKey('reader', 'read'), aKey('writer', 'write'), aKey('chief', 'admin')]

/** `fetch` does not let its caller choose `Host`. */
function statusWith(
  url: string,
  headers: Record<string, string>,
  method = 'GET',
  path = url.slice(new URL(url).origin.length),
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asking = request(url, { method, headers, path }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    asking.on('error', reject)
    asking.end(method === 'POST' ? BODY : undefined)
  })
}

describe('where keys are set', () => {
  it.each([
    ['/order/x', 'GET'],
    ['/order?uid=x', 'GET'],
    ['/orders/x', 'GET'],
    ['/orders', 'GET'],
    ['/orders/live', 'GET'],
    ['/orders/create', 'POST'],
  ])('nothing of an order is had without one, on this machine either: %s', async (path, method) => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    const response = await service.get(path, { method })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="holdfast"')
    expect(await response.json()).toMatchObject({ code: 'key_required' })
    expect(service.asked).toEqual([])
  })

  it('lets each role do what it may, and those above it, too', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    const read = async (key: string) => (await service.get(`/order/${UID}`, { headers: bearer(key) })).status
    const write = async (key: string) => (await service.create(BODY, { ...JSON_TYPE, ...bearer(key) })).status
    expect([await read('reader-key'), await write('reader-key')]).toEqual([200, 403])
    expect([await read('writer-key'), await write('writer-key')]).toEqual([200, 201])
    expect([await read('chief-key'), await write('chief-key')]).toEqual([200, 201])
  })

  it('says which role is missing', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    const response = await service.create(BODY, { ...JSON_TYPE, ...bearer('reader-key') })
    expect(response.headers.get('www-authenticate')).toContain('error="insufficient_scope", scope="write"')
    expect(await response.json()).toMatchObject({ code: 'role_too_small', detail: expect.stringContaining('write') })
    expect(service.orders.published).toEqual([])
  })

  it('takes the old and the new key while one is exchanged for the other', async () => {
    const keys = [aKey('web', 'read', 'old'), aKey('web', 'read', 'new')]
    await using service = await startService({ keys, keyless: 'nobody' })
    for (const key of ['old', 'new']) {
      expect((await service.get(`/order/${UID}`, { headers: bearer(key) })).status).toBe(200)
    }
  })

  it.each([
    ['another key', 'Bearer other'],
    ['the hash of a key', `Bearer ${sha256('reader-key')}`],
    ['a key with something behind it', 'Bearer reader-key reader-key'],
    ['another scheme', `Basic ${btoa('reader:reader-key')}`],
    ['no key at all', 'Bearer '],
  ])('refuses %s', async (_what, authorization) => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    const response = await service.get(`/order/${UID}`, { headers: { Authorization: authorization } })
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    expect(await response.text()).not.toContain('reader-key')
  })

  it('takes the scheme in any case of letters (RFC 9110, section 11.1)', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody' })
    expect((await service.get(`/order/${UID}`, { headers: { Authorization: 'bearer reader-key' } })).status).toBe(200)
  })

  it('leaves probes and metrics open, and tells why something fails only to those who may read', async () => {
    const ready = [{ name: 'postgres', check: () => ({ ok: false, reason: 'connect ECONNREFUSED db.internal:5432' }) }]
    await using service = await startService({ keys: KEYS, keyless: 'nobody', ready })
    for (const path of ['/readyz', '/readyz?verbose']) {
      const response = await service.get(path)
      expect(response.status).toBe(503)
      expect(await response.json()).toEqual({ status: 'failing' })
    }
    const told = await (await service.get('/readyz', { headers: bearer('reader-key') })).text()
    expect(told).toContain('db.internal')
    expect((await service.get('/livez')).status).toBe(200)
    expect((await service.get('/metrics')).status).toBe(200)
    expect((await service.get('/openapi.json')).status).toBe(200)
    expect((await service.get('/')).status).toBe(200)
  })
})

describe('where no keys are set', () => {
  it('this machine may read and write', async () => {
    await using service = await startService()
    expect((await service.get(`/order/${UID}`)).status).toBe(200)
    expect((await service.create(BODY, JSON_TYPE)).status).toBe(201)
  })

  it('a bad key is refused all the same: whoever sends one is mistaken about something', async () => {
    await using service = await startService()
    expect((await service.get(`/order/${UID}`, { headers: bearer('x') })).status).toBe(401)
  })

  it.each(['localhost', 'LOCALHOST', '127.0.0.1', '127.8.8.8', '[::1]'])(
    'its own name is one of them: %s',
    async host => {
      await using service = await startService()
      expect(await statusWith(`${service.url}/order/${UID}`, { host: `${host}:${service.server.port}` })).toBe(200)
      expect(await statusWith(`${service.url}/order/${UID}`, { host })).toBe(200)
    },
  )

  it.each([
    ...[{ 'x-forwarded-for': '203.0.113.9' }, { forwarded: 'for=203.0.113.9' }, { via: '1.1 proxy' }],
    ...[{ 'x-forwarded-proto': 'https' }, { 'x-forwarded-host': 'localhost' }, { 'x-real-ip': '127.0.0.1' }],
    ...[{ 'cf-connecting-ip': '203.0.113.9' }, { 'cf-ray': '1' }, { 'true-client-ip': '203.0.113.9' }],
    ...[{ 'fly-client-ip': '203.0.113.9' }, { 'fastly-client-ip': '203.0.113.9' }, { 'x-client-ip': '203.0.113.9' }],
    ...[{ 'x-cluster-client-ip': '203.0.113.9' }, { 'x-envoy-external-address': '203.0.113.9' }],
    ...[{ 'x-original-forwarded-for': '203.0.113.9' }, { 'x-azure-clientip': '203.0.113.9' }],
  ])('what came through a proxy is not from this machine: %j', async headers => {
    await using service = await startService()
    expect((await service.get(`/order/${UID}`, { headers })).status).toBe(401)
    // Also where the answer would come without Express
    service.put(ORDER)
    expect((await service.get(`/order/${UID}`, { headers })).status).toBe(401)
  })

  it.each([{ 'x-request-id': '7' }, { traceparent: '00-1-1-00' }, { 'user-agent': 'curl/8' }])(
    'what programs send by themselves takes nothing from the trust: %j',
    async headers => {
      await using service = await startService()
      expect((await service.get(`/order/${UID}`, { headers })).status).toBe(200)
    },
  )

  it.each([
    { origin: 'http://evil.example' },
    { origin: 'null' },
    { origin: 'http://localhost:1' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
  ])('a page of another site writes nothing: %j', async headers => {
    await using service = await startService()
    expect(await statusWith(`${service.url}/orders/create`, { ...JSON_TYPE, ...headers }, 'POST')).toBe(403)
    expect(service.orders.published).toEqual([])
  })

  it('our own pages write', async () => {
    await using service = await startService()
    const headers = { ...JSON_TYPE, origin: service.url, 'sec-fetch-site': 'same-origin' }
    expect(await statusWith(`${service.url}/orders/create`, headers, 'POST')).toBe(201)
  })

  it('a page of another site writes with a key, which no browser adds by itself', async () => {
    await using service = await startService({ keys: KEYS })
    const headers = { ...JSON_TYPE, ...bearer('writer-key'), origin: 'https://shop.example' }
    expect(await statusWith(`${service.url}/orders/create`, headers, 'POST')).toBe(201)
  })

  it('no answer invites pages of other origins', async () => {
    await using service = await startService()
    const { headers } = await service.get(`/order/${UID}`, { headers: { origin: 'http://evil.example' } })
    expect([...headers.keys()].filter(name => name.startsWith('access-control'))).toEqual([])
    expect(headers.get('cross-origin-resource-policy')).toBe('same-origin')
  })
})

describe('where nobody needs a key', () => {
  it('everyone reads and writes, through proxies and under each name that is listed, but pages of other sites do not', async () => {
    await using service = await startService({ keyless: 'everyone', allowedHosts: ['orders.example'] })
    const host = 'orders.example'
    const headers = { host, 'x-forwarded-for': '203.0.113.9' }
    const write = (more: Record<string, string>) =>
      statusWith(`${service.url}/orders/create`, { ...JSON_TYPE, ...headers, ...more }, 'POST')
    expect(await statusWith(`${service.url}/order/${UID}`, headers)).toBe(200)
    expect(await write({})).toBe(201)
    // TLS ends at the proxy: the scheme differs, the name does not.
    expect(await write({ origin: 'https://orders.example' })).toBe(201)
    // It may also write a name of its own into Host.
    expect(await write({ host: '127.0.0.1', origin: 'https://orders.example' })).toBe(201)
    expect(await write({ origin: 'https://evil.example' })).toBe(403)
    const read = { ...headers, origin: 'https://evil.example' }
    expect(await statusWith(`${service.url}/order/${UID}`, read)).toBe(403)
  })
})

describe.each([
  ['where no keys are set', {}, {}],
  ['where keys are set', { keys: KEYS, keyless: 'nobody' as const }, bearer('chief-key')],
  ['where nobody needs a key', { keyless: 'everyone' as const }, {}],
])('%s, the name that is asked', (_mode, mode, headers) => {
  it.each([
    ...['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', 'evil.example:8081', '10.0.0.1'],
    ...['localhost@evil.example', 'evil.example/localhost', '[::2]', 'localhost:8081:1', ' '],
  ])('must be one of ours: %s', async host => {
    await using service = await startService(mode)
    for (const path of [`/order/${UID}`, '/orders', '/view', '/', '/admin', '/admin/stream', '/metrics', '/docs']) {
      const claimed = { 'x-forwarded-host': 'localhost' }
      expect(await statusWith(service.url + path, { ...headers, ...claimed, host }), path).toBe(421)
    }
    expect(service.asked).toEqual([])
    // By the address of a pod, say
    for (const path of ['/livez', '/readyz?verbose']) expect(await statusWith(service.url + path, { host })).toBe(200)
  })

  it('may be one that is listed, with any port and in any case of letters', async () => {
    await using service = await startService({ ...mode, allowedHosts: ['orders.example', 'fd00::7'] })
    for (const host of ['orders.example', 'ORDERS.example:444', 'orders.example.', '[fd00::7]', '[FD00:0::7]:80']) {
      const status = await statusWith(`${service.url}/order/${UID}`, { ...headers, host })
      // The loopback interface's trust holds for its own names alone
      expect(status, host).toBe('keyless' in mode ? 200 : 401)
    }
  })
})

it('says which setting adds a name, in every mode', async () => {
  await using service = await startService({ keyless: 'everyone' })
  const answer = await new Promise<string>((resolve, reject) => {
    const headers = { host: 'orders.example' }
    const asking = request(`${service.url}/orders`, { headers }, response => {
      expect(response.headers['content-type']).toBe('application/problem+json')
      response.setEncoding('utf8').on('data', resolve)
    })
    asking.on('error', reject).end()
  })
  expect(JSON.parse(answer)).toMatchObject({ status: 421, code: 'host_not_allowed' })
  expect(answer).toContain('HTTP_ALLOWED_HOSTS')
})

it('a target with a name of its own is refused where that is foreign, whatever Host says', async () => {
  await using service = await startService({ keyless: 'everyone' })
  const asked = (target: string) => statusWith(service.url, {}, 'GET', target)
  expect(await asked(`http://localhost:1/order/${UID}`)).toBe(200)
  for (const name of ['evil.example', 'localhost@evil.example', '']) {
    expect(await asked(`HTTP://${name}/order/${UID}`), name).toBe(421)
    expect(await asked(`https://${name}/orders?limit=1`), name).toBe(421)
  }
})

it('a probe under a foreign name tells no reasons', async () => {
  const ready = [{ name: 'postgres', check: () => ({ ok: false, reason: 'connect ECONNREFUSED db.internal:5432' }) }]
  await using service = await startService({ ready })
  expect(await (await service.get('/readyz')).text()).toContain('db.internal')
  const told = await new Promise<string>((resolve, reject) => {
    const asking = request(`${service.url}/readyz?verbose`, { headers: { host: 'evil.example' } }, response =>
      response.setEncoding('utf8').on('data', resolve),
    )
    asking.on('error', reject).end()
  })
  expect(told).toBe('{"status":"failing"}')
})

describe('limits', () => {
  it('on writes are counted for each key, and say when to go on', async () => {
    const keys = [...KEYS, aKey('other', 'write')]
    await using service = await startService({ keys, keyless: 'nobody', limits: { writesPerMinute: 2 } })
    const write = (key: string) => service.create(BODY, { ...JSON_TYPE, ...bearer(key) })
    expect((await write('writer-key')).status).toBe(201)
    const second = await write('writer-key')
    expect(second.status).toBe(201)
    expect(second.headers.get('ratelimit-policy')).toMatch(/^"writes"; q=2; w=60/)
    expect(second.headers.get('ratelimit')).toMatch(/^"writes"; r=0; t=\d+/)
    const third = await write('writer-key')
    expect(third.status).toBe(429)
    expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await third.json()).toMatchObject({ code: 'too_many_requests' })
    expect((await write('other-key')).status).toBe(201)
    expect(service.orders.published).toHaveLength(3)
  })

  it('do not count what was refused for want of a key, and never reads', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody', limits: { writesPerMinute: 1 } })
    for (let i = 0; i < 3; i++) expect((await service.create(BODY, JSON_TYPE)).status).toBe(401)
    for (let i = 0; i < 3; i++) {
      expect((await service.get(`/order/${UID}`, { headers: bearer('reader-key') })).status).toBe(200)
    }
    expect((await service.create(BODY, { ...JSON_TYPE, ...bearer('writer-key') })).status).toBe(201)
  })

  it('slow down who guesses keys, and lock out nobody else at the same address', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody', limits: { badKeysPerMinute: 2 } })
    const read = (key: string) => service.get(`/order/${UID}`, { headers: bearer(key) })
    expect([(await read('a')).status, (await read('b')).status]).toEqual([401, 401])
    const limited = await read('c')
    expect(limited.status).toBe(429)
    expect(Number(limited.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await read('reader-key')).status).toBe(200)
  })
})

describe('refusals', () => {
  it('slow down who guesses keys on the probes, too, and keep no probe without a key from its answer', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody', limits: { badKeysPerMinute: 2 } })
    const probe = async (path: string, key?: string) =>
      (await service.get(path, key === undefined ? {} : { headers: bearer(key) })).status
    expect([await probe('/livez', 'a'), await probe('/readyz', 'b'), await probe('/livez', 'c')]).toEqual([
      200, 200, 429,
    ])
    expect([await probe('/livez'), await probe('/readyz'), await probe('/livez', 'reader-key')]).toEqual([
      200, 200, 200,
    ])
    // They are counted with those of the other addresses
    expect((await service.get(`/order/${UID}`, { headers: bearer('d') })).status).toBe(429)
  })

  it('are told by their reason, and those that may be an attack with the address', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody', limits: { badKeysPerMinute: 1 } })
    await service.get('/orders')
    await service.get('/orders', { headers: bearer('guess') })
    await service.get('/readyz', { headers: bearer('guess') })
    await service.create(BODY, { ...JSON_TYPE, ...bearer('reader-key') })
    await statusWith(`${service.url}/orders`, { host: 'evil.example' })
    const told = service.facts.flatMap(fact => (fact.kind === 'http_refused' ? [fact] : []))
    expect(told.map(({ reason }) => reason)).toEqual([
      ...['key_required', 'bad_key', 'bad_key', 'too_many_requests', 'role_too_small', 'host_not_allowed'],
    ])
    expect(new Set(told.map(({ address }) => address))).toEqual(new Set(['127.0.0.1']))
  })

  it('of methods that nobody knows are told as one', async () => {
    await using service = await startService()
    for (const method of ['PROPFIND', 'M-SEARCH', 'PURGE', 'DELETE'])
      await statusWith(`${service.url}/orders`, {}, method)
    const served = service.facts.flatMap(fact => (fact.kind === 'http_served' ? [fact.method] : []))
    expect(served).toEqual(['OTHER', 'OTHER', 'OTHER', 'DELETE'])
  })
})

describe('an order that was set aside', () => {
  const letter = { id: 'orders-3-42', reason: 'schema_violation', error: 'required', pointer: '/payment' } as const
  const deadLetterOf = async (uid: string) => (uid === 'lost' ? letter : undefined)

  it('is told to operators with the reason and a link, and to others not at all', async () => {
    await using service = await startService({ keys: KEYS, keyless: 'nobody', deadLetterOf })
    const ask = async (uid: string, key: string) => {
      const response = await service.get(`/order/${uid}`, { headers: bearer(key) })
      expect(response.status).toBe(404)
      return { ...((await response.json()) as object), link: response.headers.get('link') }
    }
    const url = '/admin?letter=orders-3-42'
    expect(await ask('lost', 'chief-key')).toMatchObject({
      code: 'order_not_found',
      dead_letter: { ...letter, url },
      link: `<${url}>; rel="related"`,
    })
    for (const other of [await ask('lost', 'reader-key'), await ask('nobody', 'chief-key')]) {
      expect(other).not.toHaveProperty('dead_letter')
      expect(other.link).toBeNull()
    }
  })

  it('is a plain 404 while the index cannot be asked', async () => {
    const away = async () => {
      throw new StoreUnavailableError('connection refused')
    }
    await using service = await startService({ keys: KEYS, keyless: 'nobody', deadLetterOf: away })
    const response = await service.get('/order/lost', { headers: bearer('chief-key') })
    expect(response.status).toBe(404)
    expect(await response.json()).not.toHaveProperty('dead_letter')
  })
})
