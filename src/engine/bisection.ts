/** Indexes `[start, end)` of the records of a batch. */
export interface Range {
  readonly start: number
  readonly end: number
}

export type Bisected =
  | { readonly kind: 'halves'; readonly lower: Range; readonly upper: Range }
  | { readonly kind: 'culprit'; readonly index: number }

/**
 * Halves a batch that failed as a whole, so that one bad record does not condemn its neighbours.
 * Finding k culprits among n records this way takes at most 2k * ceil(log2 n) further writes.
 * @param failed what failed, at least one record.
 * @returns the lower and the upper half, the lower one not smaller; or the culprit, when only one record is left.
 * @throws RangeError on an empty range: the caller has lost count.
 */
export function bisect({ start, end }: Range): Bisected {
  if (!(start < end)) throw new RangeError(`nothing to bisect in [${start}, ${end})`)
  if (end - start === 1) return { kind: 'culprit', index: start }
  const middle = Math.ceil((start + end) / 2)
  return { kind: 'halves', lower: { start, end: middle }, upper: { start: middle, end } }
}
