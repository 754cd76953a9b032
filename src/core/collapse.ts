import type { LeftOut } from '../engine/settlement.ts'
import type { ReadyRecord } from '../engine/verdict.ts'
import { compareOrigins } from './record.ts'

export interface Collapsed<T> {
  /** One for each key, sorted by key in byte order. */
  readonly ready: readonly ReadyRecord<T>[]
  readonly superseded: number
  readonly duplicate: number
  readonly stale: number
  /** The others: where dead letters wait for them, those are closed with the batch. */
  readonly leftOut: readonly LeftOut<T>[]
}

/**
 * Leaves the newest record of each key, because one upsert may not touch a row twice (SQLSTATE 21000), and sorts by key,
 * so that two lanes or replicas which hold the same orders lock them in the same order and cannot deadlock.
 * @param records in the order in which they arrived; a redriven one counts with its origin position
 */
export function collapse<T>(records: readonly ReadyRecord<T>[]): Collapsed<T> {
  const newest = new Map<string, ReadyRecord<T>>()
  let superseded = 0
  let duplicate = 0
  let stale = 0
  const leftOut: LeftOut<T>[] = []
  for (const record of records) {
    const earlier = newest.get(record.key)
    if (earlier !== undefined) {
      const standing = compareOrigins(record.origin, earlier.origin)
      if (standing === 'same') {
        duplicate += 1
        leftOut.push({ ready: record, outcome: 'duplicate' })
        continue
      }
      if (standing === 'older') {
        stale += 1
        leftOut.push({ ready: record, outcome: 'stale' })
        continue
      }
      superseded += 1
      leftOut.push({ ready: earlier, outcome: 'superseded' })
    }
    newest.set(record.key, record)
  }
  // Uids are ASCII (the schema says so): comparing code units is comparing bytes.
  const ready = [...newest.values()].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
  return { ready, superseded, duplicate, stale, leftOut }
}
