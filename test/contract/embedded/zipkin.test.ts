import { expect, it, onTestFinished } from 'vitest'
import { startZipkin } from '#tools/demo/servers/zipkin.ts'
import { startZipkinBridge, type ZipkinSpan } from '#tools/demo/servers/zipkin-bridge.ts'
import { holdfast } from '../../support/cli.ts'
import { eventually } from '../../support/service.ts'
import { aStream, streamTools } from '../../support/stream.ts'

streamTools()

it('a real Zipkin shows, by way of the bridge, what our own exporter sends', async () => {
  const zipkin = await startZipkin()
  onTestFinished(() => zipkin[Symbol.asyncDispose]())
  const bridge = await startZipkinBridge()
  onTestFinished(() => bridge[Symbol.asyncDispose]())
  bridge.forwardTo(zipkin.url)
  const stream = await aStream()

  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: bridge.url, OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }
  await holdfast({ ...stream, env }, 'produce', '--file', 'data/model.json')

  const found = await eventually(async () => {
    const response = await fetch(`${zipkin.url}/api/v2/traces?serviceName=holdfast-producer`)
    const traces = (await response.json()) as ZipkinSpan[][]
    return traces.length > 0 && traces
  }, 'the trace')
  expect(found).toMatchObject([[{ name: `send ${stream.topic}`, kind: 'PRODUCER' }]])
  expect((await fetch(zipkin.pageOf('holdfast-producer'))).status).toBe(200)
})
