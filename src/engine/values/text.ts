/**
 * No NUL, which Postgres cannot hold (SQLSTATE 22021 for the whole batch), and no half of a surrogate pair, which it would replace in
 * silence. Line breaks, markup and quotes are data like any other. The rule applies to every stream, whether its schema contains it or not.
 */
export const TEXT_PATTERN = '^[^\\u0000\\ud800-\\udfff]*$'

const STORABLE = new RegExp(TEXT_PATTERN, 'u')

export const isStorable = (text: string): boolean => STORABLE.test(text)

export const NOT_STORABLE = 'must hold neither NUL nor half of a surrogate pair'

/** Escapes of NUL and of surrogates. A raw NUL is not JSON, a raw surrogate not UTF-8: these are the only way in. */
const SUSPICIOUS_ESCAPE = /\\u(?:0000|[dD][89a-fA-F])/

/** Whether JSON text, decoded from UTF-8, may hold a text that is not storable. */
export function isSuspicious(json: string): boolean {
  return json.includes('\\u') && SUSPICIOUS_ESCAPE.test(json)
}
