import type { JobFact, JobObserver } from '../inbox/redrive-work.ts'
import type { Metrics } from './metrics.ts'

type Level = 'info' | 'warn' | 'error'
type Fields = Readonly<Record<string, unknown>>

export interface JobFactTools {
  /** Whose jobs they are. */
  readonly stream: string
  readonly metrics: Metrics
  readonly log: (level: Level, event: JobFact['kind'], fields: Fields, text: string) => void
  /** For what may come many times a second: one line for each key and interval. */
  readonly logRepeated: (key: string, level: Level, event: JobFact['kind'], fields: Fields, text: string) => void
}

/** Log lines and metrics of jobs: redrives and scheduled work. */
export function createJobObserver({ stream, metrics, log, logRepeated }: JobFactTools): JobObserver {
  function observe(fact: JobFact): void {
    switch (fact.kind) {
      case 'jobs_started':
        log('info', fact.kind, {}, 'jobs are worked on')
        break

      case 'jobs_trouble':
        logRepeated('', 'warn', fact.kind, { error: fact.error }, 'the queue of jobs cannot be worked on: trying again')
        break

      case 'job_failed':
        logRepeated(fact.job, 'error', fact.kind, { job: fact.job, error: fact.error }, 'job failed')
        break

      case 'replay_taken':
        log('info', fact.kind, { replay_id: fact.id, epoch: fact.epoch }, 'redrive taken up')
        break

      case 'replay_page_published': {
        metrics.count('replay_records_total', { stream, result: 'published' }, fact.published)
        metrics.count('replay_records_total', { stream, result: 'skipped' }, fact.skipped)
        const { id, published, failed, skipped } = fact
        const fields = { replay_id: id, published, failed, skipped }
        logRepeated(id, failed > 0 ? 'warn' : 'info', fact.kind, fields, 'dead letters redriven')
        break
      }

      case 'replay_waiting': {
        const fields = { replay_id: fact.id, attempt: fact.attempt, error: fact.error }
        logRepeated(fact.id, 'warn', fact.kind, fields, 'redrive waits: trying again')
        break
      }

      case 'replay_parted': {
        const fields = { replay_id: fact.id, to: fact.to, error: fact.error }
        log(fact.to === 'failed' ? 'error' : 'info', fact.kind, fields, `redrive ${PARTED[fact.to]}`)
        break
      }

      case 'automatic_redrive_started':
        log('info', fact.kind, { replay_id: fact.id, records: fact.total }, 'automatic redrive started')
        break

      case 'dead_letters_purged':
        log('info', fact.kind, { records: fact.purged }, 'settled dead letters removed from the index')
        break

      default:
        fact satisfies never
    }
  }
  return { observe }
}

const PARTED = {
  queued: 'released: another worker continues it',
  paused: 'paused',
  cancelled: 'cancelled',
  done: 'published',
  failed: 'failed',
  lost: 'taken over by another worker',
} as const
