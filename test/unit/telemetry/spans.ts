import { context, propagation, trace } from '@opentelemetry/api'
import { NodeSDK } from '@opentelemetry/sdk-node'
import { createTracing } from '#src/telemetry/tracing.ts'

type Processor = NonNullable<NonNullable<ConstructorParameters<typeof NodeSDK>[0]>['spanProcessors']>[number]
export type EndedSpan = Parameters<Processor['onEnd']>[0]

/**
 * Tracing over a real SDK whose spans stay here. One for each test file: OpenTelemetry's API is global, and keeps the first that is given to it. So
 * that of another file, which ran in this process before, is taken away.
 */
export function tracingInMemory() {
  for (const api of [trace, context, propagation]) api.disable()
  const spans: EndedSpan[] = []
  const done = async () => {}
  const keep: Processor = { onStart() {}, onEnd: span => spans.push(span), forceFlush: done, shutdown: done }
  const sdk = new NodeSDK({
    spanProcessors: [keep],
    metricReaders: [],
    logRecordProcessors: [],
    autoDetectResources: false,
  })
  sdk.start()
  const named = (name: string) => spans.filter(span => span.name === name)
  return {
    tracing: createTracing('1.2.3'),
    spans,
    named,
    /** The only one of that name. */
    only(name: string): EndedSpan {
      const [span, ...more] = named(name)
      if (span === undefined || more.length > 0)
        throw new Error(`${more.length + (span ? 1 : 0)} spans are called ${name}`)
      return span
    },
  }
}
