import { expect, it } from 'vitest'
import { startMetricsServer } from '#src/http/server.ts'
import { httpParts } from '../../support/http-parts.ts'

it('serves metrics, and the reasons of the probes, on a port of their own, and no orders', async () => {
  const { metrics, observer } = httpParts()
  const ready = [{ name: 'postgres', check: () => ({ ok: false, reason: 'connect ECONNREFUSED' }) }]
  await using server = await startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    live: [],
    ready,
    metrics,
    observer,
  })
  const get = async (path: string) => {
    // As a scraper in another network sees it: no rule of loopback holds here.
    const response = await fetch(server.url + path, { headers: { 'X-Forwarded-For': '203.0.113.9' } })
    return [response.status, await response.text()] as const
  }
  expect(await get('/metrics')).toEqual([200, 'up 1\n'])
  expect(await get('/livez')).toEqual([200, '{"status":"ok"}'])
  const [status, body] = await get('/readyz')
  expect([status, body]).toEqual([503, expect.stringContaining('connect ECONNREFUSED')])
  for (const path of ['/', '/order/x', '/orders', '/openapi.json']) expect((await get(path))[0]).toBe(404)
})

it('names its own settings when the port is in use', async () => {
  const { metrics, observer } = httpParts()
  const options = { host: '127.0.0.1', allowedHosts: [], live: [], ready: [], metrics, observer }
  await using server = await startMetricsServer({ ...options, port: 0 })
  await expect(startMetricsServer({ ...options, port: server.port })).rejects.toThrow(/METRICS_PORT/)
})

it('gives OpenMetrics to a scraper that prefers it, and the plain text to everybody else', async () => {
  const { metrics, observer } = httpParts()
  await using server = await startMetricsServer({
    host: '127.0.0.1',
    port: 0,
    allowedHosts: [],
    live: [],
    ready: [],
    metrics,
    observer,
  })
  const scrape = async (accept: string) => {
    const response = await fetch(`${server.url}/metrics`, { headers: { Accept: accept } })
    return [response.headers.get('content-type'), await response.text()]
  }
  const open = ['application/openmetrics-text; version=1.0.0; charset=utf-8', 'up 1\n# EOF\n']
  const text = ['text/plain; version=0.0.4; charset=utf-8', 'up 1\n']
  // What Prometheus 2 and 3 ask for.
  for (const accept of [
    'application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=1.0.0;q=0.4,*/*;q=0.1',
  ]) {
    expect(await scrape(accept)).toEqual(open)
  }
  expect(await scrape('text/plain;version=0.0.4,application/openmetrics-text;q=0.5')).toEqual(text)
  expect(await scrape('*/*')).toEqual(text)
})
