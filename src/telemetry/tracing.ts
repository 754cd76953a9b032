import { context, propagation, ROOT_CONTEXT, SpanKind, type Tracer, trace } from '@opentelemetry/api'
import { HEADER } from '../engine/headers.ts'
import type { RequestTracing, SendTracing, Tracing } from '../engine/tracing.ts'
import { ATTRIBUTE, HTTP_METHODS, KAFKA, OPERATION, OTHER_METHOD, SCHEMA_URL } from './semconv.ts'
import { fail, failed } from './span-error.ts'
import { startBatchTrace, tracePage } from './tracing-batch.ts'
import { contextOf, isSampled, linkTo, withContext } from './tracing-headers.ts'

/** Paths that probes and scrapers request every few seconds; a trace of each would crowd out the others. */
const UNTRACED = /^\/(?:metrics|livez|readyz)(?:\?|$)/

/**
 * Follows orders by OpenTelemetry's API. Without an SDK that is started beside it (tracing-sdk.ts), that does nothing.
 * @param version of this service
 */
export function createTracing(version: string): Tracing {
  const tracer = trace.getTracerProvider().getTracer('holdfast', version, { schemaUrl: SCHEMA_URL })
  return {
    active() {
      const span = trace.getActiveSpan()?.spanContext()
      if (span === undefined || !trace.isSpanContextValid(span)) return undefined
      return { traceId: span.traceId, spanId: span.spanId, sampled: isSampled(span) }
    },
    batch: batch => startBatchTrace(tracer, batch),
    page: (page, work) => tracePage(tracer, page, work),
    ...sendTracing(tracer),
    ...requestTracing(tracer),
  }
}

function sendTracing(tracer: Tracer): SendTracing {
  return {
    /** A child of what is being done, a request say. A redriven record begins a new trace, linked to its first one. */
    async send({ topic, headers }, produce) {
      const redriven = headers.some(([name]) => name === HEADER.redriveId)
      const first = redriven ? contextOf(headers) : undefined
      const parent = redriven ? ROOT_CONTEXT : context.active()
      const options = {
        kind: SpanKind.PRODUCER,
        links: first === undefined ? [] : linkTo(first),
        attributes: { [ATTRIBUTE.system]: KAFKA, [ATTRIBUTE.destination]: topic, ...OPERATION.send },
      }
      const span = tracer.startSpan(`send ${topic}`, options, parent)
      try {
        const at = await produce(withContext(trace.setSpan(parent, span), headers))
        span.setAttribute(ATTRIBUTE.partition, String(at.partition)).setAttribute(ATTRIBUTE.offset, Number(at.offset))
        return at
      } catch (error) {
        failed(span, error)
        throw error
      } finally {
        span.end()
      }
    },
  }
}

function requestTracing(tracer: Tracer): RequestTracing {
  return {
    serve(request, answer) {
      if (UNTRACED.test(request.url ?? '')) return answer()
      const parent = propagation.extract(ROOT_CONTEXT, request.headers)
      const { method = '' } = request
      const known = HTTP_METHODS.has(method)
      const attributes = { [ATTRIBUTE.httpMethod]: known ? method : OTHER_METHOD, [ATTRIBUTE.urlScheme]: 'http' }
      const span = tracer.startSpan(nameOf(method), { kind: SpanKind.SERVER, attributes }, parent)
      const { traceId, spanId, traceFlags } = span.spanContext()
      request.headers.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
      context.with(trace.setSpan(parent, span), answer)
    },

    bind: listener => context.bind(context.active(), listener),

    served({ method, route, status }) {
      const span = trace.getActiveSpan()
      if (span === undefined) return
      span.setAttribute(ATTRIBUTE.httpStatus, status)
      // Others (`static`, `unmatched`) are words of ours, and no pattern.
      if (route.startsWith('/')) span.updateName(`${nameOf(method)} ${route}`).setAttribute(ATTRIBUTE.httpRoute, route)
      if (status >= 500) fail(span, String(status))
      span.end()
    },
  }
}

/** By the conventions, a span does not name a method that is not a known one. */
function nameOf(method: string): string {
  return HTTP_METHODS.has(method) ? method : 'HTTP'
}
