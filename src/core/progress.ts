import type { Watermarks } from './ports.ts'

/** Where a partition goes on after it was assigned. */
export type Resume =
  | { readonly kind: 'at'; readonly offset: bigint }
  /** Retention removed `[from, to)` before it was read. */
  | { readonly kind: 'expired'; readonly from: bigint; readonly to: bigint }
  /** Our position lies beyond the partition's end: the topic was made anew. */
  | { readonly kind: 'beyond_end'; readonly offset: bigint; readonly high: bigint }

/**
 * The progress row is the truth; without one, what Kafka has committed; without that, the earliest record.
 * A position that the partition does not hold any more is never corrected in silence.
 */
export function resumeAt(known: {
  readonly progress: bigint | undefined
  readonly committed: bigint | undefined
  readonly watermarks: Watermarks
}): Resume {
  const { low, high } = known.watermarks
  const offset = known.progress ?? known.committed ?? low
  if (offset > high) return { kind: 'beyond_end', offset, high }
  if (offset < low) return { kind: 'expired', from: offset, to: low }
  return { kind: 'at', offset }
}
