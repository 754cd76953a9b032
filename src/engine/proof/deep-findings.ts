/** Where a row and its record disagree. */
export interface DeepFinding {
  readonly partition: number
  readonly offset: bigint
  /** A sentence; it names the key of a value and places in it, and no other data. */
  readonly what: string
}

export type DeepFindingKind = 'differs' | 'missing' | 'older' | 'claims'

/** Findings of each kind that are listed: the rest is only counted. */
const NAMED_AT_MOST = 20
/** Keys that are remembered so that each is counted once. */
export const REMEMBERED_AT_MOST = 10_000

export interface DeepFindings {
  /** Only the first of each key and kind is kept: a row that is missing is missed by every version of its record. */
  add(
    kind: DeepFindingKind,
    key: string,
    at: { readonly partition: number; readonly offset: bigint },
    what: string,
  ): void
  list(): DeepFinding[]
}

export function createDeepFindings(): DeepFindings {
  const kinds = new Map<DeepFindingKind, { readonly keys: Set<string>; readonly named: DeepFinding[]; more: boolean }>()
  return {
    add(kind, key, { partition, offset }, what) {
      const known = kinds.get(kind) ?? { keys: new Set(), named: [], more: false }
      kinds.set(kind, known)
      if (known.keys.has(key)) return
      if (known.keys.size >= REMEMBERED_AT_MOST) known.more = true
      else known.keys.add(key)
      if (known.named.length < NAMED_AT_MOST) known.named.push({ partition, offset, what })
    },
    list: () =>
      [...kinds.values()].flatMap(({ keys, named, more }) => {
        const last = named.at(-1)
        const rest = keys.size - named.length
        if (last === undefined || rest === 0) return named
        return [...named, { ...last, what: `and ${rest}${more ? ' or more' : ''} of the same kind: ${last.what}` }]
      }),
  }
}
