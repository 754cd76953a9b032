import { decodeCursor, encodeCursor } from './cursor.ts'
import type { DeadLetterPlace } from './dead-letter-desk.ts'

const MAX_CURSOR_CHARACTERS = 1024
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$/
/** As long as a topic's name may be (249), with partition and offset; other programs may use names of their own. */
const MAX_ID_CHARACTERS = 512

export function toCursor({ failedAt, id }: DeadLetterPlace): string {
  return encodeCursor([failedAt, id])
}

/** @returns `undefined` when it is no cursor of ours */
export function fromCursor(cursor: string): DeadLetterPlace | undefined {
  const [failedAt, id] = decodeCursor(cursor, MAX_CURSOR_CHARACTERS) ?? []
  if (failedAt === undefined || !INSTANT.test(failedAt) || Number.isNaN(Date.parse(failedAt))) return undefined
  if (id === undefined || id === '' || id.length > MAX_ID_CHARACTERS || id.includes('\0')) return undefined
  return { failedAt, id }
}
