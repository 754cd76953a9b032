import { PartitionUnavailableError } from '../../core/errors.ts'
import type { PartitionStatus, StreamState, StreamStatus } from '../../core/status.ts'
import type { Clock, Watermarks } from '../ports.ts'
import type { Breaker } from '../run/breaker.ts'
import type { OwnedPartition, Wait } from '../run/partition.ts'

/** What health checks and gauges read; written by the loop. */
export interface StatusBoard {
  state: StreamState
  error: unknown
  /** Whether the group has told us what is ours (nothing, perhaps). */
  member: boolean
  /** The loop has come round. */
  turned(): void
  /** The broker has told where a partition ends. */
  knows(partition: OwnedPartition, marks: Watermarks): void
  /** It was asked, and has not: what it told before counts as old. Of a partition without a leader it says so for some time. */
  doubts(partition: OwnedPartition, error: unknown): void
  forgets(key: string): void
  /** Whether the partition is known, by what the broker told just now, to end beyond what is left to be read. */
  lags(partition: OwnedPartition): boolean
  snapshot(owned: Iterable<OwnedPartition>): StreamStatus
}

export interface StatusBoardParts {
  readonly breakers: readonly Breaker[]
  readonly clock: Clock
  /** Timestamp of the record that a partition with nothing in hand is to settle next. */
  readonly headOf: (partition: OwnedPartition) => number | undefined
  /** Below this offset nothing is left to be read: progress, or further on where offsets hold no record. */
  readonly readTo: (partition: OwnedPartition) => bigint
  readonly stalledMs: (partition: OwnedPartition) => number
}

interface Mark {
  readonly high: bigint
  readonly wallMs: number
  readonly at: number
  old: boolean
}

/** Deadlocks and short locks pass with the next attempt or two. */
const CONTENDED_AFTER_MS = 2_000
/** Older than a few rounds of questions, a watermark tells nothing of the present. */
const FRESH_MS = 10_000

export function createStatusBoard({ breakers, clock, headOf, readTo, stalledMs }: StatusBoardParts): StatusBoard {
  const marks = new Map<string, Mark>()
  /** Partitions without a leader, and since when (monotonic ms). */
  const leaderless = new Map<string, { readonly text: string; readonly since: number }>()
  let state: StreamState = 'starting'
  let sinceMs = clock.now()
  let member = false
  let memberSince = { wallMs: clock.now(), at: clock.monotonic() }
  let wasMember = false
  let turnedAt: number | undefined

  function isFresh({ old, at }: Mark): boolean {
    return !old && clock.monotonic() - at < FRESH_MS
  }

  function contention({ waits }: OwnedPartition): Pick<PartitionStatus, 'contended'> {
    const forMs = (wait: Wait) => clock.monotonic() - wait.sinceMs
    const lasting = [...waits].find(wait => wait.reason === 'store_contended' && forMs(wait) > CONTENDED_AFTER_MS)
    if (lasting === undefined) return {}
    return { contended: { reason: textOf(lasting.error), sinceMs: clock.now() - forMs(lasting) } }
  }

  /** A leader that moves to another broker is no trouble: that takes a moment. */
  function unreadableFor({ key, unlocated }: OwnedPartition): string | undefined {
    if (unlocated !== undefined) return textOf(unlocated)
    const known = leaderless.get(key)
    return known !== undefined && clock.monotonic() - known.since > FRESH_MS ? known.text : undefined
  }

  function partitionStatus(partition: OwnedPartition): PartitionStatus {
    const { topic, partition: number, settled, pausedSinceMs } = partition
    const mark = marks.get(partition.key)
    const inHand = partition.bufferedRecords + partition.inFlightRecords
    // Between two looks at the watermark batches settle, and records come that lie beyond it.
    const lag = mark === undefined ? undefined : Math.max(inHand, Number(mark.high - readTo(partition)))
    const stalled = stalledMs(partition)
    const unreadable = unreadableFor(partition)
    return {
      topic,
      partition: number,
      next: settled,
      high: mark?.high,
      ...(mark === undefined ? {} : { highKnownAtMs: mark.wallMs }),
      lagRecords: lag === 0 && mark !== undefined && !isFresh(mark) ? undefined : lag,
      oldestUnsettledTimestampMs: partition.oldestUnsettledTimestampMs ?? (lag === 0 ? undefined : headOf(partition)),
      bufferedRecords: partition.bufferedRecords,
      inFlightRecords: partition.inFlightRecords,
      paused: partition.pausedFor,
      ...(partition.waitsForOperator === undefined ? {} : { pausedBecause: partition.waitsForOperator.because }),
      ...(pausedSinceMs === undefined ? {} : { pausedSinceMs }),
      ...contention(partition),
      ...(stalled === 0 ? {} : { stalledMs: stalled }),
      lastProgressMs: partition.lastProgressMs,
      ...(partition.halted === undefined ? {} : { halted: textOf(partition.halted) }),
      ...(unreadable === undefined ? {} : { unreadable }),
    }
  }

  return {
    error: undefined,
    get state() {
      return state
    },
    set state(next) {
      state = next
      sinceMs = clock.now()
    },
    get member() {
      return member
    },
    set member(is) {
      if (is !== member) memberSince = { wallMs: clock.now(), at: clock.monotonic() }
      member = is
      wasMember ||= is
    },
    turned() {
      turnedAt = clock.monotonic()
    },
    knows(partition, { high }) {
      leaderless.delete(partition.key)
      marks.set(partition.key, { high, wallMs: clock.now(), at: clock.monotonic(), old: false })
    },
    doubts(partition, error) {
      if (error instanceof PartitionUnavailableError) {
        const since = leaderless.get(partition.key)?.since ?? clock.monotonic()
        leaderless.set(partition.key, { text: error.message, since })
      }
      const mark = marks.get(partition.key)
      if (mark !== undefined) mark.old = true
    },
    forgets(key) {
      marks.delete(key)
      leaderless.delete(key)
    },
    lags(partition) {
      const mark = marks.get(partition.key)
      return mark !== undefined && isFresh(mark) && mark.high > readTo(partition)
    },
    snapshot(owned) {
      return {
        state,
        sinceMs,
        ...(this.error === undefined ? {} : { error: textOf(this.error) }),
        member,
        memberSinceMs: memberSince.wallMs,
        memberForMs: clock.monotonic() - memberSince.at,
        wasMember,
        ...(turnedAt === undefined ? {} : { turnedMsAgo: clock.monotonic() - turnedAt }),
        breakers: breakers.map(({ dependency, open }) => ({
          dependency,
          open: open !== undefined,
          reason: open?.reason,
          sinceMs: open?.sinceMs,
        })),
        partitions: [...owned].map(partitionStatus),
      }
    },
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
