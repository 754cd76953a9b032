/** Two texts, by which a list says where its next page goes on. */
export type CursorPair = readonly [string, string]

/** Opaque to callers, so that what it is made of can change. It says where to go on, and opens nothing. */
export function encodeCursor(pair: CursorPair): string {
  return Buffer.from(JSON.stringify(pair)).toString('base64url')
}

/** @returns `undefined` when it is no cursor; what the texts mean is for the caller to check */
export function decodeCursor(cursor: string, maxCharacters: number): CursorPair | undefined {
  if (cursor.length > maxCharacters || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined
  let pair: unknown
  try {
    pair = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(pair) || pair.length !== 2) return undefined
  const [first, second]: unknown[] = pair
  return typeof first === 'string' && typeof second === 'string' ? [first, second] : undefined
}
