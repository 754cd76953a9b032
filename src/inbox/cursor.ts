import { decodeCursor, encodeCursor } from '../engine/cursor.ts'
import { type DeadLetterPlace, LETTER_SORTS, type LetterQuery } from './ports.ts'

/** Two names that are as long as they may be, with what is around them. */
export const MAX_CURSOR_CHARACTERS = 2048
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$/
/** As long as a topic's name may be (249), with partition and offset; other programs may use names of their own. */
const MAX_NAME_CHARACTERS = 512

const isInstant = (text: string) => INSTANT.test(text) && !Number.isNaN(Date.parse(text))
const isName = (text: string) => text !== '' && text.length <= MAX_NAME_CHARACTERS && !text.includes('\0')
const isWhole = (most: bigint) => (text: string) => /^\d{1,19}$/.test(text) && BigInt(text) <= most

/** What Postgres can read as the columns that it is compared with. */
const KEYS: Readonly<Record<string, readonly ((text: string) => boolean)[]>> = {
  failed_at: [isInstant, isName],
  source: [isName, isWhole(2n ** 31n - 1n), isWhole(2n ** 63n - 1n), isName],
}

export function toCursor({ sort, keys }: DeadLetterPlace): string {
  return encodeCursor([sort, ...keys])
}

/** @returns `undefined` when it is no cursor of ours */
export function fromCursor(cursor: string): DeadLetterPlace | undefined {
  const [name, ...keys] = decodeCursor(cursor, MAX_CURSOR_CHARACTERS) ?? []
  const sort = LETTER_SORTS.find(known => known === name)
  const rules = KEYS[sort?.replace('-', '') ?? ''] ?? []
  if (sort === undefined || keys.length !== rules.length) return undefined
  return rules.every((holds, index) => holds(keys[index] ?? '')) ? { sort, keys } : undefined
}

export type ListStart =
  | { readonly ok: true; readonly start: Pick<LetterQuery, 'sort' | 'after'> }
  /** `what` is the parameter that is wrong; its name and `message` make a sentence without its full stop. */
  | { readonly ok: false; readonly what: 'sort' | 'cursor'; readonly message: string }

/** Where a list of dead letters begins. A cursor keeps the order of its list, so another order beside it is a mistake. */
export function listStart(sort: string | undefined, cursor: string | undefined): ListStart {
  const known = LETTER_SORTS.find(name => name === sort)
  if (sort !== undefined && known === undefined) {
    return { ok: false, what: 'sort', message: `must be one of ${LETTER_SORTS.join(', ')}` }
  }
  const after = cursor === undefined ? undefined : fromCursor(cursor)
  if (cursor !== undefined && after === undefined) {
    return { ok: false, what: 'cursor', message: 'must be what the page before ended with' }
  }
  if (known !== undefined && after !== undefined && after.sort !== known) {
    return { ok: false, what: 'cursor', message: `is of a list that is sorted by ${after.sort}` }
  }
  return { ok: true, start: { ...(known === undefined ? {} : { sort: known }), after } }
}
