import { describe, expect, it } from 'vitest'
import { StoreContendedError, StoreUnavailableError } from '#src/engine/errors.ts'
import { orderJson } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'
import { ORDER, startService, UID } from './support.ts'

const away = () => Promise.reject(new StoreUnavailableError('connect ECONNREFUSED'))

describe('GET an order', () => {
  it.each([`/order/${UID}`, `/order?uid=${UID}`, `/orders/${UID}`])('serves the bytes as they are: %s', async path => {
    await using service = await startService()
    const response = await service.get(path)
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(Buffer.from(await response.arrayBuffer()).equals(ORDER.json)).toBe(true)
  })

  it('loads a miss once and then serves it from memory, and says so', async () => {
    await using service = await startService()
    const miss = await service.get(`/order/${UID}`)
    const hit = await service.get(`/order/${UID}`)
    expect(miss.headers.get('cache-status')).toBe('holdfast; fwd=miss; stored')
    expect(hit.headers.get('cache-status')).toBe('holdfast; hit; ttl=3600')
    expect(hit.headers.get('etag')).toBe(miss.headers.get('etag'))
    expect(service.asked).toEqual([UID])
  })

  it('never asks the store for what was just written', async () => {
    await using service = await startService({ read: away })
    service.put(ORDER)
    const response = await service.get(`/order/${UID}`)
    expect(response.status).toBe(200)
    expect(service.asked).toEqual([])
  })

  it('costs no body when the client holds this version', async () => {
    await using service = await startService()
    const etag = (await service.get(`/order/${UID}`)).headers.get('etag') ?? ''
    expect(etag).toMatch(/^"[^"]+"$/)
    for (const held of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const response = await service.get(`/order/${UID}`, { headers: { 'If-None-Match': held } })
      expect(response.status, held).toBe(304)
      expect(await response.text()).toBe('')
      expect(response.headers.get('etag')).toBe(etag)
      expect(response.headers.get('cache-control')).toBe('private, no-cache')
    }
  })

  it('sends the new version when the client holds an older one', async () => {
    await using service = await startService()
    const etag = (await service.get(`/order/${UID}`)).headers.get('etag') ?? ''
    const newer = orderJson({ ...modelOrder, entry: 'newer' })
    service.put({ ...ORDER, json: newer, origin: { ...ORDER.origin, offset: 8n } })
    const response = await service.get(`/order/${UID}`, { headers: { 'If-None-Match': etag } })
    expect(response.status).toBe(200)
    expect(await response.text()).toBe(newer.toString())
    expect(response.headers.get('etag')).not.toBe(etag)
  })

  it('answers HEAD with the same headers and no body', async () => {
    await using service = await startService()
    const response = await service.get(`/order/${UID}`, { method: 'HEAD' })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-length')).toBe(String(ORDER.json.length))
    expect(response.headers.get('etag')).not.toBeNull()
    expect(await response.text()).toBe('')
  })

  it('tells that there is none, as a problem', async () => {
    await using service = await startService()
    const response = await service.get('/order/nobody')
    expect(response.status).toBe(404)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.json()).toMatchObject({
      type: 'about:blank',
      title: 'Not Found',
      status: 404,
      code: 'order_not_found',
      trace_id: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
  })

  it.each([
    '/order/has%20space',
    `/order/${'x'.repeat(65)}`,
    '/order/%D1%82',
    '/order/%3Cscript%3E',
    '/order/%E0%A4%A',
    '/order',
    '/order?uid=',
    '/order?uid=a&uid=b',
  ])('refuses what no uid can be, without asking the store: %s', async path => {
    await using service = await startService()
    const response = await service.get(path)
    expect(response.status).toBe(400)
    expect(response.headers.get('content-type')).toBe('application/problem+json')
    expect(await response.text()).not.toContain('script')
    expect(service.asked).toEqual([])
  })

  it.each([
    ['away', new StoreUnavailableError('connect ECONNREFUSED')],
    ['busy', new StoreContendedError('canceling statement', { sqlState: '57014' })],
  ])('says when to try again while the store is %s, and still serves what is in memory', async (_what, error) => {
    await using service = await startService({ read: () => Promise.reject(error) })
    service.put(ORDER)
    const unknown = await service.get('/order/another')
    expect(unknown.status).toBe(503)
    expect(Number(unknown.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(await unknown.json()).toMatchObject({ code: 'store_unavailable' })
    expect((await service.get(`/order/${UID}`)).status).toBe(200)
  })

  it('keeps what went wrong on our side to the log, under the trace id of the answer', async () => {
    const error = new Error('row (Test Testov, +9720000000)')
    await using service = await startService({ read: () => Promise.reject(error) })
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const response = await service.get('/order/x', { headers: { traceparent } })
    expect(response.status).toBe(500)
    const body = await response.text()
    expect(body).not.toContain('Testov')
    expect(JSON.parse(body)).toMatchObject({ trace_id: '0af7651916cd43dd8448eb211c80319c' })
    expect(service.facts).toContainEqual({
      kind: 'http_failed',
      route: '/order/:uid',
      traceId: '0af7651916cd43dd8448eb211c80319c',
      error,
    })
  })

  it.each(['POST', 'PUT', 'DELETE'])('can only be read: %s', async method => {
    await using service = await startService()
    const response = await service.get(`/order/${UID}`, { method })
    expect(response.status).toBe(405)
    expect(response.headers.get('allow')).toBe('GET, HEAD')
  })
})
