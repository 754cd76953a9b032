import { describe, expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { orderJson } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'
import { type Service, startService } from './support.ts'

interface Page {
  readonly orders: readonly { readonly order_uid: string }[]
  readonly next: string | null
}

/** `a` to `e`, a day apart from 2024-01-01; every second one is Anna's. */
async function serviceWithOrders(): Promise<Service> {
  const service = await startService()
  for (const [index, uid] of [...'abcde'].entries()) {
    const date_created = `2024-01-0${index + 1}T00:00:00Z`
    const customer_id = index % 2 === 0 ? 'anna' : 'boris & co'
    const json = orderJson({ ...modelOrder, order_uid: uid, date_created, customer_id })
    service.orders.stored.set(uid, {
      key: uid,
      json,
      origin: { topic: 'orders', partition: 0, offset: 0n, timestampMs: 0 },
    })
  }
  return service
}

async function list(service: Service, query: Record<string, string>): Promise<Page> {
  const response = await service.get(`/orders?${new URLSearchParams(query)}`)
  expect(response.status).toBe(200)
  return (await response.json()) as Page
}

const uids = (page: Page) => page.orders.map(order => order.order_uid).join('')

describe('GET /orders', () => {
  it('lists whole orders, the newest first', async () => {
    await using service = await serviceWithOrders()
    const page = await list(service, {})
    expect(uids(page)).toBe('edcba')
    expect(page.next).toBeNull()
    expect(page.orders[4]).toEqual({
      ...modelOrder,
      order_uid: 'a',
      date_created: '2024-01-01T00:00:00Z',
      customer_id: 'anna',
    })
  })

  it('is an empty list when there are none', async () => {
    await using service = await startService()
    expect(await list(service, {})).toEqual({ orders: [], next: null })
  })

  it('goes on where the page before ended, whatever arrives meanwhile', async () => {
    await using service = await serviceWithOrders()
    const first = await list(service, { limit: '2' })
    expect(uids(first)).toBe('ed')
    const json = orderJson({ ...modelOrder, order_uid: 'f', date_created: '2024-02-01T00:00:00Z' })
    service.orders.stored.set('f', {
      key: 'f',
      json,
      origin: { topic: 'orders', partition: 0, offset: 9n, timestampMs: 0 },
    })
    const second = await list(service, { limit: '2', cursor: first.next ?? '' })
    expect(uids(second)).toBe('cb')
    const third = await list(service, { limit: '2', cursor: second.next ?? '' })
    expect([uids(third), third.next]).toEqual(['a', null])
  })

  it.each([
    [{ customer_id: 'anna' }, 'eca'],
    [{ customer_id: 'boris & co' }, 'db'],
    [{ from: '2024-01-03T00:00:00Z' }, 'edc'],
    [{ to: '2024-01-03T00:00:00Z' }, 'ba'],
    [{ from: '2024-01-02T01:00:00+01:00', to: '2024-01-04T00:00:00.000Z', customer_id: 'anna' }, 'c'],
    // What an empty form field means.
    [{ customer_id: '', from: '', to: '', cursor: '', limit: '' }, 'edcba'],
  ])('filters by %j', async (query, expected) => {
    await using service = await serviceWithOrders()
    expect(uids(await list(service, query))).toBe(expected)
  })

  it('understands a zone whose "+" was not escaped', async () => {
    await using service = await serviceWithOrders()
    const response = await service.get('/orders?from=2024-01-05T01:00:00+01:00')
    expect(uids((await response.json()) as Page)).toBe('e')
  })

  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=1e1', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['from=yesterday', 'from'],
    ['from=2024-01-01', 'from'],
    ['from=2024-01-01T00:00:00', 'from'],
    ['to=2024-02-30T00:00:00Z', 'to'],
    [`customer_id=${'x'.repeat(1025)}`, 'customer_id'],
    ['customer_id=%00', 'customer_id'],
    ['cursor=x', 'cursor'],
    ['cursor=%27%20OR%201=1', 'cursor'],
    [`cursor=${btoa('["2024-01-01T00:00:00Z","a","b"]')}`, 'cursor'],
    [`cursor=${btoa('["infinity","a"]')}`, 'cursor'],
    [`cursor=${btoa('{"0":"2024-01-01T00:00:00Z"}')}`, 'cursor'],
    [`cursor=${'A'.repeat(600)}`, 'cursor'],
  ])('refuses %s, and says what would be right', async (query, name) => {
    await using service = await serviceWithOrders()
    const response = await service.get(`/orders?${query}`)
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ code: 'bad_query', detail: expect.stringContaining(name) })
  })

  it('says when to try again while the store is away', async () => {
    const page = () => Promise.reject(new StoreUnavailableError('connect ECONNREFUSED'))
    await using service = await startService({ orders: { catalog: { page } } })
    const response = await service.get('/orders')
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('5')
  })

  it('can only be read', async () => {
    await using service = await startService()
    const response = await service.get('/orders', { method: 'POST' })
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
    expect((await service.get('/orders', { method: 'HEAD' })).status).toBe(200)
  })
})
