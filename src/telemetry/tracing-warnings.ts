import type { Logger } from './logger.ts'
import { createThrottle } from './throttle.ts'

/** Receives what the SDK reports about itself: complaints, and with OTEL_LOG_LEVEL=info or finer also what it does. */
export type Tell = (level: 'warn' | 'debug', text: string) => void

/** A collector that is away is complained of with each export. */
const REPEAT_INTERVAL_MS = 60_000

/** It exports for all: that a trace is under way meanwhile means nothing. */
const NO_TRACE = { trace_id: undefined, span_id: undefined }

/** Errors of the trace exporter become log lines, at a limited rate, because they do not affect the stream. */
export function tellOfTracing(logger: Logger): Tell {
  const log = logger.of('tracing')
  const throttle = createThrottle(REPEAT_INTERVAL_MS)
  return (level, text) => {
    if (level === 'debug') return log.debug({ ...NO_TRACE, event: 'tracing_told', reason: text }, 'the exporter says')
    // The same but for its figures is the same.
    throttle.pass(text.replace(/\d+/g, '').slice(0, 60), heldBack => {
      const fields = {
        ...NO_TRACE,
        event: 'tracing_warning',
        reason: text,
        ...(heldBack === 0 ? {} : { held_back: heldBack }),
      }
      log.warn(fields, `traces are not exported as they should be${heldBack === 0 ? '' : ', still'}`)
    })
  }
}
