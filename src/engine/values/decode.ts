import { isAscii, isUtf8 } from 'node:buffer'
import type { Reason, Rejection } from '../dead-letter.ts'

/** JSON as its text and what was parsed from it, or the reason why it is none. */
export type Decoded =
  | { readonly ok: true; readonly text: string; readonly data: unknown }
  | { readonly ok: false; readonly rejection: Rejection }

/** V8 quotes the input in some of its messages; only the position is safe to report. */
const POSITION = /in JSON at position (\d+)(?: \(line \d+ column \d+\))?$/

/**
 * Decodes a record's value. The reasons, in the order in which they are looked for: `empty_value` (null or zero bytes), `too_large`,
 * `malformed_json` (not UTF-8, or not JSON). One byte order mark is skipped; of a repeated key the last one counts.
 */
export function decode(value: Buffer | null, maxBytes: number): Decoded {
  if (value === null) return reject('empty_value', 'tombstone', 'the record has no value (a tombstone)')
  if (value.length === 0) return reject('empty_value', 'zero_bytes', 'the value is empty (0 bytes)')
  if (value.length > maxBytes) {
    return reject('too_large', 'max_bytes', `the value has ${value.length} bytes, more than ${maxBytes}`)
  }
  const text = textOf(value)
  if (text === undefined) return reject('malformed_json', 'not_utf8', 'the value is not UTF-8 text')
  try {
    // V8 misreads some keys with escapes, as another key that it has seen before and that holds a backslash
    // (nodejs/node#63785). A schema may not name such a key, so no known field is ever taken for another.
    return { ok: true, text, data: JSON.parse(text) }
  } catch (error) {
    const position = error instanceof Error ? POSITION.exec(error.message)?.[1] : undefined
    const where = position === undefined ? '' : ` (position ${position})`
    return reject('malformed_json', 'not_json', `the value is not JSON${where}`)
  }
}

function reject(reason: Reason, error: string, message: string): Decoded {
  return { ok: false, rejection: { reason, error, pointer: '', message, violations: [] } }
}

/** Never `toString()` alone: it turns bad bytes into U+FFFD and lets wrong data through. */
function textOf(value: Buffer): string | undefined {
  if (isAscii(value)) return value.toString('latin1')
  if (!isUtf8(value)) return undefined
  const text = value.toString('utf8')
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}
