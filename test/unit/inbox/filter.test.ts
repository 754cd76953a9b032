import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { REASONS } from '#src/engine/dead-letter.ts'
import { formatInstant } from '#src/engine/values/instant.ts'
import { escapeSegment } from '#src/engine/values/pointer.ts'
import {
  COMPARISONS,
  namesState,
  PATTERN_FIELDS,
  printFilter,
  printWithheld,
  type WrittenTerm,
} from '#src/inbox/filter.ts'
import { parseFilter } from '#src/inbox/filter-reader.ts'
import { FILTER_DAYS } from '#src/inbox/filter-time.ts'
import { DEAD_LETTER_STATES } from '#src/inbox/letter-states.ts'
import { plainFilter } from '../../support/filter-model.ts'

function terms(text: string): readonly WrittenTerm[] {
  const parsed = parseFilter(text)
  if (!parsed.ok) throw new Error(`column ${parsed.column}: ${parsed.message}`)
  return parsed.filter.terms
}

function misread(text: string): [column: number, message: string] {
  const parsed = parseFilter(text)
  if (parsed.ok) throw new Error(`was read as ${printFilter(parsed.filter)}`)
  return [parsed.column, parsed.message]
}

describe('a filter', () => {
  it('is terms that must all hold, and none of them takes every dead letter', () => {
    expect(terms('')).toEqual([])
    expect(terms('  \t\n ')).toEqual([])
    expect(
      terms(' reason:schema_violation error:required pointer:/payment/* key:abc* age:>1h state:open partition:3 '),
    ).toEqual([
      { field: 'reason', not: false, values: ['schema_violation'] },
      { field: 'error', not: false, values: ['required'] },
      { field: 'pointer', not: false, values: ['/payment/*'] },
      { field: 'key', not: false, values: ['abc*'] },
      { field: 'age', not: false, comparison: '>', ms: 3_600_000 },
      { field: 'state', not: false, values: ['open'] },
      { field: 'partition', not: false, values: [3] },
    ])
  })

  it('takes alternatives, negation and quotes', () => {
    expect(terms('-reason:empty_value,too_large id:"orders-0-1","a b"')).toEqual([
      { field: 'reason', not: true, values: ['empty_value', 'too_large'] },
      { field: 'id', not: false, values: ['orders-0-1', 'a b'] },
    ])
    expect(terms(String.raw`text:"say \"a\\b\", then"`)).toEqual([
      { field: 'text', not: false, text: String.raw`say "a\b", then` },
    ])
    expect(terms('pointer:""')).toEqual([{ field: 'pointer', not: false, values: [''] }])
  })

  it('compares ages in every unit, and counts of redrives', () => {
    const ages = ['250ms', '90s', '5m', '2h', '3d', '1w'].map(age => terms(`age:<=${age}`)[0])
    expect(ages.map(term => term?.field === 'age' && term.ms)).toEqual([
      250, 90_000, 300_000, 7_200_000, 259_200_000, 604_800_000,
    ])
    expect(terms('replays:0 replays:>=2 -replays:=1')).toEqual([
      { field: 'replays', not: false, comparison: '=', count: 0 },
      { field: 'replays', not: false, comparison: '>=', count: 2 },
      { field: 'replays', not: true, comparison: '=', count: 1 },
    ])
  })

  it('takes times with and without seconds, zone and quotes, dates, ages and days', () => {
    const time = (text: string) => {
      const [term] = terms(`after:${text}`)
      return term?.field === 'after' ? term.time : undefined
    }
    expect(time('2026-11-29T14:05:00Z')).toEqual({ at: '2026-11-29T14:05:00Z' })
    expect(time('2026-11-29T15:05:00.25+01:00')).toEqual({ at: '2026-11-29T14:05:00.25Z' })
    expect(time('2026-11-29T14:05')).toEqual({ at: '2026-11-29T14:05:00Z' })
    expect(time('"2026-11-29 14:05"')).toEqual({ at: '2026-11-29T14:05:00Z' })
    expect(time('2026-11-29')).toEqual({ at: '2026-11-29T00:00:00Z' })
    expect([time('2h'), time('-2h'), time('90s')]).toEqual([
      { agoMs: 7_200_000 },
      { agoMs: 7_200_000 },
      { agoMs: 90_000 },
    ])
    expect([time('today'), time('yesterday')]).toEqual([{ day: 'today' }, { day: 'yesterday' }])
    expect(printFilter({ terms: terms('-before:"2026-11-29 00:00" after:-60m') })).toBe('-before:2026-11-29 after:1h')
  })

  it('takes words without a field, and whole sentences in quotes', () => {
    expect(terms('timeout -"no route" state:open abc* orders-0-1')).toEqual([
      { field: 'word', not: false, text: 'timeout' },
      { field: 'word', not: true, text: 'no route' },
      { field: 'state', not: false, values: ['open'] },
      { field: 'word', not: false, text: 'abc*' },
      { field: 'word', not: false, text: 'orders-0-1' },
    ])
    expect(printFilter({ terms: [{ field: 'word', not: true, text: '-x' }] })).toBe('-"-x"')
  })

  it('takes conditions on the value, with special characters in what is compared', () => {
    expect(terms('value:/payment/bank=alpha,"b c" -value:/items/*/size!=0 value:"/a b"')).toEqual([
      { field: 'value', not: false, pointer: '/payment/bank', comparison: '=', values: ['alpha', 'b c'] },
      { field: 'value', not: true, pointer: '/items/*/size', comparison: '!=', values: ['0'] },
      { field: 'value', not: false, pointer: '/a b', comparison: undefined, values: [] },
    ])
    const [term] = terms('value:/at=2021-11-26T06:22:19Z(x)=&')
    expect(term).toMatchObject({ pointer: '/at', values: ['2021-11-26T06:22:19Z(x)=&'] })
  })

  it('is noted without the values that a condition asks for', () => {
    const [term] = terms('-value:/delivery/name=anna,"otto x"')
    expect(term?.field === 'value' && printWithheld(term)).toBe('-value:/delivery/name=•••')
    const [place] = terms('value:/delivery/name')
    expect(place?.field === 'value' && printWithheld(place)).toBe('value:/delivery/name')
  })

  it('knows whether a state is asked for by name', () => {
    const named = (text: string) => namesState(plainFilter(text), 'parked')
    expect([named(''), named('-state:open'), named('-state:parked'), named('state:open')]).not.toContain(true)
    expect(named('reason:too_large state:open,parked')).toBe(true)
  })
})

