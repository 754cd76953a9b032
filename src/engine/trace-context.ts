import type { Header } from './record.ts'

/**
 * Header names of W3C Trace Context, which identify the trace that a record belongs to. They are the producer's, not ours: a dead
 * letter and a redriven record continue what they find.
 */
export const TRACE_HEADER = { parent: 'traceparent', state: 'tracestate' } as const

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/
const ZEROS = /^0+$/

/**
 * The trace id of a `traceparent`, or `undefined` when it is none: of another form, of the forbidden version `ff`, with
 * more than version `00` has, or with an id of zeros (W3C Trace Context, section 3.2).
 */
export function traceIdOf(traceparent: string): string | undefined {
  const [, version, traceId = '', spanId = '', more] = TRACEPARENT.exec(traceparent) ?? []
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  return ZEROS.test(traceId) || ZEROS.test(spanId) ? undefined : traceId
}

/** The flag `sampled`: its maker records the trace. @param traceparent one that has a trace id */
export function isSampled(traceparent: string): boolean {
  return (Number.parseInt(traceparent.slice(53, 55), 16) & 1) === 1
}

/**
 * These headers, with a `traceparent` at their end when they have none. One that they have stays byte for byte, also when
 * it cannot be read: it is the producer's.
 * @param fresh makes its text
 */
export function withTraceparent(headers: readonly Header[], fresh: () => string): readonly Header[] {
  if (headers.some(([name]) => name === TRACE_HEADER.parent)) return headers
  return [...headers, [TRACE_HEADER.parent, Buffer.from(fresh())]]
}

export function withoutTraceContext(headers: readonly Header[]): readonly Header[] {
  return headers.filter(([name]) => name !== TRACE_HEADER.parent && name !== TRACE_HEADER.state)
}
