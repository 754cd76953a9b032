import { execFileSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import { LETTER_SORTS } from '#src/inbox/ports.ts'
import { addressOf, placeOfAddress, SORTS } from '../../../web/console/address.js'
import { dlqLine, shellQuoted } from '../../../web/console/cli-line.js'
import { filterOfGroup, quoted, stateOf, termsOf, withTerms } from '../../../web/console/filter-text.js'
import { agoOf, healthOf, pausesOf, silenceOf } from '../../../web/console/health.js'
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
    expect(shellQuoted('=ls')).toBe("'=ls'")
    expect(dlqLine('ls', 'state:open pointer:/a*', '--limit', 50)).toBe("dlq ls --limit 50 'state:open pointer:/a*'")
    expect(dlqLine('stats', '-reason:too_large')).toBe('dlq stats -reason:too_large')
  })

  it.each([
    ['escape sequences', 'error:"\u001b[2J\u0007"'],
    ['a line end', 'a\nrm -rf ~\r'],
    ['C1, bidi and what has no width', "it's \u009b31m\u202eevil\u200b\u{e0041}!"],
  ])('shows and hands on %s, which a terminal obeys when it is pasted', (_what, word) => {
    const line = shellQuoted(word)
    expect(line).toMatch(/^[\x20-\x7e]+$/)
    expect(execFileSync('bash', ['-c', `printf %s ${line}`], { encoding: 'utf8' })).toBe(word)
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
  ])('says what is on the screen: %s', (search, view, q, sort) => {
    const place = placeOfAddress(search)
    expect(place).toEqual({ view, q, sort, id: undefined })
    expect(placeOfAddress(new URL(addressOf(place), 'http://x').search)).toEqual(place)
  })

  it('holds the filter of the audit log, and only what it names', () => {
    const place = placeOfAddress('?view=audit&who=ada&what=discard%2Cseek&since=24h&until=&q=reason%3Aa')
    expect(place).toMatchObject({ view: 'audit', audit: { who: 'ada', what: 'discard,seek', since: '24h' } })
    expect(addressOf(place)).toBe('/admin?view=audit&who=ada&what=discard%2Cseek&since=24h')
    expect(placeOfAddress('?view=audit')).toMatchObject({ view: 'audit', audit: {} })
    expect(placeOfAddress('?view=list&who=ada')).not.toHaveProperty('audit')
  })

  it('holds the span of the time line, and no filter there', () => {
    expect(placeOfAddress('?view=timeline&span=7d')).toMatchObject({ view: 'timeline', span: '7d' })
    expect(placeOfAddress('?view=timeline&span=2h')).toMatchObject({ view: 'timeline', span: '1h' })
    expect(placeOfAddress('?view=list&span=7d')).not.toHaveProperty('span')
    expect(addressOf({ view: 'timeline', span: '24h', q: 'reason:a' })).toBe('/admin?view=timeline&span=24h')
    expect(addressOf({ view: 'timeline', span: '1h' })).toBe('/admin?view=timeline')
  })

  it('names the stream where there are several', () => {
    expect(addressOf({ view: 'letter', id: 'returns-3-42', stream: 'returns' })).toBe(
      '/admin?stream=returns&letter=returns-3-42',
    )
    expect(addressOf({ view: 'groups', stream: 'a&b' })).toBe('/admin?stream=a%26b')
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

  const postgresAway = { dependency: 'postgres', open: true, since: '2026-11-20T11:58:00Z' }
  const WAITS = 'The stream waits, and goes on by itself: nothing is lost.'

  it.each([
    [{}, 'good', ['Running and up to date. No dead letter is open.']],
    [{ lag_seconds: 125 }, 'fair', ['Running, 2 min behind. No dead letter is open.']],
    [
      { dead_letters: { open: 1000, oldest_age_seconds: 7200, attention: { regressed: 1, new: 2 } } },
      'fair',
      ['Running and up to date. 2 causes are new; 1 cause came back. 1,000 dead letters are open, the oldest for 2 h.'],
    ],
    // One old letter that everybody knows of asks for no attention.
    [
      { dead_letters: { open: 1, oldest_age_seconds: 345_600, attention: {} } },
      'good',
      ['Running and up to date. 1 dead letter is open, the oldest for 4 d. Nothing of it is new.'],
    ],
    [
      { dead_letters: { open: 0, attention: { due: 1 } } },
      'fair',
      ['Running and up to date. 1 snooze is over. No dead letter is open.'],
    ],
    [{ breakers: [postgresAway] }, 'bad', ['Postgres has been unreachable for 2 min.'], [WAITS]],
    [
      {
        partitions: [
          { partition: 3, paused: ['storm_guard'] },
          { partition: 4, paused: ['store_away'] },
        ],
      },
      'bad',
      ['Partition 3 stands still and waits for you to decide.'],
    ],
    [{ state: 'failed', error: 'no table orders' }, 'bad', ['The stream has stopped: no table orders.']],
    [
      { state: 'halted', error: 'no column reason', checks: [{ name: 'stream', ok: false, reason: 'halted' }] },
      'bad',
      ['The stream is halted, and tried again by itself: no column reason.'],
    ],
    [{ checks: [{ name: 'group', ok: false, reason: 'starting' }] }, 'fair', ['Not ready yet: starting.']],
  ])('names what is true: %o', (change, level, words, also: string[] = []) => {
    expect(healthOf({ ...fine, ...change }, now)).toEqual({ level, words, also })
  })

  it('lists all that is wrong, the worst first, and each once', () => {
    const partition = { partition: 1, here: true, high_age_seconds: 30 }
    const stream = {
      ...fine,
      breakers: [postgresAway, { dependency: 'dlq', open: true, since: '2026-11-20T11:59:30Z' }],
      partitions: [{ partition: 0, here: true, paused: ['storm_guard'] }, partition],
      checks: [
        { name: 'breakers', ok: false, reason: 'breaker-open: postgres is away' },
        { name: 'postgres', ok: false, reason: 'no connection' },
        { name: 'partitions', ok: false, reason: 'partition 0 was stopped' },
        { name: 'group_member', ok: false, reason: 'no partitions yet' },
      ],
      dead_letters: { open: 7_761, oldest_age_seconds: 60, attention: { new: 1 } },
      age_seconds: { dead_letters: 40 },
    }
    expect(healthOf(stream, now)).toEqual({
      level: 'bad',
      words: [
        'Partition 0 stands still and waits for you to decide.',
        'Postgres has been unreachable for 2 min.',
        'The dead-letter topic has been unreachable for 30 s.',
        'Kafka has sent nothing of partition 1 for 30 s.',
        'Not ready yet: no partitions yet.',
      ],
      // Of itself it would not go on.
      also: ['Nothing is lost.', '1 cause is new. 7,761 dead letters were open 40 s ago.'],
    })
  })

  it('names who paused what, for how long and why: the stream once, and no trouble of it', () => {
    const since = new Date(now - 180_000).toISOString()
    const own = { by: 'ben', because: 'a drill', since, whole_stream: false }
    const whole = { by: 'ada', because: 'maintenance.', since, whole_stream: true }
    const held = (pause: object, partition: number) => ({
      partition,
      here: true,
      paused: ['operator'],
      operator_pause: pause,
    })
    expect(healthOf({ ...fine, partitions: [held(own, 0), { partition: 1, here: true }] }, now)).toMatchObject({
      level: 'fair',
      words: ['Partition 0 is paused by ben for 3 min: a drill.'],
    })
    expect(pausesOf({ partitions: [held(own, 0), held(whole, 1), held(whole, 2)] })).toEqual([
      { partition: undefined, pause: whole },
      { partition: 0, pause: own },
    ])
    expect(healthOf({ ...fine, partitions: [held(whole, 1), held(whole, 2)] }, now).words).toEqual([
      'The stream is paused by ada for 3 min: maintenance.',
    ])
  })

  it('names each partition that waits for something of its own, and says it once', () => {
    const partitions = [
      { partition: 0, here: true, unreadable: 'it has no leader', high_age_seconds: 60 },
      { partition: 1, here: true, contended: 'lock timeout (55P03)' },
    ]
    const checks = [{ name: 'partitions', ok: false, reason: 'orders-0 cannot be read: it has no leader' }]
    expect(healthOf({ ...fine, partitions, checks }, now)).toMatchObject({
      level: 'bad',
      words: [
        'Partition 0 cannot be read: it has no leader.',
        'The batch of partition 1 is tried again and again: lock timeout (55P03).',
      ],
    })
  })

  it.each([
    ['of a database that says nothing', { store_silent_seconds: 5 }, 0, ['Postgres has not answered for 5 s.']],
    [
      'of a broker that says nothing',
      { partitions: [{ partition: 0, here: true, high_age_seconds: 15 }] },
      0,
      ['Kafka has not answered for 15 s.'],
    ],
    [
      'of a service that says nothing',
      {},
      12,
      ['The service has sent nothing for 12 s: it is stopped, or the connection is down.'],
    ],
  ])('is never green for the word %s', (_, change, heardSeconds, words) => {
    expect(healthOf({ ...fine, ...change }, now, heardSeconds)).toMatchObject({ level: 'bad', words })
  })

  it('takes what is not known for unknown, and not for zero', () => {
    const nothing = {
      ...fine,
      lag_seconds: null,
      lag_records: null,
      dead_letters: null,
      automatic_redrive: null,
      rate: null,
    }
    expect(healthOf(nothing, now)).toEqual({
      level: 'fair',
      words: ['Running; how far behind is not known. How many dead letters are open is not known.'],
      also: [],
    })
    expect(healthOf({ ...fine, lag_seconds: null, lag_records: 0 }, now).level).toBe('good')
    expect(healthOf({ ...fine, state: 'elsewhere', lag_seconds: null }, now).words[0]).toMatch(/^Other processes/)
    expect(healthOf(undefined).level).toBe('unknown')
  })

  it('says how old it is only where it is old', () => {
    expect([agoOf(null), agoOf(2), agoOf(40)]).toEqual([undefined, undefined, '40 s ago'])
    expect([
      silenceOf(undefined),
      silenceOf({ store_silent_seconds: 2 }),
      silenceOf({ store_silent_seconds: 9 }),
    ]).toEqual([0, 0, 9])
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
