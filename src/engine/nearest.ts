/**
 * The candidate that a misspelt name most probably meant: the one with the fewest edits, when these are at most `most`, by default
 * a third of its length. `undefined` when none is that close.
 */
export function nearest(name: string, candidates: Iterable<string>, most?: number): string | undefined {
  let best: string | undefined
  let fewest = Number.POSITIVE_INFINITY
  for (const candidate of candidates) {
    const edits = editDistance(name, candidate)
    if (edits >= fewest || edits > (most ?? Math.max(1, Math.floor(candidate.length / 3)))) continue
    best = candidate
    fewest = edits
  }
  return best
}

/** Insertions, deletions and replacements of one character (Levenshtein). */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, column) => column)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (one[i - 1] === other[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
