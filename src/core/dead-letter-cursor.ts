import type { DeadLetterPlace } from './dead-letter-desk.ts'

const MAX_CURSOR_CHARACTERS = 1024
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$/
/** As long as a topic's name may be (249), with partition and offset; other programs may use names of their own. */
const MAX_ID_CHARACTERS = 512

/** Opaque to callers, so that what it is made of can change. It says where to go on, and opens nothing. */
export function toCursor({ failedAt, id }: DeadLetterPlace): string {
  return Buffer.from(JSON.stringify([failedAt, id])).toString('base64url')
}

/** @returns `undefined` when it is no cursor of ours */
export function fromCursor(cursor: string): DeadLetterPlace | undefined {
  if (cursor.length > MAX_CURSOR_CHARACTERS || !/^[A-Za-z0-9_-]+$/.test(cursor)) return undefined
  let place: unknown
  try {
    place = JSON.parse(Buffer.from(cursor, 'base64url').toString())
  } catch {
    return undefined
  }
  if (!Array.isArray(place) || place.length !== 2) return undefined
  const [failedAt, id]: unknown[] = place
  if (typeof failedAt !== 'string' || !INSTANT.test(failedAt) || Number.isNaN(Date.parse(failedAt))) return undefined
  if (typeof id !== 'string' || id === '' || id.length > MAX_ID_CHARACTERS || id.includes('\0')) return undefined
  return { failedAt, id }
}
