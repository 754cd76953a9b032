import { compareKeys } from './collapse.ts'
import type { Outcome, OutcomeCounts } from './outcome.ts'
import type { SettlementWork } from './settlement.ts'

/**
 * Holds a work to its invariants before anything is written: a ledger that does not add up is worse than a stop.
 * @returns the offsets in `[from, to)` that hold no record, as transaction markers do.
 * @throws RangeError when the caller has lost count: our bug, and no record's
 */
export function checkWork<T>(work: SettlementWork<T>): { readonly gaps: bigint } {
  const { from, to, records, ready, collapsed, deadLetters } = work
  if (from < 0n || to <= from) throw new RangeError(`a batch cannot lead from offset ${from} to ${to}`)
  const ends = ready.length + collapsed.superseded + collapsed.duplicate + collapsed.stale + deadLetters.length
  if (ends !== records)
    throw new RangeError(`the batch ${from}..${to} has ${records} records, but ${ends} ends for them`)
  const gaps = to - from - BigInt(records)
  if (gaps < 0n) throw new RangeError(`${records} records do not fit between the offsets ${from} and ${to}`)
  for (let i = 1; i < ready.length; i++) {
    if (compareKeys(ready[i - 1]?.key ?? '', ready[i]?.key ?? '') >= 0) {
      throw new RangeError(`the values of the batch ${from}..${to} are not sorted by key, each once`)
    }
  }
  return { gaps }
}

/** How the whole work ended: what the store did with its values, and what was decided before. */
export function countWork<T>(work: SettlementWork<T>, outcomes: Iterable<Outcome>): OutcomeCounts {
  const counts = {
    written: 0,
    duplicate: work.collapsed.duplicate,
    stale: work.collapsed.stale,
    superseded: work.collapsed.superseded,
    dead_lettered: work.deadLetters.length,
  }
  for (const outcome of outcomes) counts[outcome] += 1
  return counts
}
