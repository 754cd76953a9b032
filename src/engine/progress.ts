import type { Watermarks } from './ports.ts'

/** Where a partition starts that has no progress row. A closed set: also the values of KAFKA_START_AT. */
export const START_AT = ['earliest', 'committed', 'latest'] as const
export type StartAt = (typeof START_AT)[number]

/** Where a partition goes on after it was assigned. */
export type Resume =
  /** `skippedFrom`: without a progress row, the setting passes over `[skippedFrom, offset)` on purpose. */
  | { readonly kind: 'at'; readonly offset: bigint; readonly skippedFrom?: bigint }
  /** Retention removed `[from, to)` before it was read. */
  | { readonly kind: 'expired'; readonly from: bigint; readonly to: bigint }
  /** Our position lies beyond the partition's end: the topic was deleted and created again. */
  | { readonly kind: 'beyond_end'; readonly offset: bigint; readonly high: bigint }

/**
 * The progress row is the truth. Without one a partition starts at the earliest record: a database that went back to an older
 * copy has no row either, and there the offset that Kafka holds as committed lies behind records which it lost. Reading them
 * again is harmless. Kafka's offset counts only where `startAt` requires it, for a group that is taken over.
 * A position that the partition does not hold any more is never corrected in silence.
 */
export function resumeAt(known: {
  readonly progress: bigint | undefined
  readonly committed: bigint | undefined
  readonly watermarks: Watermarks
  readonly startAt: StartAt
}): Resume {
  const { low, high } = known.watermarks
  const offset = known.progress ?? startOf(known)
  if (offset > high) return { kind: 'beyond_end', offset, high }
  if (offset < low) return { kind: 'expired', from: offset, to: low }
  return known.progress === undefined && offset > low
    ? { kind: 'at', offset, skippedFrom: low }
    : { kind: 'at', offset }
}

/** Where a partition without a progress row starts. */
export function startOf(known: {
  readonly committed: bigint | undefined
  readonly watermarks: Watermarks
  readonly startAt: StartAt
}): bigint {
  const { low, high } = known.watermarks
  if (known.startAt === 'latest') return high
  return known.startAt === 'committed' ? (known.committed ?? low) : low
}
