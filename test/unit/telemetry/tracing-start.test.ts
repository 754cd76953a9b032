import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { tracingDefaults, tracingIsWanted } from '#src/telemetry/tracing-start.ts'
import { COMPILED } from '../../support/service.ts'

const ENDPOINT = 'http://127.0.0.1:4318'
const SERVICE = { name: 'holdfast', version: '1.2.3' }
const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

describe('tracing', () => {
  it.each([
    [true, { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT }],
    [true, { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: ENDPOINT, OTEL_SDK_DISABLED: 'false' }],
    [false, {}],
    [false, { OTEL_EXPORTER_OTLP_ENDPOINT: '', OTEL_SERVICE_NAME: 'x' }],
    [false, { OTEL_EXPORTER_OTLP_METRICS_ENDPOINT: ENDPOINT }],
    [false, { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_SDK_DISABLED: 'True' }],
    [false, { OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_TRACES_EXPORTER: 'none' }],
  ])('is wanted (%s) with %o', (wanted, env) => {
    expect(tracingIsWanted(env)).toBe(wanted)
  })

  it('has a name and a version, and exports nothing but traces, unless somebody says otherwise', () => {
    expect(tracingDefaults({}, SERVICE)).toMatchObject({
      OTEL_SERVICE_NAME: 'holdfast',
      OTEL_RESOURCE_ATTRIBUTES: 'service.version=1.2.3',
      OTEL_METRICS_EXPORTER: 'none',
      OTEL_LOGS_EXPORTER: 'none',
    })
    const given = {
      OTEL_RESOURCE_ATTRIBUTES: 'team=a, service.name=mine, service.version=9',
      OTEL_METRICS_EXPORTER: 'otlp',
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_NODE_RESOURCE_DETECTORS: 'all',
      OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '9',
    }
    expect(tracingDefaults(given, SERVICE)).toEqual({})
    expect(tracingDefaults({ OTEL_RESOURCE_ATTRIBUTES: 'team=a' }, SERVICE).OTEL_RESOURCE_ATTRIBUTES).toBe(
      'team=a,service.version=1.2.3',
    )
  })
})

/** Packages of OpenTelemetry's SDK that the service has loaded once it could start. (prom-client brings the API.) */
async function loadedWith(env: Readonly<Record<string, string>>): Promise<string[]> {
  const program = `
    const { startTracing } = await import('#src/telemetry/tracing-start.ts')
    const { stop } = await startTracing(process.env, { name: 'holdfast', version: '1', statements: true }, (_level, text) => console.error(text))
    await import('#src/main.ts')
    await import('#src/app.ts')
    await stop()`
  const { stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', './test/support/loaded-modules.mjs', '--input-type=module', '--eval', program],
    { cwd: ROOT, env: { ...COMPILED, ...env } },
  )
  return (/^loaded: (.*)$/m.exec(stderr)?.[1] ?? 'nothing was told')
    .split(' ')
    .filter(name => !['', '@opentelemetry/api'].includes(name))
}

describe("of OpenTelemetry's SDK", () => {
  it('nothing is loaded without an endpoint, or when it is disabled', async () => {
    expect(await loadedWith({})).toEqual([])
    expect(await loadedWith({ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, OTEL_SDK_DISABLED: 'true' })).toEqual([])
  })

  it('what is needed is loaded with one', async () => {
    const loaded = await loadedWith({ OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT })
    expect(loaded).toContain('@opentelemetry/sdk-node')
    expect(loaded).toContain('@opentelemetry/instrumentation-pg')
  })

  it('what it complains of is told, but that a container has no id of its machine', async () => {
    const program = `
      const { startTracing } = await import('#src/telemetry/tracing-start.ts')
      const { diag } = await import('@opentelemetry/api')
      const { stop } = await startTracing(process.env, { name: 'holdfast', version: '1', statements: false }, (_level, text) => console.log(text))
      diag.warn('dropping invalid resource attribute value for key "host.id"')
      diag.warn('dropping invalid resource attribute value for key "team"')
      await stop()`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
      cwd: ROOT,
      env: { ...COMPILED, OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT },
    })
    expect(stdout).toBe('dropping invalid resource attribute value for key "team"\n')
  })
})

/** Whether records are sampled that a process sends: one that begins a trace, and one of a request whose caller sampled its own. */
async function sampledWith(
  env: Readonly<Record<string, string>>,
): Promise<readonly [begun: boolean, continued: boolean]> {
  const program = `
    const { startTracing } = await import('#src/telemetry/tracing-start.ts')
    const { tracing, stop } = await startTracing(process.env, { name: 'holdfast', version: '1', statements: false }, () => {})
    const isSampled = async () => {
      let flags
      await tracing.send({ topic: 'orders', headers: [] }, async headers => {
        flags = new Map(headers).get('traceparent').toString().slice(-2)
        return { partition: 0, offset: 0n }
      })
      return flags === '01'
    }
    const begun = await isSampled()
    const headers = { traceparent: '00-' + 'a'.repeat(32) + '-' + 'b'.repeat(16) + '-01' }
    const continued = await new Promise(answer => tracing.serve({ method: 'POST', url: '/', headers }, () => isSampled().then(answer)))
    console.log(JSON.stringify([begun, continued]))
    process.exit()`
  const options = { cwd: ROOT, env: { ...COMPILED, OTEL_EXPORTER_OTLP_ENDPOINT: ENDPOINT, ...env } }
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], options)
  return JSON.parse(stdout)
}

describe('what is followed', () => {
  it.each([
    ['all of it, where nothing is said', {}, [true, true]],
    ['nothing', { OTEL_TRACES_SAMPLER: 'always_off' }, [false, false]],
    [
      'a share, and what others follow',
      { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' },
      [false, true],
    ],
  ])('is for the variables of OpenTelemetry to say: %s', async (_, env, sampled) => {
    expect(await sampledWith(env)).toEqual(sampled)
  })
})
