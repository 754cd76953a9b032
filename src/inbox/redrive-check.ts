import type { Violation } from '../engine/dead-letter.ts'
import { grouped } from '../engine/grouped.ts'

/** The check that a redrive begins with: how many of its members would pass now, by today's schema. */

/** Members that are read for it at most, the oldest first, and for how long. */
export const CHECK_MEMBERS = 1_000
export const CHECK_TIME_MS = 3_000
/** Causes that it names. */
const NAMED_CAUSES = 3

/** Names of fields are those of the API. */
export interface RedriveCheck {
  readonly checked: number
  readonly passing: number
  readonly failing: number
  /** Their bytes are not in the dead-letter topic any more. */
  readonly gone: number
  /** Whether all members were read. */
  readonly complete: boolean
  /** The first violations of those that would fail again, the most frequent first. */
  readonly causes: readonly { readonly error: string; readonly pointer: string; readonly count: number }[]
  /** All of this in a sentence. */
  readonly message: string
}

/** What was found out about one member; `passes` is `undefined` when its bytes are gone. */
interface Checked {
  readonly passes: boolean | undefined
  readonly violations: readonly Violation[]
}

/** @param count members of the set */
export function summarize(results: readonly Checked[], count: number): RedriveCheck {
  const causes = new Map<string, { error: string; pointer: string; count: number }>()
  const numbers = { checked: results.length, passing: 0, failing: 0, gone: 0 }
  for (const { passes, violations } of results) {
    numbers[passes === undefined ? 'gone' : passes ? 'passing' : 'failing'] += 1
    const [first] = violations
    if (passes !== false || first === undefined) continue
    const key = `${first.keyword} ${first.pointer}`
    const known = causes.get(key)
    if (known === undefined) causes.set(key, { error: first.keyword, pointer: first.pointer, count: 1 })
    else known.count += 1
  }
  const check = {
    ...numbers,
    complete: results.length >= count,
    causes: [...causes.values()].sort((a, b) => b.count - a.count),
  }
  return { ...check, message: checkWords(check) }
}

/** Members that were chosen because they pass: nothing is left to be read. */
export function allPass(count: number): RedriveCheck {
  const check = { checked: count, passing: count, failing: 0, gone: 0, complete: true, causes: [] }
  return { ...check, message: checkWords(check) }
}

function checkWords({ checked, passing, failing, gone, complete, causes }: Omit<RedriveCheck, 'message'>): string {
  const named = causes.slice(0, NAMED_CAUSES).map(({ error, pointer, count }) => {
    const number = causes.length === 1 ? '' : `${grouped(count)} `
    return number + [error, pointer].filter(part => part !== '').join(' ')
  })
  const rest = causes.length > NAMED_CAUSES ? ['…'] : []
  const why = named.length === 0 ? '' : ` (${[...named, ...rest].join(', ')})`
  const passes = complete
    ? `${grouped(passing)} of ${grouped(checked)} would pass now`
    : `of the first ${grouped(checked)} checked, ${grouped(passing)} would pass now`
  const fails = failing === 0 ? '' : `; ${grouped(failing)} would fail again${why}`
  const lost = gone === 0 ? '' : `; ${grouped(gone)} cannot be checked: their bytes are gone`
  return passes + fails + lost
}
