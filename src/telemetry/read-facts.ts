import type { Tracing } from '../engine/tracing.ts'
import type { ReadFact, ReadObserver } from '../read/read-side.ts'
import type { Keyless } from '../settings/access.ts'
import type { FactLog } from './fact-log.ts'
import type { Metrics } from './metrics.ts'

export interface ReadFactTools {
  readonly metrics: Metrics
  readonly log: FactLog
  readonly tracing: Pick<Tracing, 'served'>
}

/** What is trusted, for the line of the start. */
const KEYLESS: Readonly<Record<Keyless, string>> = {
  nobody: 'each reader and writer needs a key',
  loopback:
    'without a key, callers on this machine that came through no proxy may read and write (HTTP_TRUST_LOOPBACK=off ends that)',
  everyone: 'without a key, every client that reaches it may read and write (AUTH=off)',
}

/** Log lines, metrics and spans of the API and its cache. */
export function createReadObserver({ metrics, log, tracing }: ReadFactTools): ReadObserver {
  function observe(fact: ReadFact): void {
    switch (fact.kind) {
      case 'http_started':
        log.line(
          'info',
          fact.kind,
          { url: fact.url, keyless: fact.keyless, names: fact.names },
          `listening on ${fact.url} under the names ${fact.names}; ${KEYLESS[fact.keyless]}`,
        )
        break

      case 'metrics_started':
        log.line('info', fact.kind, { url: fact.url }, `metrics on ${fact.url}/metrics`)
        break

      case 'http_served': {
        const { method, route, status, seconds } = fact
        tracing.served(fact)
        metrics.observe('http_request_duration_seconds', { method, route, status }, seconds)
        if (!log.tells('debug', fact.kind)) break
        log.line('debug', fact.kind, { method, route, status, seconds }, 'request served')
        break
      }

      case 'http_refused': {
        const { reason, address } = fact
        metrics.count('http_refusals_total', { reason }, 1)
        // A browser asks before it is given a key, and connections come and go; all else may be an attack.
        const level = reason === 'key_required' || reason === 'connection_idle' ? 'debug' : 'warn'
        // An address identifies a person: it is logged only if the caller must be blocked.
        const isGuessing = reason === 'bad_key' || reason === 'too_many_requests'
        const fields = isGuessing ? { reason, address } : { reason }
        log.repeated(reason, level, fact.kind, fields, `request refused: ${reason}`)
        break
      }

      case 'http_failed': {
        const fields = { route: fact.route, trace_id: fact.traceId, error: fact.error }
        log.repeated(fact.route, 'error', fact.kind, fields, 'request failed')
        break
      }

      case 'cache_warmed': {
        const fields = { entries: fact.entries, bytes: fact.bytes, seconds: fact.seconds }
        log.line('info', fact.kind, fields, 'cache warmed')
        break
      }

      case 'cache_warm_failed':
        log.line('warn', fact.kind, { error: fact.error }, 'cache not warmed: it fills as it is used')
        break

      case 'coherence_established':
        log.repeated('', 'info', fact.kind, {}, 'listening for what other replicas write')
        break

      case 'coherence_lost': {
        const fields = { attempt: fact.attempt, delay_ms: fact.delayMs, error: fact.error }
        const text = 'not listening for what other replicas write: answers from the cache are confirmed first'
        log.repeated('', 'warn', fact.kind, fields, text)
        break
      }

      default:
        fact satisfies never
    }
  }
  return { observe }
}
