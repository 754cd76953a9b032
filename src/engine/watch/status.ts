import type { Clock } from '../ports.ts'
import type { Breaker } from '../run/breaker.ts'
import type { PartitionStatus, StreamState, StreamStatus } from '../status.ts'
import { contention, lagRecords, oldestUnsettledTimestampMs, stalledMs, textOf, unreadable } from './rules.ts'
import type { PartitionView, Views } from './view.ts'

/** What is known about the stream as a whole. Written by the loop. */
export interface StreamView {
  readonly state: StreamState
  /** @param error what ends it: known while it still drains */
  become(state: StreamState, error?: unknown): void
  /** Whether the group has assigned partitions to this consumer (possibly none). */
  member: boolean
  /** Notes that the poll loop has completed a turn. */
  turned(): void
  /** What health checks and gauges read. */
  snapshot(views: Views, breakers: readonly Breaker[]): StreamStatus
}

export function createStreamView(clock: Clock): StreamView {
  let state: StreamState = 'starting'
  let failure: { readonly error: unknown } | undefined
  let sinceMs = clock.now()
  let member = false
  let memberSince = { wallMs: clock.now(), atMs: clock.monotonic() }
  let wasMember = false
  let turnedAtMs: number | undefined

  return {
    get state() {
      return state
    },
    become(next, error) {
      state = next
      sinceMs = clock.now()
      if (error !== undefined || next === 'failed') failure = { error }
    },
    get member() {
      return member
    },
    set member(is) {
      if (is !== member) memberSince = { wallMs: clock.now(), atMs: clock.monotonic() }
      member = is
      wasMember ||= is
    },
    turned() {
      turnedAtMs = clock.monotonic()
    },
    snapshot(views, breakers) {
      const nowMs = clock.monotonic()
      return {
        state,
        sinceMs,
        ...(failure === undefined ? {} : { error: textOf(failure.error) }),
        member,
        memberSinceMs: memberSince.wallMs,
        memberForMs: nowMs - memberSince.atMs,
        wasMember,
        ...(turnedAtMs === undefined ? {} : { turnedMsAgo: nowMs - turnedAtMs }),
        breakers: breakers.map(({ dependency, open }) => ({
          dependency,
          open: open !== undefined,
          reason: open?.reason,
          sinceMs: open?.sinceMs,
        })),
        partitions: [...views.all()].map(view => partitionStatus(view, clock)),
      }
    },
  }
}

export function partitionStatus(view: PartitionView, clock: Clock): PartitionStatus {
  const { owner, marks } = view
  const nowMs = clock.monotonic()
  const stalled = stalledMs(view, nowMs)
  const contended = contention(view, nowMs, clock.now())
  const unreadableFor = unreadable(view, nowMs)
  return {
    topic: owner.topic,
    partition: owner.partition,
    next: owner.settled,
    high: marks?.high,
    ...(marks === undefined ? {} : { highKnownAtMs: marks.wallMs }),
    lagRecords: lagRecords(view, nowMs),
    oldestUnsettledTimestampMs: oldestUnsettledTimestampMs(view),
    bufferedRecords: owner.bufferedRecords,
    inFlightRecords: owner.inFlightRecords,
    paused: owner.pausedFor,
    ...(owner.waitsForOperator === undefined ? {} : { pausedBecause: owner.waitsForOperator.because }),
    ...(owner.manualPause === undefined ? {} : { manualPause: owner.manualPause }),
    ...(owner.pausedSinceMs === undefined ? {} : { pausedSinceMs: owner.pausedSinceMs }),
    ...(contended === undefined ? {} : { contended }),
    ...(stalled === 0 ? {} : { stalledMs: stalled }),
    lastProgressMs: owner.lastProgressMs,
    ...(owner.halted === undefined ? {} : { halted: textOf(owner.halted) }),
    ...(unreadableFor === undefined ? {} : { unreadable: unreadableFor }),
  }
}
