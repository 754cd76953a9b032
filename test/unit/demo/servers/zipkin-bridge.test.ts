import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type OtlpTraces, startZipkinBridge, toZipkin, type ZipkinSpan } from '#tools/demo/servers/zipkin-bridge.ts'

const TRACE = 'a'.repeat(32)
const SPAN = 'b'.repeat(16)
const text = (key: string, stringValue: string) => ({ key, value: { stringValue } })

const span = {
  traceId: TRACE,
  spanId: SPAN,
  name: 'process orders',
  kind: 5,
  startTimeUnixNano: '1795646561330123456',
  endTimeUnixNano: '1795646561335999999',
}

const traces = (...spans: object[]): OtlpTraces => ({
  resourceSpans: [
    {
      resource: { attributes: [text('service.name', 'holdfast'), text('host.name', 'h')] },
      scopeSpans: [{ scope: { name: 'holdfast' }, spans: spans as [] }],
    },
  ],
})
const only = (over: object) => toZipkin(traces({ ...span, ...over }))[0]

describe('a span of OTLP', () => {
  it("becomes Zipkin's, in microseconds, under the name of its service", () => {
    expect(toZipkin(traces(span))).toEqual([
      {
        traceId: TRACE,
        id: SPAN,
        name: 'process orders',
        kind: 'CONSUMER',
        timestamp: 1795646561330123,
        duration: 5876,
        localEndpoint: { serviceName: 'holdfast' },
        annotations: [],
        tags: { 'host.name': 'h', 'otel.scope.name': 'holdfast' },
      },
    ])
  })

  it.each([
    [1, undefined],
    [2, 'SERVER'],
    [3, 'CLIENT'],
    [4, 'PRODUCER'],
    [undefined, undefined],
  ])('of kind %s is %s', (kind, named) => {
    expect(only({ kind })?.kind).toBe(named)
  })

  it('keeps its parent, unless it is a root', () => {
    expect(only({ parentSpanId: 'c'.repeat(16) })?.parentId).toBe('c'.repeat(16))
    expect(only({ parentSpanId: '' })).not.toHaveProperty('parentId')
  })

  it('lasts at least a microsecond, as Zipkin has it', () => {
    expect(only({ endTimeUnixNano: span.startTimeUnixNano })?.duration).toBe(1)
  })

  it('has its attributes as texts, whatever their type', () => {
    const attributes = [
      text('a', 'x'),
      { key: 'b', value: { intValue: '42' } },
      { key: 'c', value: { boolValue: false } },
      { key: 'd', value: { doubleValue: 0.5 } },
      { key: 'e', value: { arrayValue: { values: [{ stringValue: 'x' }, { intValue: 1 }] } } },
    ]
    expect(only({ attributes })?.tags).toMatchObject({ a: 'x', b: '42', c: 'false', d: '0.5', e: '["x","1"]' })
  })

  it('names what is at its other end', () => {
    expect(only({ attributes: [text('db.system.name', 'postgresql')] })?.remoteEndpoint).toEqual({
      serviceName: 'postgresql',
    })
  })

  it('that failed is shown as an error', () => {
    expect(only({ status: { code: 2 } })?.tags).toMatchObject({ 'otel.status_code': 'ERROR', error: 'true' })
    expect(only({ status: {} })?.tags).not.toHaveProperty('error')
  })

  it('keeps its events as annotations, and its links as tags', () => {
    const links = [{ traceId: 'd'.repeat(32), spanId: 'e'.repeat(16) }]
    const events = [{ timeUnixNano: '1795646561331000000', name: 'exception', attributes: [text('type', '23505')] }]
    expect(only({ events, links })).toMatchObject({
      annotations: [{ timestamp: 1795646561331000, value: '"exception": {"type":"23505"}' }],
      tags: { 'link.1': `${'d'.repeat(32)}/${'e'.repeat(16)}` },
    })
  })

  it('that is none leaves nothing', () => {
    expect(toZipkin({})).toEqual([])
    expect(toZipkin({ resourceSpans: [{}] })).toEqual([])
  })
})

/** A Zipkin that answers with this status. */
async function zipkin(status: number): Promise<{ url: string; received: ZipkinSpan[] }> {
  const received: ZipkinSpan[] = []
  const server = createServer(async (req, res) => {
    const body = Buffer.concat(await Array.fromAsync(req as AsyncIterable<Buffer>))
    if (req.url === '/api/v2/spans') received.push(...(JSON.parse(body.toString()) as ZipkinSpan[]))
    res.writeHead(status).end()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received }
}

describe('the bridge', () => {
  async function post(url: string, body: string, type = 'application/json', path = '/v1/traces'): Promise<number> {
    const response = await fetch(url + path, { method: 'POST', headers: { 'Content-Type': type }, body })
    await response.text()
    return response.status
  }
  const body = JSON.stringify(traces(span))

  it('hands on what it is sent, once it knows where to', async () => {
    await using bridge = await startZipkinBridge()
    const { url, received } = await zipkin(202)
    expect(await post(bridge.url, body)).toBe(200)
    bridge.forwardTo(url)
    expect(await post(bridge.url, body)).toBe(200)
    expect(received).toMatchObject([{ traceId: TRACE, id: SPAN }])
  })

  it('leads to the page of a trace, once it knows where that is', async () => {
    await using bridge = await startZipkinBridge()
    const page = () => fetch(bridge.traceUrl.replace('{trace_id}', TRACE), { redirect: 'manual' })
    const early = await page()
    expect([early.status, await early.text()]).toEqual([503, 'The viewer of traces is not there (yet).\n'])
    bridge.forwardTo('http://127.0.0.1:9411')
    const found = await page()
    expect([found.status, found.headers.get('location')]).toEqual([302, `http://127.0.0.1:9411/zipkin/traces/${TRACE}`])
    expect((await fetch(bridge.traceUrl.replace('{trace_id}', '../spans'), { redirect: 'manual' })).status).toBe(404)
  })

  it('has the exporter try again when Zipkin does not take it', async () => {
    await using bridge = await startZipkinBridge()
    bridge.forwardTo((await zipkin(500)).url)
    expect(await post(bridge.url, body)).toBe(503)
    bridge.forwardTo('http://127.0.0.1:1')
    expect(await post(bridge.url, body)).toBe(503)
  })

  it('refuses what is not OTLP in JSON', async () => {
    await using bridge = await startZipkinBridge()
    expect(await post(bridge.url, '{"resourceSpans":')).toBe(400)
    expect(await post(bridge.url, body, 'application/x-protobuf')).toBe(415)
    expect(await post(bridge.url, body, 'application/json', '/v1/metrics')).toBe(404)
  })
})
