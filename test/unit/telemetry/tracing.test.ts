import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { beforeEach, describe, expect, it } from 'vitest'
import { OwnershipLostError } from '#src/engine/errors.ts'
import { HEADER } from '#src/engine/headers.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { traceIdOf } from '#src/engine/trace-context.ts'
import { aDeadLetter } from '../../support/orders.ts'
import { aHeader, aRecord } from '../../support/records.ts'
import { type EndedSpan, tracingInMemory } from './spans.ts'

const { tracing, spans, named, only } = tracingInMemory()

const SAMPLED = { traceId: 'a'.repeat(32), spanId: '1'.repeat(16) }
const UNSAMPLED = { traceId: 'b'.repeat(32), spanId: '2'.repeat(16) }
const parent = ({ traceId, spanId }: typeof SAMPLED, flags: string) =>
  aHeader('traceparent', `00-${traceId}-${spanId}-${flags}`)

const sampled = aRecord({ offset: 10n, key: Buffer.from('secret-key'), headers: [parent(SAMPLED, '01')] })
const unsampled = aRecord({ offset: 11n, headers: [parent(UNSAMPLED, '00')] })
const plain = aRecord({ offset: 12n, headers: [aHeader('other', 'x')] })
const garbled = aRecord({ offset: 13n, headers: [['traceparent', Buffer.from([0xff, 0xfe, 0x00])]] })

const batchOf = (...records: SourceRecord[]) =>
  tracing.batch({ topic: 'orders', partition: 3, groupId: 'g', records, fillingSinceMs: performance.now() - 20 })
const linksOf = (span: EndedSpan) => span.links.map(({ context: { traceId, spanId } }) => ({ traceId, spanId }))
const idsOf = (span: EndedSpan) => {
  const { traceId, spanId } = span.spanContext()
  return { traceId, spanId }
}

/** What a producer is given to send. */
async function sent(record: { topic: string; headers: readonly Header[] }): Promise<readonly Header[]> {
  let given: readonly Header[] = []
  await tracing.send(record, async headers => {
    given = headers
    return { partition: 0, offset: 0n }
  })
  return given
}
const traceOf = (headers: readonly Header[]) => {
  const found = headers.filter(([name]) => name === 'traceparent')
  expect(found).toHaveLength(1)
  return traceIdOf(String(found[0]?.[1]))
}

beforeEach(() => {
  spans.length = 0
})

describe('a batch of one record', () => {
  it("continues that record's trace: poll, process, and later the commit", () => {
    const trace = batchOf(sampled)
    trace.end({ deadLetters: [] })
    trace.committed(0.005)
    const [poll, process, commit] = [only('poll orders'), only('process orders'), only('commit orders')]
    expect([poll, process, commit].map(span => idsOf(span).traceId)).toEqual(Array(3).fill(SAMPLED.traceId))
    expect(poll.parentSpanContext?.spanId).toBe(SAMPLED.spanId)
    expect(process.parentSpanContext?.spanId).toBe(idsOf(poll).spanId)
    expect(commit.parentSpanContext?.spanId).toBe(idsOf(process).spanId)
    expect(linksOf(process)).toEqual([SAMPLED])
    expect([poll.kind, process.kind, commit.kind]).toEqual([SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.CLIENT])
    expect(poll.attributes).toMatchObject({ 'messaging.batch.message_count': 1, 'messaging.operation.type': 'receive' })
    expect(process.attributes).toEqual({
      'messaging.system.name': 'kafka',
      'messaging.destination.name': 'orders',
      'messaging.destination.partition.id': '3',
      'messaging.consumer.group.name': 'g',
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'kafka.offset': 10,
    })
    expect(process.instrumentationScope.schemaUrl).toBe('https://opentelemetry.io/schemas/1.45.0')
  })

  it('is not exported when its producer has decided so', () => {
    batchOf(unsampled).end({ deadLetters: [] })
    expect(spans).toEqual([])
  })

  it.each([
    ['none', plain],
    ['none that can be read', garbled],
    ['two', aRecord({ headers: [parent(SAMPLED, '01'), parent(UNSAMPLED, '01')] })],
  ])('is a trace of its own when it carries %s', (_what, record) => {
    batchOf(record).end({ deadLetters: [] })
    expect(only('poll orders').parentSpanContext).toBeUndefined()
    expect(linksOf(only('process orders'))).toEqual([])
  })

  it('fails with the reason for which it became a dead letter', () => {
    batchOf(sampled).end({ deadLetters: [aDeadLetter(10n, { record: sampled })] })
    const { status, attributes } = only('process orders')
    expect(status).toEqual({ code: SpanStatusCode.ERROR })
    expect(attributes['error.type']).toBe('malformed_json')
  })
})

