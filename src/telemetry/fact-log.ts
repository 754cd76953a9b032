import type { Tracing } from '../engine/tracing.ts'
import { type AnyFact, MODULE_OF } from './fact-modules.ts'
import type { Logger } from './logger.ts'
import type { Throttle } from './throttle.ts'

export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Fields = Readonly<Record<string, unknown>>
export type FactKind = AnyFact['kind']

/** Log lines of facts, each on the logger of its module, with its kind as the event. */
export interface FactLog {
  line(level: Level, event: FactKind, fields: Fields, text: string): void
  /** For what may come many times a second: one line for each stream, kind of fact, key and interval, with how many were held back. */
  repeated(key: string, level: Level, event: FactKind, fields: Fields, text: string): void
  /** Whether a line of this level would be written: fields that cost something are made only then. */
  tells(level: Level, event: FactKind): boolean
}

/** Between two lines about the same trouble: an outage should be seen in the log, and should not fill it. */
export const REPEAT_INTERVAL_MS = 5_000

/** Facts that end one another share one throttled line, so that the last line written shows the latest state. */
const TOGETHER: Partial<Readonly<Record<FactKind, string>>> = {
  breaker_opened: 'breaker',
  breaker_closed: 'breaker',
  coherence_established: 'coherence',
  coherence_lost: 'coherence',
}

/** @param stream that the facts are about; `undefined`: the process */
export function createFactLog(
  {
    logger,
    throttle,
    tracing,
  }: { readonly logger: Logger; readonly throttle: Throttle; readonly tracing: Pick<Tracing, 'active'> },
  stream: string | undefined,
): FactLog {
  const about = stream === undefined ? {} : { stream }

  function line(level: Level, event: FactKind, fields: Fields, text: string): void {
    logger.of(MODULE_OF[event])[level]({ event, ...about, ...fields }, text)
  }

  return {
    line,
    repeated(key, level, event, fields, text) {
      // Taken now, because another request may be current when the line is written.
      const trace = tracing.active()
      const whole = { trace_id: trace?.traceId, span_id: trace?.spanId, ...fields }
      throttle.pass(`${stream ?? ''} ${TOGETHER[event] ?? event} ${key}`, held => {
        if (held === 0) line(level, event, whole, text)
        // In the past tense: what it reports may be over.
        else
          line(level, event, { ...whole, held_back: held }, `${text} (${held} times more in ${REPEAT_INTERVAL_MS} ms)`)
      })
    },
    tells: (level, event) => logger.of(MODULE_OF[event]).isLevelEnabled(level),
  }
}
