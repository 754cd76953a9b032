import { describe, expect, it } from 'vitest'
import { LETTER_SORTS } from '#src/core/dead-letter-desk.ts'
import { addressOf, placeOfAddress, SORTS } from '../../../web/console/address.js'
import { dlqLine, shellQuoted } from '../../../web/console/cli-line.js'
import { filterOfGroup, quoted, stateOf, termsOf, withTerms } from '../../../web/console/filter-text.js'
import { healthOf } from '../../../web/console/health.js'
import { bytesOf, hexDump } from '../../../web/console/hex.js'
import { duration } from '../../../web/console/words.js'

describe('filters are put together as text', () => {
  it('quotes what would not be read as one value', () => {
    expect(quoted('/payment/amount')).toBe('/payment/amount')
    expect(quoted('')).toBe('""')
    expect(quoted('a "b" \\ c')).toBe('"a \\"b\\" \\\\ c"')
    expect(quoted('a,b')).toBe('"a,b"')
  })

  it('reads terms with blanks and quotes within them', () => {
    expect(termsOf('state:open  text:"a \\" b" -reason:x')).toEqual(['state:open', 'text:"a \\" b"', '-reason:x'])
    expect(termsOf('text:"not closed')).toEqual(['text:"not closed'])
  })

  it('replaces the terms of a field and keeps the others', () => {
    expect(withTerms('reason:a state:open -state:parked age:>1h', 'state', 'state:resolved')).toBe(
      'reason:a age:>1h state:resolved',
    )
    expect(filterOfGroup('state:open reason:a,b', { reason: 'a', error: 'required', pointer: '' })).toBe(
      'state:open reason:a error:required pointer:""',
    )
  })

  it('knows which single state is asked for', () => {
    expect(stateOf('reason:a state:open')).toBe('open')
    expect(stateOf('reason:a')).toBe('')
    expect(stateOf('state:open,parked')).toBeUndefined()
    expect(stateOf('-state:open')).toBeUndefined()
  })
})

describe('the line for the shell', () => {
  it('quotes for a POSIX shell', () => {
    expect(shellQuoted('state:open')).toBe('state:open')
    expect(shellQuoted("it's; rm -rf $HOME")).toBe("'it'\\''s; rm -rf $HOME'")
    expect(dlqLine('ls', 'state:open pointer:/a*', '--limit', 50)).toBe(
      "bin/holdfast dlq ls --limit 50 'state:open pointer:/a*'",
    )
    expect(dlqLine('stats', '-reason:too_large')).toBe('bin/holdfast dlq stats -reason:too_large')
  })
})

describe('the address', () => {
  it.each([
    ['', 'groups', 'state:open', '-failed_at'],
    ['?q=', 'groups', '', '-failed_at'],
    ['?view=list&q=reason%3Aa', 'list', 'reason:a', '-failed_at'],
    ['?view=list&sort=source', 'list', 'state:open', 'source'],
    ['?view=list&sort=bytes', 'list', 'state:open', '-failed_at'],
    ['?view=nonsense', 'groups', 'state:open', '-failed_at'],
    ['?view=audit', 'audit', 'state:open', '-failed_at'],
  ])('says what is on the screen: %s', (search, view, q, sort) => {
    const place = placeOfAddress(search)
    expect(place).toEqual({ view, q, sort, id: undefined })
    expect(placeOfAddress(new URL(addressOf(place), 'http://x').search)).toEqual(place)
  })

  it('has the orders of the list that the API has', () => {
    expect(SORTS).toEqual(LETTER_SORTS)
  })

  it('keeps filter and order beside a letter, so that the way back leads to the same list', () => {
    expect(addressOf({ view: 'letter', id: 'orders-3-42', q: 'state:parked', sort: 'source' })).toBe(
      '/admin?letter=orders-3-42&q=state%3Aparked&sort=source',
    )
    expect(addressOf({ view: 'replay', id: 'r1', q: 'state:parked' })).toBe('/admin?replay=r1')
  })
})

describe('the stream in a sentence', () => {
  const fine = {
    state: 'running',
    lag_seconds: 0.2,
    breakers: [],
    partitions: [],
    dead_letters: { open: 0 },
    checks: [],
  }
  const now = Date.parse('2026-11-20T12:00:00Z')

  it.each([
    [{}, 'good', 'Running and up to date. No dead letter is open.'],
    [{ lag_seconds: 125 }, 'fair', 'Running, 2 min behind. No dead letter is open.'],
    [
      { dead_letters: { open: 1000, oldest_age_seconds: 7200 } },
      'fair',
      'Running and up to date. 1,000 dead letters are open, the oldest for 2 h.',
    ],
    [
      { breakers: [{ dependency: 'postgres', open: true, since: '2026-11-20T11:58:00Z' }] },
      'bad',
      'Postgres cannot be reached for 2 min. The stream waits, and goes on by itself: nothing is lost.',
    ],
    [
      {
        partitions: [
          { partition: 3, paused: ['storm_guard'] },
          { partition: 4, paused: ['store_away'] },
        ],
      },
      'bad',
      'Partition 3 stands still and waits for you to decide.',
    ],
    [{ state: 'failed', error: 'no table orders' }, 'bad', 'The stream has stopped: no table orders.'],
    [{ checks: [{ name: 'group', ok: false, reason: 'starting' }] }, 'fair', 'Not ready yet: starting.'],
  ])('names the worst that is true: %o', (change, level, words) => {
    expect(healthOf({ ...fine, ...change }, now)).toEqual({ level, words })
  })
})

describe('durations', () => {
  it.each([
    [0.02, '0 s'],
    [0.24, '0.2 s'],
    [59, '59 s'],
    [90, '2 min'],
    [7_500, '2 h 5 min'],
    [86_400, '1 d'],
    [180_000, '2 d 2 h'],
  ])('%d s is %s', (seconds, words) => expect(duration(seconds)).toBe(words))
})

describe('bytes', () => {
  it('are printed as hexdump does', () => {
    const dump = hexDump(bytesOf('1f8b0800ff41427e0a'))
    expect(dump).toBe('00000000  1f 8b 08 00 ff 41 42 7e  0a                       .....AB~.')
    expect(hexDump(new Uint8Array(40)).split('\n').length).toBe(3)
    expect(hexDump(new Uint8Array(40), 16).split('\n').length).toBe(1)
  })
})
