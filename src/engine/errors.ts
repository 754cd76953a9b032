/** What should happen next: the world is unwell (retry), the record is (dead-letter), we are (halt), or it is no longer ours (abandon). */
export type Disposition = 'retry' | 'dead-letter' | 'halt' | 'abandon'

/** What a retry waits for. A closed set: also the values of the metric labels `dependency` and `class`. */
export const DEPENDENCIES = ['postgres', 'kafka', 'dlq'] as const
export type Dependency = (typeof DEPENDENCIES)[number]

export abstract class StreamError extends Error {
  /** Stable, from a closed set, safe as a metric label. */
  abstract readonly code: string
  abstract readonly disposition: Disposition
  /** What would help, where that is known: the message ends with it. */
  readonly remedy: string | undefined
  /** The message without the remedy. */
  readonly what: string
  constructor(what: string, options?: { cause?: unknown; remedy?: string | undefined }) {
    super(options?.remedy === undefined ? what : `${what}; ${options.remedy}`, options)
    this.name = new.target.name
    this.what = what
    this.remedy = options?.remedy
  }
}

/** The store is unavailable; the same write may succeed later, so no record is at fault. `sqlState` when the server sent one. */
export class StoreUnavailableError extends StreamError {
  readonly code = 'store_unavailable'
  readonly disposition = 'retry'
  readonly sqlState: string | undefined
  constructor(message: string, options?: { cause?: unknown; sqlState?: string }) {
    super(message, options)
    this.sqlState = options?.sqlState
  }
}

/**
 * The store was reached and gave up on this very work: a statement timeout, a deadlock, a serialization failure.
 * Usually passes, so it is retried; when it keeps happening to one batch, the batch is bisected.
 */
export class StoreContendedError extends StreamError {
  readonly code = 'store_contended'
  readonly disposition = 'retry'
  readonly sqlState: string
  constructor(message: string, options: { cause?: unknown; sqlState: string }) {
    super(message, options)
    this.sqlState = options.sqlState
  }
}

/** The store refuses what the record holds (SQLSTATE class 22, 23, 54): it would be refused tomorrow as well. */
export class RecordRefusedError extends StreamError {
  readonly code = 'record_refused'
  readonly disposition = 'dead-letter'
  readonly sqlState: string
  constructor(message: string, options: { cause?: unknown; sqlState: string }) {
    super(message, options)
    this.sqlState = options.sqlState
  }
}

/** We are wrong, not the world: a missing migration, a missing right, a bug. Nothing may be dead-lettered for it. */
export class StoreMisconfiguredError extends StreamError {
  readonly code = 'store_misconfigured'
  readonly disposition = 'halt'
}

/**
 * The store rejected the statement, and its SQLSTATE does not say whether a record is to blame or the set-up is: an
 * exception that a trigger raises, a view's check option, a missing right or row-level security. Bisection decides. Where
 * nothing can be bisected, the stream stops as for any other misconfiguration.
 */
export class StoreRejectedError extends StoreMisconfiguredError {
  readonly sqlState: string
  constructor(message: string, options: { cause?: unknown; sqlState: string }) {
    super(message, options)
    this.sqlState = options.sqlState
  }
}

/** The partition's progress moved without us: another consumer owns it now. */
export class OwnershipLostError extends StreamError {
  readonly code: 'ownership_lost' | 'progress_removed' | 'progress_set_back' = 'ownership_lost'
  readonly disposition = 'abandon'
}

/** The partition's progress row is not there any more: no consumer does that. The database lost it, or is an older copy. */
export class ProgressRemovedError extends OwnershipLostError {
  override readonly code = 'progress_removed'
}

/** The partition's progress row stands below what was settled: no consumer does that. The database is an older copy, or a standby that was behind. */
export class ProgressSetBackError extends OwnershipLostError {
  override readonly code = 'progress_set_back'
}

/** Kafka is away, or a record could not be produced in time. */
export class BrokerUnavailableError extends StreamError {
  readonly code = 'broker_unavailable'
  readonly disposition = 'retry'
  /** A broker was reached, and settings or certificates do not fit: until they are changed, no attempt will succeed. */
  readonly isMistake: boolean
  constructor(message: string, options?: { cause?: unknown; remedy?: string | undefined; isMistake?: boolean }) {
    super(message, options)
    this.isMistake = options?.isMistake ?? false
  }
}

/** One partition has no leader, a new one that is not ready, or is not there; the cluster itself answers. */
export class PartitionUnavailableError extends BrokerUnavailableError {}

/** The topic takes no record of this size: it would be refused tomorrow as well. */
export class RecordTooLargeError extends StreamError {
  readonly code = 'record_too_large'
  readonly disposition = 'dead-letter'
}

/** The client reports that it cannot continue (fenced, a right that is missing): only a restart helps. */
export class BrokerFatalError extends StreamError {
  readonly code = 'broker_fatal'
  readonly disposition = 'halt'
}

/** The topic was deleted and recreated: offsets count something else now. An operator decides where to go on. */
export class TopicReplacedError extends StreamError {
  readonly code = 'topic_replaced'
  readonly disposition = 'halt'
}

/** The partition's progress lies beyond its end: the topic was probably recreated. An operator decides where to go on. */
export class ProgressBeyondEndError extends StreamError {
  readonly code = 'progress_beyond_end'
  readonly disposition = 'halt'
}

/** The log does not hold what was settled any more, but other records at the same offsets. An operator decides where to go on. */
export class LogTruncatedError extends StreamError {
  readonly code = 'log_truncated'
  readonly disposition = 'halt'
}

/** Kafka holds a batch that cannot be read: damaged on disk, or of a format that the client does not know. An operator may skip it. */
export class UnreadableBatchError extends StreamError {
  readonly code = 'unreadable_batch'
  readonly disposition = 'halt'
}

/** A setting, flag or argument is wrong. The message states what is valid. */
export class UsageError extends Error {
  override readonly name: string = 'UsageError'
}

/** Settings or definitions that cannot be used: all of them at once, each line naming its place and what would be right. */
export class ConfigError extends UsageError {
  override readonly name = 'ConfigError'
  readonly problems: readonly string[]
  /** What they are, after their number: `3 settings cannot be used`. */
  readonly subject: string
  constructor(problems: readonly string[], subject = 'settings cannot be used') {
    super(problems.join('\n'))
    this.problems = problems
    this.subject = subject
  }
}

/**
 * Total. What is unexpected is our bug: stop before it is committed past. (Pinned on one record by bisection, it is
 * retried and then dead-lettered: that choice is the pipeline's.)
 */
export function dispositionOf(error: unknown): Disposition {
  return error instanceof StreamError ? error.disposition : 'halt'
}
