import type { Fact } from '../engine/facts.ts'
import type { JobFact } from '../inbox/redrive-work.ts'
import type { NotifyFact } from '../notify/notifier.ts'
import type { ReadFact } from '../read/read-side.ts'
import type { LogModule } from '../settings/log-levels.ts'

export type AnyFact = Fact | ReadFact | JobFact | NotifyFact

const ENGINE: Readonly<Record<Fact['kind'], LogModule>> = {
  start_waiting: 'process',
  migrations_missing: 'process',
  kafka_warning: 'kafka',
  secrets_read: 'process',
  secrets_unusable: 'process',
  stream_started: 'stream',
  stream_stopped: 'stream',
  stream_halted: 'stream',
  assigned: 'stream',
  revoked: 'stream',
  batch_settled: 'stream',
  dead_lettered: 'stream',
  committed: 'stream',
  commit_failed: 'stream',
  retry: 'stream',
  breaker_opened: 'stream',
  breaker_closed: 'stream',
  paused: 'stream',
  resumed: 'stream',
  ownership_lost: 'stream',
  progress_set_back: 'stream',
  progress_removed: 'stream',
  progress_missing: 'stream',
  position_unknown: 'stream',
  moved: 'stream',
  expired: 'stream',
  partition_halted: 'stream',
  unusual_record: 'stream',
  copy_unavailable: 'stream',
  tables_elsewhere: 'stream',
  figures_unknown: 'process',
  timeline_unwritten: 'process',
  presence_unnoted: 'process',
}

const READ: Readonly<Record<ReadFact['kind'], LogModule>> = {
  http_started: 'http',
  metrics_started: 'http',
  http_served: 'http',
  http_refused: 'http',
  http_failed: 'http',
  cache_warmed: 'cache',
  cache_warm_failed: 'cache',
  coherence_established: 'cache',
  coherence_lost: 'cache',
}

const JOBS: Readonly<Record<JobFact['kind'], LogModule>> = {
  jobs_started: 'jobs',
  jobs_trouble: 'jobs',
  job_failed: 'jobs',
  replay_taken: 'jobs',
  replay_page_published: 'jobs',
  replay_page_settled: 'jobs',
  replay_waiting: 'jobs',
  replay_parted: 'jobs',
  automatic_redrive_started: 'jobs',
  dead_letters_purged: 'jobs',
  ledger_merged: 'jobs',
  operator_records_purged: 'jobs',
}

const NOTIFY: Readonly<Record<NotifyFact['kind'], LogModule>> = {
  notice_sent: 'jobs',
  notice_failed: 'jobs',
  notice_dropped: 'jobs',
  notices_refused: 'jobs',
  notify_trouble: 'jobs',
}

/** Whose line each fact is. */
export const MODULE_OF: Readonly<Record<AnyFact['kind'], LogModule>> = { ...ENGINE, ...READ, ...JOBS, ...NOTIFY }

export function isReadFact(fact: AnyFact): fact is ReadFact {
  return Object.hasOwn(READ, fact.kind)
}

export function isJobFact(fact: AnyFact): fact is JobFact {
  return Object.hasOwn(JOBS, fact.kind)
}

export function isNotifyFact(fact: AnyFact): fact is NotifyFact {
  return Object.hasOwn(NOTIFY, fact.kind)
}
