import type { Dependency } from './errors.ts'
import type { PauseReason } from './facts.ts'
import type { ManualPause } from './operator.ts'
import type { TopicPartition } from './record.ts'

/**
 * States move one way; `failed` is a stop that was not requested. `halted`: it failed while other streams of the process run, and is
 * tried again at intervals.
 */
export type StreamState = 'starting' | 'running' | 'draining' | 'stopped' | 'failed' | 'halted'

/** The breaker of one dependency: open while it is away, and the stream waits for it. */
export interface BreakerStatus {
  readonly dependency: Dependency
  readonly open: boolean
  /** Payload-free, for an operator. `undefined` while closed. */
  readonly reason: string | undefined
  /** Wall clock in ms at which it opened. `undefined` while closed. */
  readonly sinceMs: number | undefined
}

export interface PartitionStatus extends TopicPartition {
  /** Progress: below it everything is settled. */
  readonly next: bigint
  /** High-water mark that the broker last reported. */
  readonly high: bigint | undefined
  /** Wall clock in ms at which the broker reported it; absent if it never did. */
  readonly highKnownAtMs?: number
  /**
   * High-water mark minus progress, without offsets at the end that were found to hold no record. `undefined` when it is not
   * known: an old mark shows a lag, and never that there is none.
   */
  readonly lagRecords: number | undefined
  /**
   * Timestamp of the oldest record that is not settled, in ms since the epoch: the oldest in hand, or what Kafka holds there
   * when none is. `undefined` when there is none, or it is not known.
   */
  readonly oldestUnsettledTimestampMs: number | undefined
  /** Received, waiting for a batch. */
  readonly bufferedRecords: number
  /** In a batch that is being settled. */
  readonly inFlightRecords: number
  readonly paused: readonly PauseReason[]
  /** Why it waits for an operator, in a clause. Payload-free. Absent: it does not. */
  readonly pausedBecause?: string
  /** The pause by which an operator holds it. Absent: none does. */
  readonly manualPause?: ManualPause
  /** Wall clock in ms since when it has been paused; absent while it is not. */
  readonly pausedSinceMs?: number
  /** Why its batch keeps failing although the store is available: usually another session holds a lock. Absent: no such failure. */
  readonly contended?: { readonly reason: string; readonly sinceMs: number }
  /**
   * For how long the partition has had work without progress, in ms, although its dependencies are available and it is not
   * paused. Absent: it is not stalled.
   */
  readonly stalledMs?: number
  /** Wall clock in ms of the last settled batch. */
  readonly lastProgressMs: number | undefined
  /** Why only an operator can make it go on. */
  readonly halted?: string
  /** Why Kafka cannot serve it just now, though it answers for others: it has no leader, say. It resumes automatically. */
  readonly unreadable?: string
}

/** The stream as it stands now: what health checks and gauges read. A plain value, cheap to make. */
export interface StreamStatus {
  readonly state: StreamState
  /** Wall clock in ms since when it has been in this state. */
  readonly sinceMs?: number
  /** Why it failed, or drains because it has. Payload-free. */
  readonly error?: string
  /** Whether the group has assigned our partitions, which may be none. */
  readonly member: boolean
  /** Wall clock in ms since when that has been so. */
  readonly memberSinceMs?: number
  /** For how long that has been so, in ms, whatever has been made of the wall clock meanwhile. */
  readonly memberForMs?: number
  /** Whether it has ever been a member: then it is about to be one again. */
  readonly wasMember?: boolean
  /** How long ago the loop that polls Kafka last completed a turn, in ms; absent before it begins. */
  readonly turnedMsAgo?: number
  readonly breakers: readonly BreakerStatus[]
  readonly partitions: readonly PartitionStatus[]
}

/** Age of the oldest record that is not settled; 0 when there is none, `undefined` when it is not known. */
export function lagSeconds(partition: PartitionStatus, nowMs: number): number | undefined {
  const { oldestUnsettledTimestampMs: oldestMs, lagRecords } = partition
  // A producer's clock may be ahead of ours.
  // The age of a record without a timestamp is not known.
  if (oldestMs !== undefined) return oldestMs < 0 ? undefined : Math.max(0, nowMs - oldestMs) / 1000
  return lagRecords === 0 ? 0 : undefined
}

export interface HealthResult {
  readonly ok: boolean
  /** What is wrong, in a sentence for an operator; of one that holds, what an operator should know all the same. Payload-free. */
  readonly reason?: string
  /** Wall clock in ms since when. */
  readonly since?: number
}

/** One named question of `/livez` or `/readyz`. Answered from what is known: a check waits for nothing. */
export interface HealthCheck {
  /** Stable, short, snake_case. */
  readonly name: string
  /** The stream that it is about; absent: the process. */
  readonly stream?: string
  check(): HealthResult
}

/** Connections to the store, by the work they are for. A closed set: also the values of the metric label `pool`. */
export const POOLS = ['lanes', 'read', 'check', 'listen', 'jobs', 'operators'] as const
export type PoolName = (typeof POOLS)[number]

/** A closed set: also the values of the metric label `state`. */
export const POOL_STATES = ['used', 'idle'] as const

/** A pool as it stands now. */
export interface PoolStatus {
  readonly name: PoolName
  /** Connections at most. */
  readonly max: number
  readonly used: number
  readonly idle: number
  /** Work that waits for a connection. */
  readonly waiting: number
}
