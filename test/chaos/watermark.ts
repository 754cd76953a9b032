import type { Verdicts } from './invariants.ts'

/** Positions of partitions that may only grow, and when they did. */
export interface Watermark {
  saw(partition: number, offset: bigint): void
  /** Since when all of these move without a longer stop, and that for a while already; `undefined` while it is not so. */
  steadySince(partitions: readonly number[], after: number): number | undefined
  /** The longest stop, in ms, of those that ended after `from` and began before `to`. */
  longestGap(from: number, to: number): number
}

/** No movement for so long is a stop; under the load of a run a partition gets something to do several times in it. */
const STOP_MS = 1_500
/** So long without a stop, and it goes again. */
const STEADY_MS = 2_500
/** Ten minutes of moves: more than lies between a fault and the look at it. */
const MOVES_KEPT = 3_000

/**
 * Two looks must not overtake one another: one loop feeds it.
 * @param now monotonic, in ms
 */
export function createWatermark(name: string, verdicts: Verdicts, now: () => number): Watermark {
  const last = new Map<number, bigint>()
  const moves = new Map<number, number[]>()

  function steady(partition: number, after: number): number | undefined {
    const [first, ...later] = moves.get(partition)?.filter(at => at > after) ?? []
    if (first === undefined) return undefined
    let [since, latest] = [first, first]
    for (const at of later) {
      if (at - latest > STOP_MS) since = at
      latest = at
    }
    return now() - latest > STOP_MS ? undefined : since
  }

  function gaps(moments: readonly number[], from: number, to: number): number[] {
    return moments.map((moment, i) => {
      const before = moments[i - 1] ?? moment
      return moment > from && before < to ? moment - before : 0
    })
  }

  return {
    saw(partition, offset) {
      const before = last.get(partition)
      verdicts.checked('I7')
      if (before !== undefined && offset < before)
        verdicts.violated('I7', `partition ${partition}: ${name} went back from ${before} to ${offset}`)
      last.set(partition, offset)
      if (before !== undefined && offset <= before) return
      const moments = moves.get(partition) ?? []
      moments.push(now())
      if (moments.length > MOVES_KEPT) moments.shift()
      moves.set(partition, moments)
    },
    steadySince(partitions, after) {
      let since = after
      for (const partition of partitions) {
        const moment = steady(partition, after)
        if (moment === undefined) return undefined
        since = Math.max(since, moment)
      }
      return now() - since >= STEADY_MS ? since : undefined
    },
    longestGap: (from, to) => Math.max(0, ...[...moves.values()].flatMap(moments => gaps(moments, from, to))),
  }
}
