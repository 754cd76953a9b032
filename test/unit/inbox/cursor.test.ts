import { describe, expect, it } from 'vitest'
import { encodeCursor } from '#src/engine/cursor.ts'
import { fromCursor, listStart, MAX_CURSOR_CHARACTERS, toCursor } from '#src/inbox/cursor.ts'
import { type DeadLetterPlace, LETTER_SORTS } from '#src/inbox/ports.ts'

const KEYS = {
  failed_at: ['2026-01-01T00:00:00.123456Z', 'orders-3-42'],
  source: ['orders', '3', '42', 'orders-3-42'],
}
const placeOf = (sort: (typeof LETTER_SORTS)[number]): DeadLetterPlace => {
  return { sort, keys: sort.endsWith('source') ? KEYS.source : KEYS.failed_at }
}

describe('the cursor of a list of dead letters', () => {
  it.each(LETTER_SORTS)('says where to go on, and in what order: %s', sort => {
    expect(fromCursor(toCursor(placeOf(sort)))).toEqual(placeOf(sort))
  })

  it('holds the longest names that there can be', () => {
    const topic = 't'.repeat(249)
    const cursor = toCursor({ sort: 'source', keys: [topic, '2147483647', '9223372036854775807', 'i'.repeat(512)] })
    expect(cursor.length).toBeLessThanOrEqual(MAX_CURSOR_CHARACTERS)
    expect(fromCursor(cursor)?.keys[0]).toBe(topic)
  })

  it.each([
    ['of another list', ['2026-01-01T00:00:00Z', 'uid']],
    ['of an order that there is not', ['bytes', '1', 'id']],
    ['with the keys of another order', ['source', ...KEYS.failed_at]],
    ['with one too few', ['failed_at', '2026-01-01T00:00:00Z']],
    ['with one too many', ['failed_at', ...KEYS.failed_at, 'x']],
    ['with a time that is none', ['failed_at', '2026-13-01T00:00:00Z', 'id']],
    ['with a partition that no column holds', ['source', 'orders', '2147483648', '0', 'id']],
    ['with an offset that no column holds', ['source', 'orders', '0', '9223372036854775808', 'id']],
    ['with an offset that is no number', ['-source', 'orders', '0', '-1', 'id']],
    ['with what no text of Postgres holds', ['failed_at', '2026-01-01T00:00:00Z', 'a\0b']],
    ['without an id', ['failed_at', '2026-01-01T00:00:00Z', '']],
  ])('%s is none', (_what, texts) => {
    expect(fromCursor(encodeCursor(texts))).toBeUndefined()
  })
})

describe('the start of a list of dead letters', () => {
  it('is the first page in the order that is asked for, or where a cursor says, in its own order', () => {
    const place = placeOf('source')
    expect(listStart(undefined, undefined)).toEqual({ ok: true, start: { after: undefined } })
    expect(listStart('-source', undefined)).toEqual({ ok: true, start: { sort: '-source', after: undefined } })
    expect(listStart(undefined, toCursor(place))).toEqual({ ok: true, start: { after: place } })
    expect(listStart('source', toCursor(place))).toEqual({ ok: true, start: { sort: 'source', after: place } })
  })

  it.each([
    ['an order that there is not', 'bytes', undefined, 'sort must be one of -failed_at, failed_at, source, -source'],
    ['what is no cursor', undefined, 'abc', 'cursor must be what the page before ended with'],
    [
      'a cursor of another order',
      '-source',
      toCursor(placeOf('source')),
      'cursor is of a list that is sorted by source',
    ],
  ])('is not %s', (_what, sort, cursor, said) => {
    const begins = listStart(sort, cursor)
    expect(begins.ok ? '' : `${begins.what} ${begins.message}`).toBe(said)
  })
})
