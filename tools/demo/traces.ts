import type { Logger } from '../../src/telemetry/logger.ts'
import { type RunningTracing, startTracing, tracingIsWanted } from '../../src/telemetry/tracing-start.ts'
import { type Tell, tellOfTracing } from '../../src/telemetry/tracing-warnings.ts'
import { VERSION } from '../../src/version.ts'
import { startZipkin } from './servers/zipkin.ts'
import { startZipkinBridge, type ZipkinBridge } from './servers/zipkin-bridge.ts'

const SERVICE = { name: 'holdfast', version: VERSION, statements: true }
/** Orders a second that are followed: enough to find one, few enough for a small machine. */
const FOLLOWED_PER_SECOND = 20

/** The demo's traces: where they go, and who shows them. */
export interface DemoTraces extends RunningTracing {
  /**
   * Starts the viewer; the first time it is fetched. The demo need not wait for it, and goes on without it.
   * @returns its page, or `undefined` when there is none: `say` was then called with the reason
   */
  startViewer(say: (line: string) => void): Promise<string | undefined>
  /** Sends errors of the exporter to this log from now on. */
  logTo(logger: Logger): void
}

/**
 * To be opened before whatever imports `pg`. Traces go to the collector that the environment names (`--use-env` leaves it
 * there), else to a viewer of the demo's own, through a bridge in this process.
 * @param wanted whether there should be such a viewer
 * @param ratePerSecond of the generator; `undefined`: as fast as it can
 */
export async function openDemoTraces(wanted: boolean, ratePerSecond: number | undefined): Promise<DemoTraces> {
  let log: Tell = () => {}
  const tell: Tell = (level, text) => log(level, text)
  const logTo = (logger: Logger) => {
    log = tellOfTracing(logger)
  }
  // No viewer is started when the environment names a collector, which has its own viewer, or when traces are disabled.
  const bridged = { ...process.env, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1' }
  if (!wanted || tracingIsWanted(process.env) || !tracingIsWanted(bridged)) {
    return { ...(await startTracing(process.env, SERVICE, tell)), logTo, startViewer: async () => undefined }
  }

  const bridge = await startZipkinBridge()
  Object.assign(process.env, settingsFor(bridge, ratePerSecond))
  const running = await startTracing(process.env, SERVICE, tell)
  const stopping = new AbortController()
  let viewer: ReturnType<typeof startZipkin> | undefined

  async function startViewer(say: (line: string) => void): Promise<string | undefined> {
    viewer = startZipkin({ log: say, signal: stopping.signal })
    try {
      const { url, pageOf } = await viewer
      bridge.forwardTo(url)
      return pageOf(SERVICE.name)
    } catch (error) {
      if (!stopping.signal.aborted)
        say(`no viewer of traces: ${error instanceof Error ? error.message : String(error)}`)
      return undefined
    }
  }

  async function stop(): Promise<void> {
    stopping.abort()
    await running.stop()
    const started = await viewer?.catch(() => undefined)
    await started?.[Symbol.asyncDispose]()
    await bridge[Symbol.asyncDispose]()
  }
  return { tracing: running.tracing, logTo, startViewer, stop, [Symbol.asyncDispose]: stop }
}

/** Sets defaults only: values that the user has set are kept. */
function settingsFor(
  { url, traceUrl }: Pick<ZipkinBridge, 'url' | 'traceUrl'>,
  ratePerSecond = Number.POSITIVE_INFINITY,
): Record<string, string> {
  const ratio = Math.max(0.002, Math.min(1, FOLLOWED_PER_SECOND / ratePerSecond))
  const settings = {
    OTEL_EXPORTER_OTLP_ENDPOINT: url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
    OTEL_TRACES_SAMPLER_ARG: String(ratio),
    // The user waits for the viewer.
    OTEL_BSP_SCHEDULE_DELAY: '500',
    OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT: '256',
    TRACE_URL: traceUrl,
  }
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !process.env[name]))
}
