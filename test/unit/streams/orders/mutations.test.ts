import fc from 'fast-check'
import { expect, it } from 'vitest'
import { REASONS } from '#src/engine/dead-letter.ts'
import { rounds } from '../../../support/effort.ts'
import { comparable, expectedOf, mutatedOrder } from '../../../support/mutations.ts'
import { createOrderJudge, orderJson } from '../../../support/order.ts'

const judge = createOrderJudge({ maxBytes: 1024 * 1024 })
const RUNS = rounds(1_000, 6_000)
const MOST_VIOLATIONS = 10

it('judges whatever becomes of an order: it is taken as it stands, or turned down with a reason', () => {
  const verdicts = { stored: 0, rejected: 0 }
  fc.assert(
    fc.property(mutatedOrder('mutated'), value => {
      const verdict = judge({ value, key: null })
      if (verdict.ok) {
        verdicts.stored += 1
        // What is stored is what was sent, and it is read as the same when it comes again.
        expect(comparable(verdict.value)).toEqual(comparable(expectedOf(value)))
        const json = orderJson(verdict.value)
        const again = judge({ value: json, key: null })
        expect(again.ok && orderJson(again.value)).toEqual(json)
        expect(verdict.unusual).toContain('key_mismatch')
      } else {
        verdicts.rejected += 1
        const { reason, error, pointer, message, violations } = verdict.rejection
        expect(REASONS).toContain(reason)
        expect(error).toMatch(/^[a-zA-Z0-9_]{2,40}$/)
        expect(pointer).toMatch(/^(\/|$)/)
        expect(Buffer.byteLength(message)).toBeLessThanOrEqual(1024)
        expect(violations.length).toBeLessThanOrEqual(MOST_VIOLATIONS)
      }
      expect({}).not.toHaveProperty('polluted')
    }),
    { numRuns: RUNS },
  )
  // Both ways are well trodden: else the mutations prove little.
  expect(verdicts.stored).toBeGreaterThan(RUNS / 10)
  expect(verdicts.rejected).toBeGreaterThan(RUNS / 4)
})
