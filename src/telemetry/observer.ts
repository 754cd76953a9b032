import type { DeadLetter } from '../engine/dead-letter.ts'
import type { Fact, Observer } from '../engine/facts.ts'
import { OUTCOMES } from '../engine/outcome.ts'
import type { Progress } from '../engine/ports.ts'
import { originId, partitionKey, type TopicPartition } from '../engine/record.ts'
import { REDRIVE_CLOSINGS } from '../engine/settlement.ts'
import { NO_TRACING, type Tracing } from '../engine/tracing.ts'
import type { JobFact, JobObserver } from '../inbox/redrive-work.ts'
import type { ReadFact, ReadObserver } from '../read/read-side.ts'
import type { Keyless } from '../settings/access.ts'
import { MODULE_OF } from './fact-modules.ts'
import { createJobObserver } from './job-facts.ts'
import type { Logger } from './logger.ts'
import type { Metrics } from './metrics.ts'
import { createThrottle } from './throttle.ts'

export interface ObserverOptions {
  readonly logger: Logger
  readonly metrics: Metrics
  /** Default: requests are not traced. */
  readonly tracing?: Pick<Tracing, 'active' | 'served'>
  /** Wall clock in ms. */
  readonly now?: () => number
  /** Calls back after so many ms. */
  readonly later?: (ms: number, call: () => void) => void
}

/** Takes the facts of one stream: its name goes into their lines and metrics. */
export type StreamObserver = Observer & ReadObserver & JobObserver

/** Takes the facts of the process itself, and has an observer for each stream. */
export interface ProcessObserver extends StreamObserver, Disposable {
  of(stream: string): StreamObserver
}

/** Between two lines about the same trouble: an outage should be seen in the log, and should not fill it. */
const REPEAT_INTERVAL_MS = 5_000

type Level = 'debug' | 'info' | 'warn' | 'error'
type Fields = Readonly<Record<string, unknown>>
type Kind = (Fact | ReadFact | JobFact)['kind']

/** Facts that end one another share one throttled line, so that the last line written shows the latest state. */
const TOGETHER: Partial<Readonly<Record<Kind, string>>> = {
  breaker_opened: 'breaker',
  breaker_closed: 'breaker',
  coherence_established: 'coherence',
  coherence_lost: 'coherence',
}

/** What is trusted, for the line of the start. */
const KEYLESS: Readonly<Record<Keyless, string>> = {
  nobody: 'each reader and writer needs a key',
  loopback:
    'without a key, callers on this machine that came through no proxy may read and write (HTTP_TRUST_LOOPBACK=off ends that)',
  everyone: 'without a key, every client that reaches it may read and write (AUTH=off)',
}

/**
 * Turns each fact into its log line, its metrics and its span; no other part writes about a stream. Errors go to the
 * logger as they are: its serializer decides what of them may be logged.
 */
