import { describe, expect, it } from 'vitest'
import { UsageError } from '#src/engine/errors.ts'
import { httpNames } from '#src/engine/http-names.ts'
import { openapiDocument } from '#src/http/openapi-document.ts'
import { startHttp } from '#src/http/server.ts'
import { findTitle } from '#src/read/http/page-frame.ts'
import { commandOf } from '#src/read/http/routes/streams.ts'
import { httpParts, orderStream } from '../../support/http-parts.ts'
import { aReturn, memoryReturns, returnsStream } from '../../support/returns.ts'
import { startService, UID } from './support.ts'

/** Orders, and returns beside them. Not by `service.get`, which holds answers against the document of orders alone. */
async function startBoth() {
  const returns = memoryReturns()
  const service = await startService({ streams: [returns] })
  return {
    returns,
    facts: service.facts,
    ask: (path: string, init?: RequestInit) => fetch(service.url + path, init),
    [Symbol.asyncDispose]: () => service[Symbol.asyncDispose](),
  }
}

describe('a second stream', () => {
  it('serves its values under its route, and orders stay where they are', async () => {
    await using both = await startBoth()
    both.returns.store(aReturn('r 1/ü'))
    const path = `/returns/${encodeURIComponent('r 1/ü')}`
    const response = await both.ask(path)
    expect(response.status).toBe(200)
    expect(await response.json()).toEqual(aReturn('r 1/ü'))
    const etag = response.headers.get('etag') ?? ''
    expect((await both.ask(path, { headers: { 'If-None-Match': etag } })).status).toBe(304)
    expect((await both.ask(`/order/${UID}`)).status).toBe(200)
    expect((await both.ask(`/returns/${UID}`)).status).toBe(404)
    expect((await both.ask('/order/r1')).status).toBe(404)
  })

  it('answers what is held in memory under the label of its own route', async () => {
    await using both = await startBoth()
    both.returns.store(aReturn('r1'), aReturn('live'))
    expect((await both.ask('/returns/r1')).headers.get('cache-status')).toMatch(/^holdfast; hit/)
    // Not the value whose key is `live`, which is in memory as well.
    const leave = new AbortController()
    const live = await both.ask('/returns/live', { signal: leave.signal })
    expect(live.headers.get('content-type')).toContain('text/event-stream')
    leave.abort()
    expect(both.facts).toContainEqual(expect.objectContaining({ route: '/returns/:key', status: 200 }))
  })

  it.each([
    ['a key that none can be', `/returns/${'x'.repeat(65)}`, 400, 'malformed_key'],
    ['a key that none has', '/returns/nobody', 404, 'value_not_found'],
    ['a store that is away', '/returns/away', 503, 'store_unavailable'],
    ['a parameter that the list does not take', '/returns?customer=anna', 400, 'bad_query'],
  ])('says what is wrong: %s', async (_what, path, status, code) => {
    await using both = await startBoth()
    const response = await both.ask(path)
    expect(response.status).toBe(status)
    const problem = (await response.json()) as { code: string; detail: string }
    expect(problem.code).toBe(code)
    expect(problem.detail).not.toContain('order')
  })

  it('lists by the columns of its definition, and names them to those who try others', async () => {
    await using both = await startBoth()
    both.returns.store(aReturn('r1'), aReturn('r2', { customer_id: 'bert' }), aReturn('r3'))
    const page = await (await both.ask('/returns?customer_id=anna')).json()
    expect(page).toEqual({ values: [aReturn('r3'), aReturn('r1')], next: null })
    const refused = (await (await both.ask('/returns?city=x')).json()) as { detail: string }
    expect(refused.detail).toBe('"city" is no parameter of this list. It takes customer_id, from, to, limit, cursor.')
  })

  it('takes a new value as JSON and as a file, and says where it is', async () => {
    await using both = await startBoth()
    const form = new FormData()
    form.set('file', new Blob([JSON.stringify(aReturn('r/2'))]), 'r2.json')
    const response = await both.ask('/returns/create', { method: 'POST', body: form })
    expect(response.status).toBe(201)
    expect(response.headers.get('location')).toBe('/returns/r%2F2')
    expect(await response.json()).toMatchObject({ key: 'r/2', status: 'stored', topic: 'returns-of-customers' })
    expect((await both.ask('/returns/r%2F2')).status).toBe(200)
  })

  it('is shown as a page, and is found in the page of all', async () => {
    await using both = await startBoth()
    both.returns.store(aReturn('<b>r1'))
    const page = await (await both.ask(`/view?stream=returns&key=${encodeURIComponent('<b>r1')}`)).text()
    for (const part of ['&lt;b&gt;r1', 'shoe-42', 'created_at', 'aria-label="Streams"', '>orders</a>']) {
      expect(page).toContain(part)
    }
    expect(page).not.toContain('<b>')
    const home = await (await both.ask('/?stream=returns')).text()
    expect(home).toContain('Find a value<')
    expect(home).toContain('name="file"')
    expect(home).not.toMatch(/\buid of\b|order_file/)
    for (const path of ['/?stream=nothing', '/view?stream=nothing&key=x']) {
      const response = await both.ask(path)
      expect(response.status).toBe(404)
      expect(await response.text()).toContain('This service has orders, returns')
    }
  })
})

it('the title of the search page says which stream it is where nothing else does', () => {
  const nameless = { ...returnsStream, http: httpNames('returns') }
  expect(findTitle([nameless], nameless)).toBe('Find a value of returns')
  expect(findTitle([orderStream, nameless], nameless)).toBe('Find a value')
  expect(findTitle([orderStream], orderStream)).toBe('Find an order')
})

describe('/streams', () => {
  it('lists the streams with their addresses', async () => {
    await using service = await startService()
    const { streams } = (await (await service.get('/streams')).json()) as { streams: object[] }
    expect(streams).toEqual([
      expect.objectContaining({
        name: 'orders',
        topic: 'orders',
        route: '/orders',
        value_path: '/order/{key}',
        list: { by: ['customer_id'] },
        key: '/order_uid',
      }),
    ])
    await using both = await startBoth()
    const all = (await (await both.ask('/streams')).json()) as { streams: { name: string }[] }
    expect(all.streams.map(({ name }) => name)).toEqual(['orders', 'returns'])
  })

  it('says what starts the command line, so that pages show lines that can be copied', async () => {
    await using service = await startService()
    expect(await (await service.get('/streams')).json()).toMatchObject({ command: 'bin/holdfast' })
    expect(commandOf('file:///srv/app/node_modules/holdfast/dist/read/http/routes/streams.js')).toBe('npx holdfast')
  })
})

it('refuses streams whose addresses are taken, and names each', async () => {
  const named = (route: string) => memoryReturns({ ...returnsStream, name: `of ${route}`, http: httpNames(route) })
  const started = startHttp({
    ...httpParts(),
    streams: [
      memoryReturns({ ...returnsStream, name: 'orders', http: orderStream.http }),
      named('order'),
      named('admin'),
    ],
  })
  await expect(started).rejects.toThrow(UsageError)
  await expect(started).rejects.toThrow(/of order wants \/order, which is of the stream orders.*of admin wants \/admin/)
})

describe('a stream without a list', () => {
  it('has no pages, and says so', async () => {
    const noList = { ...returnsStream, queries: { list: undefined } }
    await using service = await startService({ streams: [memoryReturns(noList)] })
    const response = await fetch(`${service.url}/returns`)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ code: 'no_list' })
    expect(Object.keys(openapiDocument([noList]).paths)).not.toContain('/returns')
  })
})