describe('a batch of several records', () => {
  it('is a trace of its own, linked to those of its records', () => {
    batchOf(sampled, unsampled, plain, garbled).end({ deadLetters: [] })
    const poll = only('poll orders')
    expect(poll.parentSpanContext).toBeUndefined()
    expect(linksOf(poll)).toEqual([SAMPLED, UNSAMPLED])
    expect(poll.attributes['messaging.batch.message_count']).toBe(4)
    const [batch] = named('process orders').filter(span => idsOf(span).traceId === idsOf(poll).traceId)
    expect(batch?.parentSpanContext?.spanId).toBe(idsOf(poll).spanId)
    expect(batch && linksOf(batch)).toEqual([SAMPLED, UNSAMPLED])
  })

  it('has a span for each record whose producer is sampled, in its trace, and for no other', () => {
    batchOf(sampled, unsampled, plain).end({ deadLetters: [aDeadLetter(10n, { record: sampled })] })
    const processed = named('process orders')
    expect(processed).toHaveLength(2)
    const own = processed.find(span => idsOf(span).traceId === SAMPLED.traceId)
    const batch = processed.find(span => span !== own)
    expect(own?.parentSpanContext?.spanId).toBe(SAMPLED.spanId)
    expect(own && linksOf(own)).toEqual([SAMPLED, batch && idsOf(batch)])
    expect(own?.attributes).toMatchObject({ 'kafka.offset': 10, 'error.type': 'malformed_json' })
    // One bad record is no failure of the batch.
    expect(batch?.status.code).toBe(SpanStatusCode.UNSET)
    expect(batch?.attributes).toMatchObject({ 'holdfast.batch.dead_lettered': 1 })
  })

  it('sends each dead letter in the trace of its record, also in one that is not sampled', async () => {
    const trace = batchOf(sampled, unsampled, plain)
    const send = (record: SourceRecord) =>
      trace.runFor(record, () => sent({ topic: 'orders.dlq', headers: [aHeader('a', '1'), ...record.headers] }))
    expect(traceOf(await send(sampled))).toBe(SAMPLED.traceId)
    const continued = await send(unsampled)
    expect(traceOf(continued)).toBe(UNSAMPLED.traceId)
    expect(String(continued.at(-1)?.[1])).toMatch(/-00$/)
    const ofBatch = traceOf(await send(plain))
    trace.end({ deadLetters: [] })
    expect(ofBatch).toBe(idsOf(only('poll orders')).traceId)
    expect(named('send orders.dlq')).toHaveLength(2)
    const own = named('process orders').find(span => idsOf(span).traceId === SAMPLED.traceId)
    expect(named('send orders.dlq')[0]?.parentSpanContext?.spanId).toBe(own && idsOf(own).spanId)
  })

  it('that is given up fails as a whole, once', () => {
    const trace = batchOf(sampled, plain)
    trace.end({ error: new OwnershipLostError('taken away') })
    trace.end({ deadLetters: [] })
    expect(named('process orders').map(span => span.attributes['error.type'])).toEqual(Array(2).fill('ownership_lost'))
  })

  it('has no more links than a span has room for', () => {
    const many = Array.from({ length: 300 }, (_, i) =>
      aRecord({ offset: BigInt(i), headers: [parent(UNSAMPLED, '00')] }),
    )
    batchOf(...many).end({ deadLetters: [] })
    expect(only('poll orders').links).toHaveLength(128)
    expect(only('poll orders').droppedLinksCount).toBe(0)
  })
})

