import type { DlqPlace } from './ports.ts'

/** Places of one partition that are read in one go. */
export interface PlaceRun {
  readonly partition: number
  /** `[from, to)` */
  readonly from: bigint
  readonly to: bigint
  /** Ids by offset. */
  readonly wanted: ReadonlyMap<bigint, string>
}

/**
 * How to read scattered places with few jumps: reading over a small gap is cheaper than moving. In the order of partitions
 * and offsets.
 * @param maxGap offsets that are rather read over
 */
export function placeRuns(places: readonly DlqPlace[], maxGap: number): PlaceRun[] {
  const sorted = places.toSorted((a, b) => a.partition - b.partition || (a.offset < b.offset ? -1 : 1))
  const runs: { partition: number; from: bigint; to: bigint; wanted: Map<bigint, string> }[] = []
  for (const { id, partition, offset } of sorted) {
    const last = runs.at(-1)
    if (last !== undefined && last.partition === partition && offset - last.to <= maxGap) {
      last.to = offset + 1n
      last.wanted.set(offset, id)
    } else runs.push({ partition, from: offset, to: offset + 1n, wanted: new Map([[offset, id]]) })
  }
  return runs
}
