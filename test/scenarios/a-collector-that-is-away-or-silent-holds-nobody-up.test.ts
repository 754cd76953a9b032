import { expect, it } from 'vitest'
import { anOrder } from '../support/orders.ts'
import { startOtlpReceiver } from '../support/otlp-receiver.ts'
import { aHeader } from '../support/records.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

/** Each with a span of its own: more than ten times of what the exporter's queue holds. */
const RECORDS = 3_000
const QUEUE = { OTEL_BSP_MAX_QUEUE_SIZE: '256', OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '128' }
/** Less than the service's own bound (`SHUTDOWN_TIMEOUT_MS`), at which it would be killed. */
const STOPS_WITHIN_MS = 24_000

it.each([
  ['away', { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }],
  ['silent', {}],
])('settles all records while it is %s, says so, and stops in time', async (state, endpoint) => {
  // Given a collector that takes no spans, and records that are all to be followed
  const stream = await aStream()
  const receiver = await startOtlpReceiver({ protocol: 'protobuf', silent: true })
  await stream.produce(
    Array.from({ length: RECORDS }, (_, i) => ({
      value: JSON.stringify(anOrder({ uid: `order-${i}` })),
      headers: [aHeader('traceparent', `00-${String(i + 1).padStart(32, '0')}-${'1'.repeat(16)}-01`)],
    })),
  )

  // When a service reads them
  const env = { ...receiver.env, ...QUEUE, OTEL_EXPORTER_OTLP_TIMEOUT: '1000', ...endpoint }
  const service = await startService({ ...stream, env })
  await eventually(async () => (await stream.settled()) === RECORDS, 'all records being settled')

  // Then nothing else has changed
  await eventually(() => isReady(service), 'readiness')
  await eventually(async () => (await stream.committed()) === RECORDS, 'the commits')
  expect(await stream.findings()).toEqual([])
  const warning = await eventually(() => service.log.find(({ event }) => event === 'tracing_warning'), 'a warning')
  expect(warning).toMatchObject({ level: 'warn' })
  if (state === 'silent') {
    // It was tried, in the protocol that is the default of OpenTelemetry. Which spans were in it is left open: the
    // queue is full of what came first, and that may be what the service did before its first record.
    await eventually(() => receiver.bodies.length > 0, 'an attempt')
    expect([...receiver.contentTypes]).toEqual(['/v1/traces application/x-protobuf'])
    expect(receiver.bodies.every(body => body.includes('holdfast'))).toBe(true)
  }
  const stoppedAtMs = performance.now()
  expect(await service.stop()).toBe(0)
  expect(performance.now() - stoppedAtMs).toBeLessThan(STOPS_WITHIN_MS)
})
