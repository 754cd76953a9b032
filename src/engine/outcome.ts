/** What became of a settled record. A closed set: also the values of the metric label `outcome`. */
export const OUTCOMES = ['written', 'duplicate', 'stale', 'superseded', 'dead_lettered'] as const
export type Outcome = (typeof OUTCOMES)[number]

/** How many records of a batch ended how; the five add up to the number of records. */
export type OutcomeCounts = Readonly<Record<Outcome, number>>

/** Counts a list of outcomes; every outcome is present, with 0 when nothing ended so. */
export function countOutcomes(outcomes: Iterable<Outcome>): OutcomeCounts {
  const counts = { written: 0, duplicate: 0, stale: 0, superseded: 0, dead_lettered: 0 }
  for (const outcome of outcomes) counts[outcome] += 1
  return counts
}
