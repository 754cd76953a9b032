import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { orderJson } from '../../support/order.ts'
import { modelOrder } from '../../support/orders.ts'
import { type Service, startService } from './support.ts'

const KEYS = [{ name: 'reader', role: 'read', sha256: createHash('sha256').update('reads').digest('hex') }] as const
const visit = async (service: Service, query: string) => {
  const answer = await fetch(`${service.url}/view/list?${query}`)
  return { status: answer.status, page: await answer.text() }
}

async function startWithOrders(): Promise<Service> {
  const service = await startService()
  for (const [uid, date_created, customer_id] of [
    ['first', '2026-01-01T23:59:59Z', '<b>ada</b>'],
    ['second', '2026-01-02T23:59:59Z', '<b>ada</b>'],
    ['third', '2026-01-03T00:00:00Z', '<b>ada</b>'],
    ['other', '2026-01-02T12:00:00Z', 'ben'],
  ] as const) {
    const order = { ...modelOrder, order_uid: uid, date_created, customer_id }
    const origin = { topic: 'orders', partition: 0, offset: 1n, timestampMs: 0 }
    service.orders.stored.set(uid, { key: uid, json: orderJson(order), origin })
  }
  return service
}

it('lists the values of a customer between two days, both included, each with a link to its page', async () => {
  await using service = await startWithOrders()
  const customer = encodeURIComponent('<b>ada</b>')
  const { status, page } = await visit(service, `stream=orders&customer_id=${customer}&from=2026-01-02&to=2026-01-02`)
  expect(status).toBe(200)
  expect(page).toContain('<a href="/view?order_uid=second"')
  for (const uid of ['first', 'third', 'other']) expect(page).not.toContain(`order_uid=${uid}`)
  // What was asked for stands in the form again, as text; what is personal in an order does not.
  expect(page).toContain('value="&lt;b&gt;ada&lt;/b&gt;"')
  expect(page).toContain('value="2026-01-02"')
  for (const part of ['<b>', '<script', modelOrder.delivery.name, modelOrder.delivery.phone])
    expect(page).not.toContain(part)
})

it('goes on where a page ended', async () => {
  await using service = await startWithOrders()
  const first = await visit(service, 'customer_id=%3Cb%3Eada%3C%2Fb%3E&limit=2')
  const more = /<a href="(\/view\/list\?[^"]+)" class="more">/.exec(first.page)?.[1]?.replaceAll('&amp;', '&') ?? ''
  expect(first.page).toContain('order_uid=second')
  const second = await (await fetch(service.url + more)).text()
  expect(second).toContain('order_uid=first')
  expect(second).not.toContain('order_uid=second')
  expect(second).not.toContain('class="more"')
})

it.each([
  ['nothing that matches', 'customer_id=nobody', 200, 'No order is stored with these.'],
  ['no date', 'from=yesterday', 400, 'from must be a date-time'],
  ['an unknown parameter', 'colour=red', 400, 'is no parameter of this list'],
])('says in plain words: %s', async (_, query, status, words) => {
  await using service = await startWithOrders()
  const answer = await visit(service, query)
  expect(answer.status).toBe(status)
  expect(answer.page).toContain(words)
})

it('says when the database is away, and that a key is needed', async () => {
  const catalog = { page: () => Promise.reject(new StoreUnavailableError('refused')) }
  await using away = await startService({ orders: { catalog } })
  expect(await visit(away, '')).toMatchObject({ status: 503, page: expect.stringContaining('cannot be reached') })
  await using locked = await startService({ keys: KEYS, keyless: 'nobody' })
  expect(await visit(locked, '')).toMatchObject({ status: 401, page: expect.stringContaining('asks for a key') })
})
