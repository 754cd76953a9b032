import type { StreamCounts } from '../../src/engine/postgres/stream-counts.ts'

/** Adds up the counts of all streams. @param counts at least one */
export function addCounts(counts: readonly StreamCounts[]): StreamCounts {
  return counts.reduce((sum, one) => combine(sum, one, (a, b) => a + b))
}

/** The difference from an earlier reading. */
export function countsSince(now: StreamCounts, before: StreamCounts): StreamCounts {
  return combine(now, before, (a, b) => a - b)
}

/** Records that ended in any way. */
export function settledOf({ written, superseded, stale, duplicate, dead_lettered }: StreamCounts): number {
  return written + superseded + stale + duplicate + deadLettersOf({ dead_lettered })
}

export function deadLettersOf({ dead_lettered }: Pick<StreamCounts, 'dead_lettered'>): number {
  return Object.values(dead_lettered).reduce((sum, n) => sum + n, 0)
}

function combine(one: StreamCounts, other: StreamCounts, by: (a: number, b: number) => number): StreamCounts {
  const reasons = new Set([...Object.keys(one.dead_lettered), ...Object.keys(other.dead_lettered)])
  const counts = [...reasons].map(
    reason => [reason, by(one.dead_lettered[reason] ?? 0, other.dead_lettered[reason] ?? 0)] as const,
  )
  return {
    written: by(one.written, other.written),
    superseded: by(one.superseded, other.superseded),
    stale: by(one.stale, other.stale),
    duplicate: by(one.duplicate, other.duplicate),
    dead_lettered: Object.fromEntries(counts.filter(([, n]) => n > 0)),
  }
}
