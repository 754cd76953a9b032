/** JSON Pointers of the places in which two JSON values differ, at most `limit` of them. No value is named. */
export function differences(one: unknown, other: unknown, limit = 3): string[] {
  const found: string[] = []
  compare(one, other, '')
  return found

  function compare(a: unknown, b: unknown, pointer: string): void {
    if (found.length >= limit || a === b) return
    if (!isContainer(a) || !isContainer(b) || Array.isArray(a) !== Array.isArray(b)) {
      found.push(pointer)
      return
    }
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      compare(a[key], b[key], `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`)
    }
  }
}

function isContainer(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
