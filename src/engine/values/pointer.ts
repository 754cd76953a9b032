/** A name as a segment of a JSON Pointer (RFC 6901, section 3). */
export function escapeSegment(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}

/** The names in a JSON Pointer, unescaped. `''` has none. */
export function segmentsOf(pointer: string): string[] {
  if (pointer === '') return []
  return pointer
    .slice(1)
    .split('/')
    .map(segment => segment.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/**
 * Whether a name can be that of a known field. JavaScript gives `__proto__` a meaning of its own; V8 misreads some keys with escapes
 * (nodejs/node#63785); Postgres cannot hold NUL and half surrogates.
 */
export function isFieldName(name: string): boolean {
  return name !== '__proto__' && !/[\\\0]|\p{Cs}/u.test(name)
}