describe('what is no filter is pointed at', () => {
  it.each<[text: string, column: number, message: RegExp]>([
    ['colour:red', 1, /no field "colour"; the fields are reason, state, error.*quote it: "colour:red"/],
    ['state:open  -colour:red', 14, /no field "colour"/],
    ['reson:x', 1, /no field "reson" \(do you mean reason\?\)/],
    ['State:open', 1, /do you mean state\?/],
    ['https://x.test', 1, /no field "https"; .*quote it: "https:/],
    ['constructor:x', 1, /no field "constructor"/],
    ['state=open', 6, /written state:value/],
    ['bank=alpha', 5, /quoted as a whole/],
    ['(abc', 1, /quoted as a whole/],
    ['""', 1, /nothing to look for/],
    ['"state":open', 8, /without quotes/],
    ['"open', 1, /not closed/],
    ['a\0b', 2, /NUL/],
    ['-', 1, /right before what it negates/],
    ['value:', 7, /a place in the value.*value:\/payment\/bank=alpha/],
    ['value:bank=alpha', 7, /a place in the value/],
    ['value:/a~2=x', 7, /a place in the value/],
    ['value:"/a\0"', 10, /NUL/],
    ['value:/a>5', 9, /compared with = or !=/],
    ['value:/a==5', 9, /compared with = or !=/],
    ['value:/a=', 10, /value needs a value/],
    ['value:/a,/b', 9, /cannot stand here/],
    ['value:/a=x,•••', 12, /was not noted/],
    ['reason:nonsense', 8, /no reason "nonsense"; there are empty_value, too_large/],
    ['state:open,opne', 12, /no state "opne".*parked/],
    ['reason:', 8, /reason needs a value: empty_value/],
    ['state:open,', 12, /state needs a value/],
    [':open', 1, /is missing.*reason/],
    ['- state:open', 1, /right before what it negates/],
    ['partition:x', 11, /whole number/],
    ['partition:99999999999', 11, /whole number/],
    ['age:1h', 5, /age:>1h/],
    ['age:=1h', 5, /age:>1h/],
    ['age:>1', 6, /unit/],
    ['age:>1y', 6, /unit/],
    ['age:>101d,', 10, /cannot stand here/],
    ['age:>99999w', 6, /hundred years/],
    ['after:', 7, /after takes a time: .*after:2h.*yesterday/],
    ['before:soon', 8, /before takes a time/],
    ['after:2026-02-30', 7, /takes a time/],
    ['after:2026-11-29T25:00', 7, /takes a time/],
    ['after:1969-12-31', 7, /takes a time/],
    ['after:99999w', 7, /takes a time/],
    ['after:--2h', 7, /takes a time/],
    ['after:1h,2h', 9, /cannot stand here/],
    ['after:"1h', 7, /not closed/],
    ['replays:many', 9, /whole number/],
    ['replays:<>1', 9, /compares nothing/],
    ['text:"open', 6, /not closed/],
    ['text:"a"b', 9, /cannot stand here/],
    ['text:a:b', 7, /quoted as a whole/],
    ['text:(a', 6, /text:"a \( b"/],
    [String.raw`text:"\n"`, 7, /backslash/],
    ['text:a,b', 7, /one value/],
    ['text:""', 6, /something to look for/],
    ['uid:a\0b', 6, /NUL/],
    ['uid:"a\0b"', 7, /NUL/],
    ['text:"𝄞" oops:x', 10, /no field "oops"/],
  ])('%j, column %d', (text, column, message) => {
    expect(misread(text)).toEqual([column, expect.stringMatching(message)])
  })

  it('is at most so long', () => {
    expect(misread(`text:"${'x'.repeat(100_000)}"`)).toEqual([100_001, expect.stringMatching(/at most/)])
  })
})

const not = fc.boolean()
const value = fc
  .oneof(fc.string(), fc.string({ unit: 'grapheme' }), fc.constantFrom('/payment/*', 'orders-0-1', '-a', '*'))
  .map(text => text.replaceAll('\0', ''))
const someOf = <V>(item: fc.Arbitrary<V>) => fc.array(item, { minLength: 1, maxLength: 4 })
const pointer = fc
  .array(value, { minLength: 1, maxLength: 3 })
  .map(names => names.map(name => `/${escapeSegment(name)}`).join(''))
const aTerm: fc.Arbitrary<WrittenTerm> = fc.oneof(
  fc.record({ field: fc.constant('reason' as const), not, values: someOf(fc.constantFrom(...REASONS)) }),
  fc.record({ field: fc.constant('state' as const), not, values: someOf(fc.constantFrom(...DEAD_LETTER_STATES)) }),
  fc.record({ field: fc.constantFrom(...PATTERN_FIELDS), not, values: someOf(value) }),
  fc.record({ field: fc.constant('replay' as const), not, values: someOf(value) }),
  fc.record({ field: fc.constant('partition' as const), not, values: someOf(fc.nat(2 ** 31 - 1)) }),
  fc.record({
    field: fc.constant('age' as const),
    not,
    comparison: fc.constantFrom('>' as const, '>=' as const, '<' as const, '<=' as const),
    ms: fc.oneof(
      fc.nat(100_000_000),
      fc.nat(5_000).map(weeks => weeks * 604_800_000),
    ),
  }),
  fc.record({
    field: fc.constantFrom('after' as const, 'before' as const),
    not,
    time: fc.oneof(
      fc.nat(100_000_000).map(agoMs => ({ agoMs })),
      fc.constantFrom(...FILTER_DAYS).map(day => ({ day })),
      fc.bigInt({ min: 0n, max: 253_402_300_799_999_999n }).map(micros => ({ at: formatInstant(micros) })),
      fc.nat(20_000).map(days => ({ at: formatInstant(BigInt(days) * 86_400_000_000n) })),
    ),
  }),
  fc.record({
    field: fc.constant('replays' as const),
    not,
    comparison: fc.constantFrom(...COMPARISONS),
    count: fc.nat(1_000_000),
  }),
  fc.record({ field: fc.constantFrom('text' as const, 'word' as const), not, text: value.filter(text => text !== '') }),
  fc.record({
    ...{ field: fc.constant('value' as const), not, pointer },
    comparison: fc.constantFrom('=' as const, '!=' as const),
    values: someOf(value),
  }),
  fc.record({
    ...{ field: fc.constant('value' as const), not, pointer },
    ...{ comparison: fc.constant(undefined), values: fc.constant([]) },
  }),
)

describe('parse and print', () => {
  it('agree: what is printed is read back as the same filter', () => {
    fc.assert(
      fc.property(fc.array(aTerm, { maxLength: 5 }), terms => {
        expect(parseFilter(printFilter({ terms }))).toEqual({ ok: true, filter: { terms } })
      }),
    )
  })

  it('settle: whatever can be read is printed in one form, which is read as the same and printed the same', () => {
    const piece = fc.constantFrom(
      ...[
        'state:',
        'reason:',
        'age:',
        'after:',
        'today',
        'text:',
        '-',
        'open',
        'parked',
        ',',
        '"',
        '\\',
        ' ',
        '>',
        '=',
        '1',
        'h',
        '*',
        'x',
        'too_large',
        'value:/a',
        '!',
      ],
    )
    const typed = fc.oneof(
      fc.string(),
      fc.array(piece, { maxLength: 12 }).map(pieces => pieces.join('')),
      fc.array(aTerm, { maxLength: 3 }).map(terms => ` ${printFilter({ terms })}  `),
    )
    let read = 0
    fc.assert(
      fc.property(typed, text => {
        const parsed = parseFilter(text)
        if (!parsed.ok) {
          expect(parsed.column).toBeGreaterThanOrEqual(1)
          expect(parsed.column).toBeLessThanOrEqual([...text].length + 1)
          expect(parsed.message).not.toBe('')
          return
        }
        if (parsed.filter.terms.length > 0) read += 1
        const printed = printFilter(parsed.filter)
        expect(parseFilter(printed)).toEqual(parsed)
        expect(printFilter(parsed.filter)).toBe(printed)
      }),
      { numRuns: 500 },
    )
    expect(read).toBeGreaterThan(20)
  })
})
