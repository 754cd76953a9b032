import { type Span, SpanStatusCode } from '@opentelemetry/api'
import { StreamError } from '../engine/errors.ts'
import { ATTRIBUTE } from './semconv.ts'

/** @param type of a closed set: what a search groups by */
export function fail(span: Span, type: string): void {
  // No message: those of a library may quote an order.
  span.setStatus({ code: SpanStatusCode.ERROR }).setAttribute(ATTRIBUTE.errorType, type)
}

export function failed(span: Span, error: unknown): void {
  fail(span, error instanceof StreamError ? error.code : error instanceof Error ? error.name : typeof error)
}
