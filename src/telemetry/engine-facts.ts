import type { DeadLetter } from '../engine/dead-letter.ts'
import type { Fact, Observer } from '../engine/facts.ts'
import { OUTCOMES } from '../engine/outcome.ts'
import type { Progress } from '../engine/ports.ts'
import { originId, partitionKey, type TopicPartition } from '../engine/record.ts'
import { REDRIVE_CLOSINGS } from '../engine/settlement.ts'
import type { FactLog, Fields } from './fact-log.ts'
import type { Metrics } from './metrics.ts'

export interface StreamFactTools {
  readonly stream: string
  readonly metrics: Metrics
  readonly log: FactLog
  /** Wall clock in ms. */
  readonly now: () => number
}

/** Log lines, metrics and spans of a stream: from the start of its consumer to the commit. */
export function createEngineObserver({ stream, metrics, log, now }: StreamFactTools): Observer {
  function observe(fact: Fact): void {
    switch (fact.kind) {
      case 'start_waiting': {
        const fields = {
          what: fact.what,
          attempt: fact.attempt,
          delay_ms: fact.delayMs,
          error: fact.error,
        }
        log.repeated(fact.what, 'warn', fact.kind, fields, `waiting for ${fact.what}`)
        break
      }

      case 'migrations_missing': {
        const text = 'migrations of the project are not applied: holdfast migrate up'
        log.line('warn', fact.kind, { migrations: fact.names }, text)
        break
      }

      case 'kafka_warning':
        log.repeated('', 'warn', fact.kind, { reason: fact.text }, 'the Kafka client complains')
        break

      case 'secrets_read': {
        const later = fact.atNextStart.length > 0
        const fields = { settings: fact.changed, ...(later ? { at_next_start: fact.atNextStart } : {}) }
        const text = later
          ? 'files of settings have changed, some in a way that takes effect with the next start'
          : 'files of settings have changed, and are in effect'
        log.line(later ? 'warn' : 'info', fact.kind, fields, text)
        break
      }

      case 'secrets_unusable': {
        const text = 'a file of a setting cannot be used; what was read before stays in effect'
        log.line('warn', fact.kind, { problems: fact.problems }, text)
        break
      }

      case 'stream_started':
        log.line('info', fact.kind, { topic: fact.topic, group_id: fact.groupId }, 'stream started')
        break

      case 'stream_stopped':
        if (fact.error === undefined) log.line('info', fact.kind, {}, 'stream stopped')
        else log.line('error', fact.kind, { error: fact.error }, 'stream failed')
        break

      case 'stream_halted': {
        const fields = { attempt: fact.attempt, delay_ms: fact.delayMs, error: fact.error }
        log.line(
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
        log.line('info', fact.kind, { positions: positionsOf(fact.positions) }, 'partitions assigned')
        break

      case 'revoked':
        metrics.count('rebalances_total', { stream }, 1)
        log.line(
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
        if (!log.tells('debug', fact.kind)) break
        const fields = { ...where(fact.partition), to: String(fact.to), records: fact.records, ...fact.counts }
        log.line('debug', fact.kind, fields, 'batch settled')
        break
      }

      case 'dead_lettered': {
        const { rejection } = fact.deadLetter
        metrics.count('dead_letters_total', { stream, reason: rejection.reason }, 1)
        log.repeated(rejection.reason, 'warn', fact.kind, deadLetterFields(fact.deadLetter), 'record set aside')
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
        if (!log.tells('debug', fact.kind)) break
        log.line('debug', fact.kind, { positions: positionsOf(fact.positions) }, 'offsets committed')
        break
      }

      case 'commit_failed': {
        for (const { trace } of fact.batches) trace.committed(fact.seconds, { code: fact.code })
        metrics.count('commit_failures_total', { stream }, 1)
        const fields = { positions: positionsOf(fact.positions), code: fact.code, reason: fact.message }
        log.repeated(String(fact.code), 'warn', fact.kind, fields, 'commit failed')
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
        log.repeated(fact.dependency, 'warn', fact.kind, fields, 'trying again')
        break
      }

      case 'breaker_opened': {
        const fields = { dependency: fact.dependency, error: fact.error }
        log.repeated(fact.dependency, 'warn', fact.kind, fields, `${fact.dependency} is away: the stream waits`)
        break
      }

      case 'breaker_closed': {
        const fields = { dependency: fact.dependency, open_seconds: fact.openSeconds }
        log.repeated(fact.dependency, 'info', fact.kind, fields, `${fact.dependency} is back: the stream goes on`)
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
        log.line(level, fact.kind, fields, `partition ${fact.kind}`)
        break
      }

      case 'ownership_lost': {
        const fields = { ...where(fact.partition), from: String(fact.from) }
        log.repeated(
          partitionKey(fact.partition),
          'warn',
          fact.kind,
          fields,
          'another consumer has gone on with the partition: dropped what was in hand',
        )
        break
      }

      case 'moved': {
        const from = fact.from === undefined ? {} : { from: String(fact.from) }
        log.line(
          'info',
          fact.kind,
          { ...where(fact.partition), ...from, to: String(fact.to) },
          'partition moved by an operator',
        )
        break
      }

      case 'progress_set_back': {
        const fields = { ...where(fact.partition), from: String(fact.from) }
        const text =
          'the database is behind what it had settled, as an older copy is, or a standby that lacked the last transactions: reading again'
        log.repeated(partitionKey(fact.partition), 'warn', fact.kind, fields, text)
        break
      }

      case 'progress_removed': {
        const fields = { ...where(fact.partition), from: String(fact.from) }
        const key = partitionKey(fact.partition)
        const text = `the progress row of ${key} was removed from the database, or the database is an older copy: reading again from the lowest offset`
        log.repeated(key, 'error', fact.kind, fields, text)
        break
      }

      case 'progress_missing': {
        const fields = { ...where(fact.partition), from: String(fact.from), committed: String(fact.committed) }
        const text =
          'no progress row, although the group has committed an offset to Kafka: the database may be an older copy, so reading starts at the lowest offset; to take a group over from another application, set KAFKA_START_AT=committed'
        log.line('warn', fact.kind, fields, text)
        break
      }

      case 'position_unknown': {
        const fields = { ...where(fact.partition), error: fact.error }
        const text = 'it is not known where this partition goes on: it waits, the others go on'
        log.repeated(partitionKey(fact.partition), 'warn', fact.kind, fields, text)
        break
      }

      case 'expired': {
        const lost = Number(fact.to - fact.from)
        metrics.count('expired_records_total', { stream, ...where(fact.partition) }, lost)
        const fields = { ...where(fact.partition), from: String(fact.from), to: String(fact.to), records: lost }
        log.line('error', fact.kind, fields, 'retention removed records before they were read')
        break
      }

      case 'partition_halted': {
        const fields = { ...where(fact.partition), error: fact.error }
        log.line('error', fact.kind, fields, 'partition halted: it waits for an operator')
        break
      }

      case 'figures_unknown':
        log.repeated(
          '',
          'warn',
          fact.kind,
          { error: fact.error },
          'dead letters could not be counted: no metrics of them',
        )
        break

      case 'timeline_unwritten':
        log.repeated('', 'warn', fact.kind, { error: fact.error }, 'the time line cannot be written: it has a gap')
        break

      case 'presence_unnoted':
        log.repeated('', 'warn', fact.kind, { error: fact.error }, 'this process could not note that it runs')
        break

      case 'copy_unavailable': {
        const text = 'COPY cannot write the tables: new keys go by the upsert, which costs Postgres twice as much'
        log.line('warn', fact.kind, { reason: fact.because }, text)
        break
      }

      case 'tables_elsewhere':
        log.repeated(
          fact.what,
          'warn',
          fact.kind,
          { reason: fact.what },
          'tables of the same names are in another schema',
        )
        break

      case 'unusual_record': {
        metrics.count('unusual_records_total', { stream, kind: fact.what }, 1)
        if (!log.tells('debug', fact.kind)) break
        const fields = { ...where(fact.partition), offset: String(fact.offset), what: fact.what }
        log.line('debug', fact.kind, fields, 'valid, yet unusual record')
        break
      }

      default:
        fact satisfies never
    }
  }
  return { observe }
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
