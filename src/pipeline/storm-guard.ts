import type { Batch } from './partition.ts'
import type { Validated } from './validate.ts'

export interface StormCheck {
  /** How many of the batch's records may still be settled before the partition must stop; all of them, usually. */
  readonly keep: number
  /** Dead letters at the end of what is kept. */
  readonly inARow: number
  readonly storm: boolean
}

/**
 * Counts dead letters that follow on one another. When so many come in a row that it is no longer about single records
 * (a producer that speaks another schema, say), the topic would be emptied into the dead letters: better to stop exactly
 * at the limit and let somebody look.
 * @param limit DLQ_STORM_MAX_CONSECUTIVE; 0: off
 * @param before dead letters in a row before this batch
 */
export function checkStorm<T>(batch: Batch, validated: Validated<T>, before: number, limit: number): StormCheck {
  const invalid = new Set(validated.deadLetters.map(({ record }) => record.offset))
  let inARow = before
  for (const [index, record] of batch.records.entries()) {
    inARow = invalid.has(record.offset) ? inARow + 1 : 0
    if (limit > 0 && inARow >= limit) return { keep: index + 1, inARow, storm: true }
  }
  return { keep: batch.records.length, inARow, storm: false }
}