describe('what is sent', () => {
  it('carries a trace of its own, beside its other headers', async () => {
    const headers = await sent({ topic: 'orders', headers: [aHeader('a', '1')] })
    expect(headers.map(([name]) => name)).toEqual(['a', 'traceparent'])
    const span = only('send orders')
    expect(span.kind).toBe(SpanKind.PRODUCER)
    expect(headers[1]?.[1].toString()).toBe(`00-${idsOf(span).traceId}-${idsOf(span).spanId}-01`)
    expect(span.attributes).toMatchObject({ 'messaging.destination.partition.id': '0', 'kafka.offset': 0 })
  })

  it('by a redrive begins a new trace, linked to the first', async () => {
    const first = [aHeader('traceparent', `00-${SAMPLED.traceId}-${SAMPLED.spanId}-01`), aHeader('tracestate', 'x=y')]
    const headers = await sent({ topic: 'orders', headers: [...first, aHeader(HEADER.redriveId, 'r1')] })
    const span = only('send orders')
    expect(idsOf(span).traceId).not.toBe(SAMPLED.traceId)
    expect(span.parentSpanContext).toBeUndefined()
    expect(linksOf(span)).toEqual([SAMPLED])
    expect(traceOf(headers)).toBe(idsOf(span).traceId)
    expect(headers.map(([name]) => name)).toEqual([HEADER.redriveId, 'traceparent'])
  })

  it('and not acknowledged is an error of its kind, without its words', async () => {
    const sending = tracing.send({ topic: 'orders', headers: [] }, () => Promise.reject(new RangeError('Test Testov')))
    await expect(sending).rejects.toThrow('Test Testov')
    expect(only('send orders').attributes['error.type']).toBe('RangeError')
    expect(JSON.stringify([only('send orders').status, only('send orders').events])).not.toContain('Testov')
  })
})

describe('a request', () => {
  const serve = (request: Parameters<typeof tracing.serve>[0], status = 200, route = '/order/:uid') =>
    tracing.serve(request, () => tracing.bind(() => tracing.served({ method: 'GET', route, status }))())

  it('is named by its route, and says nothing of its address', () => {
    serve({ method: 'GET', url: '/order/secret-uid?x=secret', headers: { 'user-agent': 'secret' } })
    const span = only('GET /order/:uid')
    expect(span.kind).toBe(SpanKind.SERVER)
    expect(span.attributes).toEqual({
      'http.request.method': 'GET',
      'url.scheme': 'http',
      'http.response.status_code': 200,
      'http.route': '/order/:uid',
    })
  })

  it("continues its caller's trace, and hands its own span on", () => {
    const headers = { traceparent: `00-${SAMPLED.traceId}-${SAMPLED.spanId}-01` }
    serve({ method: 'GET', url: '/order/x', headers })
    expect(only('GET /order/:uid').parentSpanContext?.spanId).toBe(SAMPLED.spanId)
    expect(headers.traceparent).toBe(`00-${SAMPLED.traceId}-${idsOf(only('GET /order/:uid')).spanId}-01`)
  })

  it('that we failed has failed; that was wrong has not', () => {
    serve({ method: 'GET', url: '/order/x', headers: {} }, 503)
    serve({ method: 'BREW', url: '/order/x', headers: {} }, 404, 'unmatched')
    expect(only('GET /order/:uid').status.code).toBe(SpanStatusCode.ERROR)
    expect(only('HTTP').status.code).toBe(SpanStatusCode.UNSET)
    expect(only('HTTP').attributes['http.request.method']).toBe('_OTHER')
    expect(only('HTTP').attributes['http.route']).toBeUndefined()
  })

  it.each(['/metrics', '/livez', '/readyz?verbose'])('of a machine for %s is not followed', url => {
    serve({ method: 'GET', url, headers: {} })
    expect(spans).toEqual([])
  })
})

it('tells the ids of what is going on, and of nothing otherwise', () => {
  expect(tracing.active()).toBeUndefined()
  const trace = batchOf(sampled)
  expect(trace.run(() => tracing.active())).toMatchObject({ traceId: SAMPLED.traceId, sampled: true })
  const other = batchOf(unsampled)
  expect(other.run(() => tracing.active())).toMatchObject({ traceId: UNSAMPLED.traceId, sampled: false })
})

it('never puts a key into an attribute', () => {
  batchOf(sampled).end({ deadLetters: [aDeadLetter(10n, { record: sampled, key: 'secret-uid' })] })
  expect(JSON.stringify(spans.map(({ attributes, events, name }) => [attributes, events, name]))).not.toContain(
    'secret',
  )
})
