import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  countsAfterResume,
  type FailureCause,
  type GuardCounts,
  type GuardRules,
  guardRules,
  isInCanary,
  judgeOutcomes,
  type MemberOutcome,
  NO_GUARD,
  NOTHING_COUNTED,
  pageLimit,
  pausedUnsettled,
  restsFor,
  verdictOf,
} from '#src/inbox/redrive-guard.ts'

const BANK: FailureCause = { reason: 'schema_violation', error: 'required', pointer: '/payment/bank' }
const BYTES: FailureCause = { reason: 'malformed_json', error: 'not_utf8', pointer: '' }
const PASSED: MemberOutcome = { failure: undefined }

/** `+` passed, `b` and `u` failed with one of the two causes. */
function outcomes(text: string): MemberOutcome[] {
  return [...text].map(sign => (sign === '+' ? PASSED : { failure: sign === 'b' ? BANK : BYTES }))
}

const RULES: GuardRules = { canary: 4, maxFailures: 2, yieldAboveSeconds: 10 }
const PAST: GuardCounts = { ...NOTHING_COUNTED, past_canary: true }

describe('the rules of a redrive', () => {
  it.each([
    [1, 0],
    [20, 0],
    [21, 20],
    [1_999, 20],
    [2_001, 21],
    [30_000, 300],
    [1_000_000, 500],
  ])(
    'of %i members take a canary of %i: one percent, at least 20 and at most 500, and none of the whole set',
    (total, canary) => {
      expect(guardRules({}, total)).toEqual({ canary, maxFailures: 20, yieldAboveSeconds: 10 })
    },
  )

  it('are those that were asked for', () => {
    const asked = { canary: 50, maxFailures: 3, yieldAboveSeconds: 0 }
    expect(guardRules(asked, 100)).toEqual(asked)
    expect(guardRules(asked, 50)).toMatchObject({ canary: 0 })
    expect(guardRules(NO_GUARD, 1_000)).toEqual({ canary: 0, maxFailures: null, yieldAboveSeconds: 10 })
  })
})

describe('the canary', () => {
  it('pauses the redrive when half of it failed again, with the most frequent cause', () => {
    const { pause, counts } = judgeOutcomes(NOTHING_COUNTED, RULES, outcomes('+b+b'), 4)
    expect(pause).toEqual({
      ...{ kind: 'canary', ...BANK, counts: { failed_again: 2, of: 4, settled: 4, same_cause: 2 } },
      message: 'paused itself after the canary: 2 of 4 failed again with schema_violation required /payment/bank',
    })
    expect(counts).toEqual({ ...PAST, at: 4 })
    expect(judgeOutcomes(NOTHING_COUNTED, RULES, outcomes('ubb+'), 4).pause).toMatchObject({
      ...BANK,
      message:
        'paused itself after the canary: 3 of 4 failed again, 2 of them with schema_violation required /payment/bank',
    })
  })

  it('lets it go on when less than half did, however many in a row', () => {
    const rules = { ...RULES, canary: 8 }
    expect(judgeOutcomes(NOTHING_COUNTED, rules, outcomes('bbb+++++'), 8)).toEqual({
      counts: { ...PAST, at: 8 },
      pause: undefined,
    })
  })

  it('is made of members that have an outcome: pages are no larger than what is missing', () => {
    expect(pageLimit(NOTHING_COUNTED, RULES, 500)).toBe(4)
    const { counts } = judgeOutcomes(NOTHING_COUNTED, RULES, outcomes('b'), 4)
    expect(counts).toMatchObject({ at: 4, settled: 1, failed: 1, past_canary: false })
    expect(isInCanary(counts, RULES)).toBe(true)
    expect(pageLimit(counts, RULES, 500)).toBe(3)
    expect(pageLimit(PAST, RULES, 500)).toBe(500)
  })

  it('says how many outcomes have not come', () => {
    const { counts } = judgeOutcomes(NOTHING_COUNTED, RULES, outcomes('b'), 4)
    expect(pausedUnsettled(counts, RULES)).toMatchObject({
      ...{ kind: 'unsettled', ...BANK, counts: { failed_again: 1, of: 4, settled: 1, same_cause: 1 } },
      message: expect.stringContaining('paused itself: 1 of the 4 records of the canary were settled within 60 s'),
    })
    expect(pausedUnsettled(NOTHING_COUNTED, RULES)).toMatchObject({ reason: null, error: null, pointer: null })
  })

  it('is none when it was not asked for', () => {
    const { counts, pause } = judgeOutcomes(NOTHING_COUNTED, { ...RULES, canary: 0 }, outcomes('bb'), 2)
    expect(pause).toBeUndefined()
    expect(counts).toMatchObject({ past_canary: true, in_a_row: 2 })
    expect(pageLimit(NOTHING_COUNTED, { ...RULES, canary: 0 }, 500)).toBe(500)
  })
})

