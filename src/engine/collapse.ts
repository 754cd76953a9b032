import { compareOrigins } from './record.ts'
import type { LeftOut } from './settlement.ts'
import type { ReadyRecord } from './verdict.ts'

export interface Collapsed<T> {
  /** One for each key, sorted by {@link compareKeys}. */
  readonly ready: readonly ReadyRecord<T>[]
  readonly superseded: number
  readonly duplicate: number
  readonly stale: number
  /** The others: where dead letters wait for them, those are closed with the batch. */
  readonly leftOut: readonly LeftOut<T>[]
}

/**
 * Leaves the newest record of each key, because one upsert may not touch a row twice (SQLSTATE 21000), and sorts by key,
 * so that two transactions which hold the same keys lock them in the same order and cannot deadlock.
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
  const ready = [...newest.values()].sort((a, b) => compareKeys(a.key, b.key))
  return { ready, superseded, duplicate, stale, leftOut }
}

/**
 * Orders keys by their bytes in UTF-8, as Postgres does with COLLATE "C". Code units of UTF-16 have the same order, but for surrogates: they
 * stand for characters above all others, though U+E000 to U+FFFF are larger numbers.
 * @returns negative, zero or positive, as for a sort
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return weightOf(x) - weightOf(y)
  }
  return a.length - b.length
}

function weightOf(codeUnit: number): number {
  return codeUnit >= 0xd800 && codeUnit <= 0xdfff ? codeUnit + 0x10000 : codeUnit
}
