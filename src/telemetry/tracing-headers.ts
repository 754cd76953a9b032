import {
  type Context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  type TextMapGetter,
  TraceFlags,
  trace,
} from '@opentelemetry/api'
import type { Header } from '../engine/record.ts'
import { withoutTraceContext } from '../engine/trace-context.ts'

/** A header that stands twice is ambiguous, and is ignored. */
const getter: TextMapGetter<readonly Header[]> = {
  keys: headers => headers.map(([name]) => name),
  get(headers, key) {
    const found = headers.filter(([name]) => name === key)
    return found.length === 1 ? found[0]?.[1].toString('utf8') : undefined
  },
}

/** The trace context that a record's headers carry, in the form that `OTEL_PROPAGATORS` names. What is bad is ignored. */
export function contextOf(headers: readonly Header[]): Context | undefined {
  // Most records of most producers carry none.
  if (headers.length === 0) return undefined
  const found = propagation.extract(ROOT_CONTEXT, headers, getter)
  const span = trace.getSpanContext(found)
  return span !== undefined && trace.isSpanContextValid(span) ? found : undefined
}

/** The headers with this trace context instead of the one that they carry. */
export function withContext(here: Context, headers: readonly Header[]): readonly Header[] {
  const added: Header[] = []
  propagation.inject(here, added, { set: (carrier, name, value) => carrier.push([name, Buffer.from(value)]) })
  // Tracing is suppressed, or OTEL_PROPAGATORS is none: they stay as they are.
  if (added.length === 0) return headers
  const names = new Set(added.map(([name]) => name))
  return [...withoutTraceContext(headers).filter(([name]) => !names.has(name)), ...added]
}

export function linkTo(there: Context): Link[] {
  const span = trace.getSpanContext(there)
  return span === undefined ? [] : [{ context: span }]
}

export function isSampled(span: SpanContext | undefined): boolean {
  return span !== undefined && (span.traceFlags & TraceFlags.SAMPLED) !== 0
}
