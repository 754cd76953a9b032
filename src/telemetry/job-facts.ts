import { REDRIVE_CLOSINGS } from '../engine/settlement.ts'
import type { JobFact, JobObserver } from '../inbox/redrive-work.ts'
import type { FactLog } from './fact-log.ts'
import type { Metrics } from './metrics.ts'

export interface JobFactTools {
  /** Whose jobs they are. */
  readonly stream: string
  readonly metrics: Metrics
  readonly log: FactLog
}

/** Log lines and metrics of jobs: redrives and scheduled work. */
export function createJobObserver({ stream, metrics, log }: JobFactTools): JobObserver {
  function observe(fact: JobFact): void {
    switch (fact.kind) {
      case 'jobs_started':
        log.line('info', fact.kind, {}, 'jobs are worked on')
        break

      case 'jobs_trouble':
        log.repeated(
          '',
          'warn',
          fact.kind,
          { error: fact.error },
          'the queue of jobs cannot be worked on: trying again',
        )
        break

      case 'job_failed':
        log.repeated(fact.job, 'error', fact.kind, { job: fact.job, error: fact.error }, 'job failed')
        break

      case 'replay_taken':
        log.line('info', fact.kind, { replay_id: fact.id, epoch: fact.epoch }, 'redrive taken up')
        break

      case 'replay_page_published': {
        metrics.count('replay_records_total', { stream, result: 'published' }, fact.published)
        metrics.count('replay_records_total', { stream, result: 'skipped' }, fact.skipped)
        const { id, published, failed, skipped } = fact
        const fields = { replay_id: id, published, failed, skipped }
        log.repeated(id, failed > 0 ? 'warn' : 'info', fact.kind, fields, 'dead letters redriven')
        break
      }

      case 'replay_page_settled': {
        const { kind, id, ...results } = fact
        for (const result of SETTLED_RESULTS) {
          metrics.count('replay_records_total', { stream, result }, results[result])
        }
        const failed = results.failed_again + results.parked
        log.repeated(id, failed > 0 ? 'warn' : 'info', kind, { replay_id: id, ...results }, 'dead letters redriven')
        break
      }

      case 'replay_waiting': {
        const fields = { replay_id: fact.id, attempt: fact.attempt, error: fact.error }
        log.repeated(fact.id, 'warn', fact.kind, fields, 'redrive waits: trying again')
        break
      }

      case 'replay_parted': {
        const { id, to, error, because } = fact
        const level = to === 'failed' ? 'error' : because === undefined ? 'info' : 'warn'
        const fields = { replay_id: id, to, error, because: because?.message }
        log.line(level, fact.kind, fields, `redrive ${PARTED[to]}`)
        break
      }

      case 'automatic_redrive_started':
        log.line('info', fact.kind, { replay_id: fact.id, records: fact.total }, 'automatic redrive started')
        break

      case 'dead_letters_purged':
        log.line('info', fact.kind, { records: fact.purged }, 'settled dead letters removed from the index')
        break

      case 'ledger_merged':
        log.line('info', fact.kind, { rows: fact.rows }, 'rows of the ledger merged with their neighbours')
        break

      case 'operator_records_purged':
        log.line(
          'info',
          fact.kind,
          { audit: fact.audit, redrives: fact.redrives },
          'old entries of the audit log and old redrives removed',
        )
        break

      default:
        fact satisfies never
    }
  }
  return { observe }
}

const SETTLED_RESULTS = [...REDRIVE_CLOSINGS, 'skipped'] as const

const PARTED = {
  queued: 'released: another worker continues it',
  paused: 'paused',
  cancelled: 'cancelled',
  done: 'done',
  failed: 'failed',
  lost: 'taken over by another worker',
} as const
