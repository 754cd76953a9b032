import { afterEach, expect, it, vi } from 'vitest'
import { NO_TRACING } from '#src/engine/tracing.ts'
import { openDemoTraces } from '#tools/demo/traces.ts'

const variables = new Set(Object.keys(process.env))
afterEach(() => {
  vi.unstubAllEnvs()
  // The demo sets those that are not there, for all of its process; other tests run in this one.
  for (const name of Object.keys(process.env)) if (!variables.has(name)) delete process.env[name]
})

it('leaves traces out when nobody wants them, or the environment says so', async () => {
  for (const [wanted, disabled] of [
    [false, ''],
    [true, 'true'],
  ] as const) {
    vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', '')
    vi.stubEnv('OTEL_SDK_DISABLED', disabled)
    await using traces = await openDemoTraces(wanted, 200)
    expect(traces.tracing).toBe(NO_TRACING)
    expect(await traces.startViewer(() => {})).toBeUndefined()
    expect(process.env.OTEL_EXPORTER_OTLP_ENDPOINT).toBe('')
  }
})

it('sends them to the collector of the environment, where there is one, and starts no viewer', async () => {
  vi.stubEnv('OTEL_EXPORTER_OTLP_ENDPOINT', 'http://127.0.0.1:1')
  await using traces = await openDemoTraces(true, 200)
  expect(traces.tracing).not.toBe(NO_TRACING)
  expect(await traces.startViewer(() => {})).toBeUndefined()
  expect(process.env.OTEL_EXPORTER_OTLP_ENDPOINT).toBe('http://127.0.0.1:1')
})

it('follows some orders a second, however many there are, and goes on when there can be no viewer', async () => {
  for (const name of ['ENDPOINT', 'PROTOCOL']) vi.stubEnv(`OTEL_EXPORTER_OTLP_${name}`, '')
  vi.stubEnv('OTEL_TRACES_SAMPLER_ARG', '')
  // No Java here, so no viewer.
  vi.stubEnv('PATH', '/nowhere')
  vi.stubEnv('JAVA_HOME', '')
  const said: string[] = []
  await using traces = await openDemoTraces(true, 400)
  expect(process.env.OTEL_EXPORTER_OTLP_ENDPOINT).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect(process.env.OTEL_TRACES_SAMPLER_ARG).toBe('0.05')
  expect(await traces.startViewer(line => said.push(line))).toBeUndefined()
  expect(said).toEqual([expect.stringMatching(/^no viewer of traces: .*Java/)])
})