export function createObserver(options: ObserverOptions): ProcessObserver {
  const { logger, metrics, tracing = NO_TRACING } = options
  const now = options.now ?? Date.now
  const throttle = createThrottle(REPEAT_INTERVAL_MS, options.later)

  const tellsDebug = (event: Kind) => logger.of(MODULE_OF[event]).isLevelEnabled('debug')

  /** @param name of the stream that the facts are about; `undefined`: the process */
  function observerOf(name: string | undefined): StreamObserver {
    const about = name === undefined ? {} : { stream: name }
    const stream = name ?? ''

    const log = (level: Level, event: Kind, fields: Fields, text: string) =>
      logger.of(MODULE_OF[event])[level]({ event, ...about, ...fields }, text)

    /**
     * For what may come many times a second: one line for each stream, kind of fact, key and interval, with how many were held back.
     */
    function logRepeated(key: string, level: Level, event: Kind, fields: Fields, text: string): void {
      // Taken now, because another request may be current when the line is written.
      const trace = tracing.active()
      const whole = { trace_id: trace?.traceId, span_id: trace?.spanId, ...fields }
      throttle.pass(`${stream} ${TOGETHER[event] ?? event} ${key}`, held => {
        if (held === 0) log(level, event, whole, text)
        // In the past tense: what it reports may be over.
        else
          log(level, event, { ...whole, held_back: held }, `${text} (${held} times more in ${REPEAT_INTERVAL_MS} ms)`)
      })
    }

    const jobs = createJobObserver({ stream, metrics, log, logRepeated })

    function observe(fact: Fact | ReadFact | JobFact): void {
      switch (fact.kind) {
        case 'start_waiting': {
          const fields = {
            what: fact.what,
            attempt: fact.attempt,
            delay_ms: fact.delayMs,
            error: fact.error,
          }
          logRepeated(fact.what, 'warn', fact.kind, fields, `waiting for ${fact.what}`)
          break
        }

        case 'migrations_missing': {
          const text = 'migrations of the project are not applied: holdfast migrate up'
          log('warn', fact.kind, { migrations: fact.names }, text)
          break
        }

        case 'kafka_warning':
          logRepeated('', 'warn', fact.kind, { reason: fact.text }, 'the Kafka client complains')
          break

        case 'stream_started':
          log('info', fact.kind, { topic: fact.topic, group_id: fact.groupId }, 'stream started')
          break

        case 'stream_stopped':
          if (fact.error === undefined) log('info', fact.kind, {}, 'stream stopped')
          else log('error', fact.kind, { error: fact.error }, 'stream failed')
          break

        case 'stream_halted': {
          const fields = { attempt: fact.attempt, delay_ms: fact.delayMs, error: fact.error }
          log(
            'error',
            fact.kind,
            fields,
            `stream halted: it is tried again in ${Math.ceil(fact.delayMs / 1000)} s, the others go on`,
          )
          break
        }

        case 'assigned':
          metrics.count('rebalances_total', { stream }, 1)
          for (const { topic, partition } of fact.positions) {
            for (const outcome of OUTCOMES) metrics.count('records_total', { stream, topic, partition, outcome }, 0)
            metrics.count('expired_records_total', { stream, topic, partition }, 0)
          }
          log('info', fact.kind, { positions: positionsOf(fact.positions) }, 'partitions assigned')
          break

        case 'revoked':
          metrics.count('rebalances_total', { stream }, 1)
          log(
            fact.lost ? 'warn' : 'info',
            fact.kind,
            { partitions: fact.partitions.map(where), lost: fact.lost, drained: fact.drained },
            fact.lost ? 'partitions lost' : 'partitions revoked',
          )
          break

        case 'batch_settled': {
          const { topic, partition } = fact.partition
          for (const outcome of OUTCOMES) {
            metrics.count('records_total', { stream, topic, partition, outcome }, fact.counts[outcome])
          }
          for (const result of fact.closings === undefined ? [] : REDRIVE_CLOSINGS) {
            metrics.count('replay_records_total', { stream, result }, fact.closings?.[result] ?? 0)
          }
          // Offsets without a record were passed over: no batch of records, which these figures are of.
          if (fact.records === 0) break
          metrics.observe('batch_records', { stream }, fact.records)
          metrics.observe('batch_duration_seconds', { stream, stage: 'validate' }, fact.stageSeconds.validate)
          metrics.observe('batch_duration_seconds', { stream, stage: 'divert' }, fact.stageSeconds.divert)
          metrics.observe('batch_duration_seconds', { stream, stage: 'write' }, fact.stageSeconds.write)
          if (!tellsDebug(fact.kind)) break
          const fields = { ...where(fact.partition), to: String(fact.to), records: fact.records, ...fact.counts }
          log('debug', fact.kind, fields, 'batch settled')
          break
        }

        case 'dead_lettered': {
          const { rejection } = fact.deadLetter
          metrics.count('dead_letters_total', { stream, reason: rejection.reason }, 1)
          logRepeated(rejection.reason, 'warn', fact.kind, deadLetterFields(fact.deadLetter), 'record set aside')
          break
        }

        case 'committed': {
          metrics.observe('batch_duration_seconds', { stream, stage: 'commit' }, fact.seconds)
          for (const { oldestTimestampMs, trace } of fact.batches) {
            trace.committed(fact.seconds)
            if (oldestTimestampMs === undefined) continue
            // A producer's clock may be ahead of ours.
            const seconds = Math.max(0, now() - oldestTimestampMs) / 1000
            trace.run(() => metrics.observe('end_to_end_latency_seconds', { stream }, seconds))
          }
          if (!tellsDebug(fact.kind)) break
          log('debug', fact.kind, { positions: positionsOf(fact.positions) }, 'offsets committed')
          break
        }

        case 'commit_failed': {
          for (const { trace } of fact.batches) trace.committed(fact.seconds, { code: fact.code })
          metrics.count('commit_failures_total', { stream }, 1)
          const fields = { positions: positionsOf(fact.positions), code: fact.code, reason: fact.message }
          logRepeated(String(fact.code), 'warn', fact.kind, fields, 'commit failed')
          break
        }

        case 'retry': {
          metrics.count('retries_total', { stream, class: fact.dependency }, 1)
          const fields = {
            dependency: fact.dependency,
            attempt: fact.attempt,
            delay_ms: fact.delayMs,
            ...(fact.partition === undefined ? {} : where(fact.partition)),
            error: fact.error,
          }
          logRepeated(fact.dependency, 'warn', fact.kind, fields, 'trying again')
          break
        }

        case 'breaker_opened': {
          const fields = { dependency: fact.dependency, error: fact.error }
          logRepeated(fact.dependency, 'warn', fact.kind, fields, `${fact.dependency} is away: the stream waits`)
          break
        }

        case 'breaker_closed': {
          const fields = { dependency: fact.dependency, open_seconds: fact.openSeconds }
          logRepeated(fact.dependency, 'info', fact.kind, fields, `${fact.dependency} is back: the stream goes on`)
          break
        }

        case 'paused':
        case 'resumed': {
          // Backpressure comes and goes many times a second, and is no trouble. An operator is waited for until one acts.
          const because = fact.kind === 'paused' ? fact.because : undefined
          const level = fact.reason === 'backpressure' ? 'debug' : because === undefined ? 'info' : 'warn'
          const fields = {
            ...where(fact.partition),
            reason: fact.reason,
            ...(because === undefined ? {} : { because }),
          }
          log(level, fact.kind, fields, `partition ${fact.kind}`)
          break
        }

        case 'ownership_lost': {
          const fields = { ...where(fact.partition), from: String(fact.from) }
          logRepeated(
            partitionKey(fact.partition),
            'warn',
            fact.kind,
            fields,
            'another consumer has gone on with the partition: dropped what was in hand',
          )
          break
        }

        case 'progress_set_back': {
          const fields = { ...where(fact.partition), from: String(fact.from) }
          log(
            'warn',
            fact.kind,
            fields,
            'the database is behind what it had settled, as an older copy is: reading again',
          )
          break
        }

        case 'progress_removed': {
          const fields = { ...where(fact.partition), from: String(fact.from) }
          const key = partitionKey(fact.partition)
          const text = `the progress row of ${key} was removed from the database, or the database is an older copy: reading again from the lowest offset`
          logRepeated(key, 'error', fact.kind, fields, text)
          break
        }

        case 'progress_missing': {
          const fields = { ...where(fact.partition), from: String(fact.from), committed: String(fact.committed) }
          const text =
            'no progress row, although the group has committed an offset to Kafka: the database may be an older copy, so reading starts at the lowest offset; to take a group over from another application, set KAFKA_START_AT=committed'
          log('warn', fact.kind, fields, text)
          break
        }

        case 'position_unknown': {
          const fields = { ...where(fact.partition), error: fact.error }
          const text = 'Kafka does not answer for this partition: it waits, the others go on'
          logRepeated(partitionKey(fact.partition), 'warn', fact.kind, fields, text)
          break
        }

        case 'expired': {
          const lost = Number(fact.to - fact.from)
          metrics.count('expired_records_total', { stream, ...where(fact.partition) }, lost)
          const fields = { ...where(fact.partition), from: String(fact.from), to: String(fact.to), records: lost }
          log('error', fact.kind, fields, 'retention removed records before they were read')
          break
        }

        case 'partition_halted': {
          const fields = { ...where(fact.partition), error: fact.error }
          log('error', fact.kind, fields, 'partition halted: it waits for an operator')
          break
        }

        case 'figures_unknown':
          logRepeated(
            '',
            'warn',
            fact.kind,
            { error: fact.error },
            'dead letters could not be counted: no metrics of them',
          )
          break

        case 'copy_unavailable': {
          const text = 'COPY cannot write the tables: new keys go by the upsert, which costs Postgres twice as much'
          log('warn', fact.kind, { reason: fact.because }, text)
          break
        }

        case 'unusual_record': {
          metrics.count('unusual_records_total', { stream, kind: fact.what }, 1)
          if (!tellsDebug(fact.kind)) break
          const fields = { ...where(fact.partition), offset: String(fact.offset), what: fact.what }
          log('debug', fact.kind, fields, 'valid, yet unusual record')
          break
        }

        case 'http_started':
          log(
            'info',
            fact.kind,
            { url: fact.url, keyless: fact.keyless, names: fact.names },
            `listening on ${fact.url} under the names ${fact.names}; ${KEYLESS[fact.keyless]}`,
          )
          break

        case 'metrics_started':
          log('info', fact.kind, { url: fact.url }, `metrics on ${fact.url}/metrics`)
          break

        case 'http_served': {
          const { method, route, status, seconds } = fact
          tracing.served(fact)
          metrics.observe('http_request_duration_seconds', { method, route, status }, seconds)
          if (!tellsDebug(fact.kind)) break
          log('debug', fact.kind, { method, route, status, seconds }, 'request served')
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
          logRepeated(reason, level, fact.kind, fields, `request refused: ${reason}`)
          break
        }

        case 'http_failed': {
          const fields = { route: fact.route, trace_id: fact.traceId, error: fact.error }
          logRepeated(fact.route, 'error', fact.kind, fields, 'request failed')
          break
        }

        case 'cache_warmed': {
          const fields = { entries: fact.entries, bytes: fact.bytes, seconds: fact.seconds }
          log('info', fact.kind, fields, 'cache warmed')
          break
        }

        case 'cache_warm_failed':
          log('warn', fact.kind, { error: fact.error }, 'cache not warmed: it fills as it is used')
          break

        case 'coherence_established':
          logRepeated('', 'info', fact.kind, {}, 'listening for what other replicas write')
          break

        case 'coherence_lost': {
          const fields = { attempt: fact.attempt, delay_ms: fact.delayMs, error: fact.error }
          const text = 'not listening for what other replicas write: answers from the cache are confirmed first'
          logRepeated('', 'warn', fact.kind, fields, text)
          break
        }

        default:
          jobs.observe(fact)
      }
    }

    return { observe }
  }

  const streams = new Map<string, StreamObserver>()
  return {
    observe: observerOf(undefined).observe,
    of(stream) {
      const known = streams.get(stream) ?? observerOf(stream)
      streams.set(stream, known)
      return known
    },
    [Symbol.dispose]: () => throttle.flush(),
  }
}

function where({ topic, partition }: TopicPartition): { topic: string; partition: number } {
  return { topic, partition }
}

function positionsOf(positions: readonly Progress[]): Fields[] {
  return positions.map(position => ({ ...where(position), next_offset: String(position.nextOffset) }))
}

/** Coordinates and verdict; nothing of what the record holds. */
function deadLetterFields({ record, origin, rejection, attempts, redriveCount }: DeadLetter): Fields {
  return {
    ...where(record),
    offset: String(record.offset),
    id: originId(origin),
    reason: rejection.reason,
    code: rejection.error,
    pointer: rejection.pointer,
    attempts,
    replay_count: redriveCount,
  }
}
