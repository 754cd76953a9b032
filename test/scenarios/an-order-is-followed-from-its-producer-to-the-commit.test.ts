import { expect, it } from 'vitest'
import { HEADER, headerText } from '#src/engine/headers.ts'
import { traceIdOf } from '#src/engine/trace-context.ts'
import { holdfast } from '../support/cli.ts'
import { modelOrder } from '../support/orders.ts'
import { type OtlpReceiver, type ReceivedSpan, startOtlpReceiver } from '../support/otlp-receiver.ts'
import { aHeader } from '../support/records.ts'
import { eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const BAD_TRACE = '0af7651916cd43dd8448eb211c80319c'
const UNSAMPLED_TRACE = '1af7651916cd43dd8448eb211c80319c'
const traceparent = (traceId: string, flags: string) =>
  aHeader('traceparent', `00-${traceId}-b7ad6b7169203331-${flags}`)

async function followedStream(): Promise<{ stream: Stream; receiver: OtlpReceiver }> {
  return { stream: await aStream({ partitions: 1 }), receiver: await startOtlpReceiver() }
}

async function followedService(
  { stream, receiver }: { stream: Stream; receiver: OtlpReceiver },
  env: Readonly<Record<string, string>> = {},
): Promise<Service> {
  const service = await startService({ ...stream, env: { ...receiver.env, LOG_LEVEL: 'debug', ...env } })
  await eventually(() => isReady(service), 'the service being ready')
  return service
}

/** Names of a trace's spans from its root downwards, a child behind its parent. */
function wayOf(spans: readonly ReceivedSpan[], root: ReceivedSpan | undefined): string[] {
  if (root === undefined) return []
  const children = spans.filter(({ parentSpanId }) => parentSpanId === root.spanId)
  return [
    root.name.replace(/ test_\w+$/, ''),
    ...children.sort((a, b) => a.startMs - b.startMs).flatMap(child => wayOf(spans, child)),
  ]
}

it('is one trace, from the producer through topic and database to the commit', async () => {
  // Given a service and a producer whose traces go to a collector
  const followed = await followedStream()
  const { stream, receiver } = followed
  const { topic } = stream
  const service = await followedService(followed)

  // When an order is produced, and settled
  await holdfast({ ...stream, env: receiver.env }, 'produce', '--file', 'data/model.json')
  const [commit] = await receiver.until('the commit', ({ name }) => name === `commit ${topic}`)

  // Then its trace is the way that it took
  const spans = receiver.spans.filter(({ traceId }) => traceId === commit?.traceId)
  const root = spans.find(({ parentSpanId }) => parentSpanId === '')
  expect(wayOf(spans, root).filter(name => name !== 'pg.query:UPDATE')).toEqual([
    `send ${topic}`,
    `poll ${topic}`,
    `process ${topic}`,
    ...['pg.query:BEGIN', 'pg.query:progress_advance', 'pg.query:orders_upsert', 'pg.query:ledger_extend'],
    ...['pg.query:COMMIT', `commit ${topic}`],
  ])
  const process = spans.find(({ name }) => name === `process ${topic}`)
  expect(process).toMatchObject({ kind: 'CONSUMER', failed: false, links: [{ spanId: root?.spanId }] })
  expect(process?.attributes).toMatchObject({ 'messaging.consumer.group.name': stream.groupId, 'kafka.offset': 0 })
  expect(root).toMatchObject({ kind: 'PRODUCER', resource: { 'service.name': 'holdfast-producer' } })
  expect(process?.resource).toMatchObject({ 'service.name': 'holdfast', 'service.version': expect.any(String) })

  // And the log line of its batch, and an exemplar of its latency, name it
  const line = service.log.find(({ event }) => event === 'batch_settled')
  expect(line).toMatchObject({ trace_id: commit?.traceId, span_id: process?.spanId })
  const page = await openMetricsOf(service)
  expect(page).toMatch(new RegExp(`end_to_end_latency_seconds_bucket.* # \\{trace_id="${commit?.traceId}"`))
  expect(page).toMatch(new RegExp(`batch_duration_seconds_bucket.* # \\{trace_id="${commit?.traceId}"`))
})

it('that the API takes is one trace, beginning with the request; and so is every other request', async () => {
  const followed = await followedStream()
  const { receiver, stream } = followed
  const service = await followedService(followed)
  const body = JSON.stringify(modelOrder)

  const created = await fetch(`${service.url}/orders/create`, { method: 'POST', body, headers: JSON_TYPE })
  // (202 where it was not settled within five seconds)
  expect([201, 202]).toContain(created.status)
  await eventually(async () => (await stream.settled()) === 1, 'the order being settled')
  const found = await fetch(`${service.url}/order/${modelOrder.order_uid}`)
  expect(found.status).toBe(200)
  const refused = await fetch(`${service.url}/orders/create`, { method: 'POST', body: '{}', headers: JSON_TYPE })
  const { trace_id: refusedTrace } = (await refused.json()) as { trace_id: string }
  expect((await fetch(`${service.url}/readyz`)).status).toBe(200)
  const [commit] = await receiver.until('the commit', ({ name }) => name === `commit ${stream.topic}`)
  await receiver.until('the requests', ({ kind }) => kind === 'SERVER', 3)

  const requests = receiver.spans.filter(({ kind }) => kind === 'SERVER')
  expect(requests.map(({ name }) => name).sort()).toEqual([
    'GET /order/:uid',
    'POST /orders/create',
    'POST /orders/create',
  ])
  const request = requests.find(({ traceId }) => traceId === commit?.traceId)
  expect(request?.attributes).toMatchObject({
    'http.route': '/orders/create',
    'http.response.status_code': created.status,
  })
  const sent = receiver.spans.find(({ name }) => name === `send ${stream.topic}`)
  expect(sent).toMatchObject({ traceId: commit?.traceId, parentSpanId: request?.spanId })
  expect(await openMetricsOf(service)).toMatch(
    new RegExp(
      `http_request_duration_seconds_bucket.*route="/orders/create".* # \\{trace_id="(${commit?.traceId}|${refusedTrace})"`,
    ),
  )
  // The refusal names its trace.
  expect(requests.find(({ traceId }) => traceId === refusedTrace)?.attributes).toMatchObject({
    'http.response.status_code': 422,
  })
})

it('in a batch of many keeps its own trace, linked to the batch; set aside, its dead letter goes on in it', async () => {
  // Given records that wait already when the service comes, so that they are one batch
  const followed = await followedStream()
  const { stream, receiver } = followed
  await stream.produce([
    { value: JSON.stringify(modelOrder) },
    { value: '{"bad', headers: [traceparent(BAD_TRACE, '01'), aHeader('tracestate', 'them=1')] },
    { value: '{"bad', headers: [traceparent(UNSAMPLED_TRACE, '00')] },
    { value: '{"bad', headers: [['traceparent', Buffer.from([0xff, 0xfe, 0x00])]] },
  ])
  const service = await followedService(followed, { BATCH_LINGER_MS: '500' })
  const [commit] = await receiver.until('the commit', ({ name }) => name === `commit ${stream.topic}`)

  // Then the batch is a trace, linked to those of its records that can be read
  const batch = receiver.spans.filter(({ traceId }) => traceId === commit?.traceId)
  const process = batch.find(({ kind }) => kind === 'CONSUMER')
  expect(process?.links.map(({ traceId }) => traceId)).toEqual([BAD_TRACE, UNSAMPLED_TRACE])
  expect(process?.attributes).toMatchObject({ 'messaging.batch.message_count': 4, 'holdfast.batch.dead_lettered': 3 })
  expect(batch.map(({ name }) => name.replace(/ test_\w+$/, ''))).toContain('pg.query:orders_upsert')

  // And the record's trace has its processing, which failed, and the sending of its dead letter
  const own = receiver.spans.filter(({ traceId }) => traceId === BAD_TRACE)
  expect(
    wayOf(
      own,
      own.find(({ kind }) => kind === 'CONSUMER'),
    ),
  ).toEqual([`process ${stream.topic}`, `send ${stream.dlqTopic}`])
  expect(own.find(({ kind }) => kind === 'CONSUMER')).toMatchObject({
    failed: true,
    attributes: { 'error.type': 'malformed_json', 'kafka.offset': 1 },
    links: [{ traceId: BAD_TRACE }, { traceId: commit?.traceId, spanId: process?.spanId }],
  })
  const line = service.log.find(({ event }) => event === 'dead_lettered')
  expect(line).toMatchObject({ trace_id: BAD_TRACE })

  // And each dead letter carries one trace: its record's, or the batch's for one that had none to be read
  const letters = await stream.readAll(stream.dlqTopic)
  const carried = letters.map(letter => {
    expect(letter.headers.filter(([name]) => name === 'traceparent')).toHaveLength(1)
    return [headerText(letter, HEADER.offset), traceIdOf(headerText(letter, 'traceparent') ?? '')]
  })
  expect(new Map(carried as [string, string][])).toEqual(
    new Map([
      ['1', BAD_TRACE],
      ['2', UNSAMPLED_TRACE],
      ['3', commit?.traceId],
    ]),
  )
  const sent = own.find(({ kind }) => kind === 'PRODUCER')
  const first = letters.find(letter => headerText(letter, HEADER.offset) === '1')
  expect(first && headerText(first, 'traceparent')).toBe(`00-${BAD_TRACE}-${sent?.spanId}-01`)
  expect(first && headerText(first, 'tracestate')).toBe('them=1')
  expect(receiver.spans.filter(({ traceId }) => traceId === UNSAMPLED_TRACE)).toEqual([])
})

/** A dead letter of an order that was in a trace, and that would be stored now. */
async function aLetterOfATrace() {
  const followed = await followedStream()
  const { stream, receiver } = followed
  await stream.query("ALTER TABLE deliveries ADD CONSTRAINT not_yet CHECK (city = 'elsewhere')")
  const service = await followedService(followed)
  await stream.produce([{ value: JSON.stringify(modelOrder), headers: [traceparent(BAD_TRACE, '01')] }])
  const [letter] = await receiver.until('the dead letter', ({ name }) => name === `send ${stream.dlqTopic}`)
  expect(letter?.traceId).toBe(BAD_TRACE)
  await eventually(async () => (await stream.settled()) === 1, 'the dead letter being settled')
  await stream.query('ALTER TABLE deliveries DROP CONSTRAINT not_yet')
  return { ...followed, service, letter }
}

it('that was set aside is redriven in a new trace, linked to the first', async () => {
  // Given an order that the database refused, and would not any more
  const { stream, receiver, service, letter } = await aLetterOfATrace()

  // When it is redriven
  await holdfast({ ...stream, env: receiver.env }, 'dlq', 'replay', 'reason:store_rejected', '--to', 'topic', '--yes')

  // Then that is a trace of its own, as far as the commit, and says which one was before
  const [sent] = await receiver.until('the redriven record', ({ name }) => name === `send ${stream.topic}`)
  expect(sent?.traceId).not.toBe(BAD_TRACE)
  expect(sent).toMatchObject({ parentSpanId: '', links: [{ traceId: BAD_TRACE, spanId: letter?.spanId }] })
  const ofRedrive = ({ traceId }: ReceivedSpan) => traceId === sent?.traceId
  await receiver.until('its commit', span => ofRedrive(span) && span.name === `commit ${stream.topic}`)
  expect(wayOf(receiver.spans.filter(ofRedrive), sent).slice(0, 3)).toEqual([
    `send ${stream.topic}`,
    `poll ${stream.topic}`,
    `process ${stream.topic}`,
  ])
  expect(await service.stop()).toBe(0)
})

it('is redriven into the store in a trace of its own, which says which one was before', async () => {
  const { stream, receiver, service, letter } = await aLetterOfATrace()
  await holdfast({ ...stream, env: receiver.env }, 'dlq', 'replay', 'reason:store_rejected', '--yes')
  const [page] = await receiver.until('the page', ({ name }) => name === `redrive ${stream.topic}`)
  expect(page?.traceId).not.toBe(BAD_TRACE)
  expect(page).toMatchObject({ parentSpanId: '', links: [{ traceId: BAD_TRACE, spanId: letter?.spanId }] })
  expect(await service.stop()).toBe(0)
})

async function openMetricsOf(service: Service): Promise<string> {
  const Accept = 'application/openmetrics-text; version=1.0.0'
  return await (await fetch(`${service.url}/metrics`, { headers: { Accept } })).text()
}

const JSON_TYPE = { 'Content-Type': 'application/json' }
