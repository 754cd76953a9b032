import type { DeadLetter } from './dead-letter.ts'
import type { Dependency } from './errors.ts'
import type { OutcomeCounts } from './outcome.ts'
import type { Progress } from './ports.ts'
import type { TopicPartition } from './record.ts'
import type { RedriveClosings } from './settlement.ts'
import type { BatchTrace } from './tracing.ts'
import type { UnusualKind } from './verdict.ts'

export interface CommittedBatch {
  /** `undefined` when no record of it has one. */
  readonly oldestTimestampMs: number | undefined
  readonly trace: BatchTrace
}

/** Facts about the stream. One fact, one call: log line, metric and span come from it. */
export type Fact =
  /** Something that is needed to start is not there yet; the next attempt comes after `delayMs`. */
  | {
      readonly kind: 'start_waiting'
      readonly what: string
      readonly attempt: number
      readonly delayMs: number
      readonly error: unknown
    }
  /** Migrations of the project that the database lacks. */
  | { readonly kind: 'migrations_missing'; readonly names: readonly string[] }
  /** What the Kafka client complains about while it retries: brokers that cannot be reached, mostly. */
  | { readonly kind: 'kafka_warning'; readonly text: string }
  /** Files of settings hold something else than at the start; some of it counts with the next start only. */
  | {
      readonly kind: 'secrets_read'
      readonly changed: readonly string[]
      readonly atNextStart: readonly string[]
    }
  /** What files of settings hold cannot be used; what was read before stays in effect. */
  | { readonly kind: 'secrets_unusable'; readonly problems: readonly string[] }
  | { readonly kind: 'stream_started'; readonly topic: string; readonly groupId: string }
  | { readonly kind: 'stream_stopped'; readonly error?: unknown }
  /** The stream has failed while others run; it is tried again after `delayMs`. */
  | { readonly kind: 'stream_halted'; readonly attempt: number; readonly delayMs: number; readonly error: unknown }
  | { readonly kind: 'assigned'; readonly positions: readonly Progress[] }
  | {
      readonly kind: 'revoked'
      readonly partitions: readonly TopicPartition[]
      readonly lost: boolean
      readonly drained: boolean
    }
  | {
      readonly kind: 'batch_settled'
      readonly partition: TopicPartition
      readonly to: bigint
      readonly records: number
      readonly counts: OutcomeCounts
      /** Loops of redriven records that it closed, when it held any. */
      readonly closings?: RedriveClosings | undefined
      readonly stageSeconds: Readonly<Record<'validate' | 'divert' | 'write', number>>
    }
  | { readonly kind: 'dead_lettered'; readonly deadLetter: DeadLetter }
  | {
      readonly kind: 'committed'
      readonly positions: readonly Progress[]
      readonly seconds: number
      /** Each batch that this commit covers, with its oldest record timestamp: for end-to-end latency. */
      readonly batches: readonly CommittedBatch[]
    }
  | {
      readonly kind: 'commit_failed'
      readonly positions: readonly Progress[]
      readonly seconds: number
      readonly batches: readonly CommittedBatch[]
      readonly code: number
      readonly message: string
    }
  | {
      readonly kind: 'retry'
      readonly dependency: Dependency
      readonly attempt: number
      readonly delayMs: number
      readonly error: unknown
      readonly partition?: TopicPartition
    }
  | { readonly kind: 'breaker_opened'; readonly dependency: Dependency; readonly error: unknown }
  | { readonly kind: 'breaker_closed'; readonly dependency: Dependency; readonly openSeconds: number }
  | {
      readonly kind: 'paused'
      readonly partition: TopicPartition
      readonly reason: PauseReason
      /** The cause of one that waits for an operator. Payload-free. */
      readonly because?: string
    }
  | { readonly kind: 'resumed'; readonly partition: TopicPartition; readonly reason: PauseReason }
  | { readonly kind: 'ownership_lost'; readonly partition: TopicPartition; readonly from: bigint }
  /** The store holds less than what was settled up to `from`. */
  | { readonly kind: 'progress_set_back'; readonly partition: TopicPartition; readonly from: bigint }
  /** The progress row that stood at `from` is not in the store any more. */
  | { readonly kind: 'progress_removed'; readonly partition: TopicPartition; readonly from: bigint }
  /** There is no progress row, although the group has committed an offset: reading starts below it, at `from`. */
  | {
      readonly kind: 'progress_missing'
      readonly partition: TopicPartition
      readonly from: bigint
      readonly committed: bigint
    }
  /** Kafka does not report what is needed to continue with a partition of ours: it waits alone. */
  | { readonly kind: 'position_unknown'; readonly partition: TopicPartition; readonly error: unknown }
  /** An operator's request to move a partition of ours was carried out; `from`: absent where it was never consumed. */
  | {
      readonly kind: 'moved'
      readonly partition: TopicPartition
      readonly from: bigint | undefined
      readonly to: bigint
    }
  | { readonly kind: 'expired'; readonly partition: TopicPartition; readonly from: bigint; readonly to: bigint }
  | { readonly kind: 'partition_halted'; readonly partition: TopicPartition; readonly error: unknown }
  /** COPY cannot write the tables of the stream, which costs Postgres twice as much for new keys. Once for each cause. */
  | { readonly kind: 'copy_unavailable'; readonly because: string }
  /** Tables of the stream's names that the search path finds in another schema, and that are not written. */
  | { readonly kind: 'tables_elsewhere'; readonly what: string }
  /** Something that gauges show could not be read; until it can, they show nothing. */
  | { readonly kind: 'figures_unknown'; readonly error: unknown }
  /** Steps of the time line were refused: they wait in memory, the oldest give way. */
  | { readonly kind: 'timeline_unwritten'; readonly error: unknown }
  /** The process could not say that it runs: a migration may be applied that it cannot work with. */
  | { readonly kind: 'presence_unnoted'; readonly error: unknown }
  | {
      readonly kind: 'unusual_record'
      readonly partition: TopicPartition
      readonly offset: bigint
      readonly what: UnusualKind
    }

/** Why a partition is not fetched. A closed set: also the values of the metric label `reason`. */
export const PAUSE_REASONS = [
  'store_away',
  'store_contended',
  'dlq_away',
  'backpressure',
  'halted',
  'storm_guard',
  'operator',
  'position_unknown',
] as const
export type PauseReason = (typeof PAUSE_REASONS)[number]

export interface Observer {
  observe(fact: Fact): void
}
