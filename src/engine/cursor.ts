/** Where the next page of a list goes on. Opaque to callers, so that what it is made of can change; it opens nothing. */
export function encodeCursor(texts: readonly string[]): string {
  return Buffer.from(JSON.stringify(texts)).toString('base64url')
}

/** @returns `undefined` when it is no cursor; how many texts there are and what they mean is for the caller to check */
export function decodeCursor(cursor: string, maxCharacters: number): readonly string[] | undefined {
  if (cursor.length > maxCharacters || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined
  let texts: unknown
  try {
    texts = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
  return Array.isArray(texts) && texts.every(text => typeof text === 'string') ? texts : undefined
}
