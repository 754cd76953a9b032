import type { Stream } from '../engine/stream.ts'
import type { DeadLetterFilter } from './filter.ts'
import { type DeadLetterStore, isOfAnotherKey } from './ports.ts'

/** Why an edited value may not be redriven. */
export interface EditRefusal {
  /** `edit_needs_one`, `edit_of_another_key`, or the reason for which the value would be a dead letter again. */
  readonly code: string
  /** A sentence without its full stop. It names keys, and nothing else of a payload. */
  readonly message: string
  /** Violations of a value that would be a dead letter again. */
  readonly violations: readonly { readonly pointer: string; readonly message: string }[]
}

/**
 * Whether this value may take the place of the dead letter that the filter names: it must be valid today, the filter must match
 * exactly one letter, and the key must be that letter's, where it is known. Otherwise the letter would be resolved, and its value
 * stored nowhere.
 * @returns `undefined` when it may
 * @throws StoreUnavailableError
 */
export async function refuseEdit(
  { letters, judge }: { readonly letters: Pick<DeadLetterStore, 'page'>; readonly judge: Stream['judge'] },
  filter: DeadLetterFilter,
  value: Buffer,
): Promise<EditRefusal | undefined> {
  const verdict = judge({ key: null, value })
  if (!verdict.ok) {
    const { reason, message, violations } = verdict.rejection
    return {
      code: reason,
      message: 'the edited value would be a dead letter again, for the reasons below',
      violations: violations.length > 0 ? violations : [{ pointer: '', message }],
    }
  }
  const { rows } = await letters.page({ filter, limit: 2, after: undefined })
  const [letter] = rows
  if (letter === undefined || rows.length > 1) {
    const matches = letter === undefined ? 'none' : 'several'
    return refusal(
      'edit_needs_one',
      `an edit takes the place of one dead letter, and the filter matches ${matches}: name it, as in id:"…"`,
    )
  }
  if (!isOfAnotherKey(letter, verdict.key)) return undefined
  return refusal(
    'edit_of_another_key',
    `the edited value has the key ${verdict.key}, and ${letter.id} has ${letter.key}: its value would be stored nowhere`,
  )
}

function refusal(code: string, message: string): EditRefusal {
  return { code, message, violations: [] }
}