describe('after the canary', () => {
  it('too many failures in a row pause it, with the length of the run and its cause', () => {
    expect(judgeOutcomes(PAST, RULES, outcomes('bb'), 2).pause).toBeUndefined()
    expect(judgeOutcomes(PAST, RULES, outcomes('bb+bb+'), 6).pause).toBeUndefined()
    expect(judgeOutcomes(PAST, RULES, outcomes('u+bbbbb'), 7).pause).toMatchObject({
      ...{ kind: 'failures', ...BANK, counts: { failed_again: 5, of: 5, same_cause: 5 } },
      message: 'paused itself: 5 in a row failed again with schema_violation required /payment/bank',
    })
    expect(judgeOutcomes(PAST, { ...RULES, maxFailures: null }, outcomes('bbbbb'), 5).pause).toBeUndefined()
    expect(judgeOutcomes(PAST, { ...RULES, maxFailures: 0 }, outcomes('+u'), 2).pause?.message).toBe(
      'paused itself: 1 in a row failed again with malformed_json not_utf8',
    )
  })

  it('a person who lets it go on begins a new count, where it stood', () => {
    const { counts } = judgeOutcomes(PAST, RULES, outcomes('bbb'), 30)
    const resumed = countsAfterResume(counts)
    expect(resumed).toEqual({ ...PAST, at: 30 })
    expect(judgeOutcomes(resumed, RULES, outcomes('bb'), 32).pause).toBeUndefined()
    expect(judgeOutcomes(resumed, RULES, outcomes('bbb'), 33).pause).toMatchObject({ kind: 'failures' })
    // Also past a canary that was never settled.
    expect(isInCanary(countsAfterResume(NOTHING_COUNTED), RULES)).toBe(false)
  })

  it('a run of failures ends at its limit, and not a page later', () => {
    expect(pageLimit({ ...PAST, in_a_row: 1 }, { ...RULES, maxFailures: 20 }, 500)).toBe(20)
    expect(pageLimit({ ...PAST, in_a_row: 2 }, RULES, 500)).toBe(1)
  })
})

const anOutcome = fc.constantFrom(...outcomes('++bu'))
const someRules = fc.record({
  canary: fc.integer({ min: 0, max: 12 }),
  maxFailures: fc.constantFrom(null, 0, 2, 5),
  yieldAboveSeconds: fc.constant(10),
})

describe('whatever the outcomes are', () => {
  it('the same is counted in pages of any size, also by a worker that takes over between two of them', () => {
    fc.assert(
      fc.property(fc.array(anOutcome, { maxLength: 60 }), someRules, fc.array(fc.nat(9)), (all, rules, sizes) => {
        let counts = NOTHING_COUNTED
        let paused = false
        let at = 0
        for (const size of [...sizes, all.length]) {
          const page = all.slice(at, at + size)
          at += page.length
          const verdict = judgeOutcomes(JSON.parse(JSON.stringify(counts)), rules, page, at)
          counts = verdict.counts
          paused ||= verdict.pause !== undefined
        }
        const whole = judgeOutcomes(NOTHING_COUNTED, rules, all, all.length)
        expect(counts).toEqual(whole.counts)
        expect(paused).toBe(whole.pause !== undefined)
      }),
    )
  })

  it('a redrive that asks for its pages never fails more often in a row than the larger of canary, page and limit', () => {
    fc.assert(
      fc.property(fc.array(anOutcome, { maxLength: 200 }), someRules, (all, rules) => {
        const most = 10
        let counts = NOTHING_COUNTED
        for (let at = 0; at < all.length; ) {
          const limit = pageLimit(counts, rules, most)
          expect(limit).toBeGreaterThanOrEqual(1)
          expect(limit).toBeLessThanOrEqual(Math.max(most, rules.canary))
          const page = all.slice(at, at + limit)
          at += page.length
          const verdict = judgeOutcomes(counts, rules, page, at)
          if (verdict.pause?.kind === 'failures')
            expect(verdict.pause.counts.failed_again).toBeLessThanOrEqual(Math.max(most, (rules.maxFailures ?? 0) + 1))
          if (verdict.pause !== undefined) return
          counts = verdict.counts
          expect(counts.in_a_row).toBeLessThanOrEqual(rules.maxFailures ?? Number.POSITIVE_INFINITY)
        }
      }),
    )
  })
})

describe('the lag of the live stream', () => {
  it('makes it rest above the bound, and says so; what is not known holds nothing up', () => {
    expect(restsFor(RULES, 10)).toBeUndefined()
    expect(restsFor(RULES, undefined)).toBeUndefined()
    expect(restsFor(RULES, 1_234.4)).toEqual({
      kind: 'lag',
      message: 'rests: the stream is 1,234 s behind, and it goes on below 10 s',
    })
    expect(restsFor({ ...RULES, yieldAboveSeconds: 0 }, 1_000)).toBeUndefined()
  })
})

describe('what came of it', () => {
  const over = { isOver: true, total: 4, published: 4, resolved: 0, failed_again: 0, parked: 0 }
  it.each([
    [{ resolved: 4 }, 'all'],
    [{ resolved: 3, failed_again: 1 }, 'partly'],
    [{ published: 3, resolved: 3 }, 'partly'],
    [{ failed_again: 3, parked: 1 }, 'none'],
    [{ published: 0 }, 'none'],
    [{ resolved: 3 }, null],
    [{ isOver: false, resolved: 4 }, null],
  ] as const)('of %j is: %s', (given, verdict) => {
    expect(verdictOf({ ...over, ...given })).toBe(verdict)
  })
})
