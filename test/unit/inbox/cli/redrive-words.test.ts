import { expect, it } from 'vitest'
import { endLine, previewLines, stateText } from '#src/inbox/cli/redrive-words.ts'
import { summarize } from '#src/inbox/redrive-check.ts'
import { judgeOutcomes, NOTHING_COUNTED } from '#src/inbox/redrive-guard.ts'
import { heldBy } from '#src/inbox/redrive-held.ts'
import type { Redrive } from '#src/inbox/redrive-ports.ts'
import { PLAIN_REDRIVE } from '../../../support/plain-redrive.ts'

it('says what would be redriven, and what would not and why', () => {
  expect(
    previewLines({
      count: 1_234,
      by_reason: { malformed_json: 1_000, schema_violation: 234 },
      oldest: '2026-05-01T00:00:00.000Z',
      newest: '2026-05-02T00:00:00.000Z',
      left_out: { not_open: 3, over_limit: 10_000 },
      held_by: [heldBy('r7', 'paused', 1_100), heldBy('r8', 'running', 2)],
      check: summarize([{ passes: true, violations: [] }], 1_234),
    }),
  ).toEqual([
    '1,234 dead letters: 1,000 malformed_json, 234 schema_violation',
    'failed from 2026-05-01T00:00:00.000Z to 2026-05-02T00:00:00.000Z',
    'of the first 1 checked, 1 would pass now',
    'left out: 3 not open',
    'left out: 10,000 beyond the limit',
    'note: the redrive r7, which is paused, holds 1,100 of what matches: resume it ("holdfast dlq redrive --resume r7"), or cancel it ("holdfast dlq cancel r7")',
    'note: the redrive r8, which is running, holds 2 of what matches: wait for it, or cancel it ("holdfast dlq cancel r8")',
  ])
  const none = { count: 0, by_reason: {}, oldest: null, newest: null, left_out: {}, held_by: [], check: null }
  expect(previewLines(none)).toEqual(['no dead letter'])
  const one = { ...none, count: 1, by_reason: { too_large: 1 } }
  expect(previewLines(one).at(-1)).toContain('Kafka, which has the bytes, does not answer')
  expect(previewLines(one, true)).toEqual(['1 dead letter: 1 too_large'])
})

it('says in the end what came of it, and what is left', () => {
  const redrive = { ...PLAIN_REDRIVE, total: 10, published: 8, pending: 2, resolved: 5, failed_again: 1 }
  const line = (over: Partial<Redrive>, unsettled = 0) => endLine({ ...redrive, ...over }, unsettled)
  expect(line({ state: 'done' }, 2)).toBe(
    'redrive r1 done: 8 of 10 published, 5 resolved, 1 failed again; 2 wait for a consumer to settle them',
  )
  expect(line({ state: 'paused' })).toBe('redrive r1 paused: 8 of 10 published, 5 resolved, 1 failed again; 2 are left')
  expect(line({ state: 'failed', error: 'no right' })).toContain('failed again: no right')
  expect(
    line({ state: 'cancelled', published: 3, pending: 0, resolved: 3, failed_again: 0, skipped: 1, released: 6 }),
  ).toBe('redrive r1 cancelled: 3 of 10 published, 3 resolved, 1 skipped, 6 released')
  const why = { not_open: 1, bytes_gone: 2_000, refused_by_topic: 1 }
  expect(line({ state: 'done', skipped: 2_002, skipped_because: why })).toBe(
    'redrive r1 done: 8 of 10 published, 5 resolved, 1 failed again, 2,002 skipped ' +
      '(1 not open, 2,000 whose bytes are no longer in the dead-letter topic, 1 refused by the topic)',
  )
})

it('says why a redrive has paused itself, and that one is done of which nothing was resolved', () => {
  const failure = { reason: 'schema_violation', error: 'required', pointer: '/payment/bank' }
  const rules = { canary: 2, maxFailures: 20, yieldAboveSeconds: 10 }
  const { pause } = judgeOutcomes(NOTHING_COUNTED, rules, [{ failure }, { failure: undefined }], 2)
  const halted = { total: 176, published: 2, pending: 174, resolved: 1, failed_again: 1 }
  const paused: Redrive = { ...PLAIN_REDRIVE, ...halted, state: 'paused', paused_because: pause ?? null }
  expect(endLine(paused, 0)).toBe(
    'redrive r1 paused itself after the canary: 1 of 2 failed again with schema_violation required /payment/bank; ' +
      '2 of 176 published, 1 resolved, 1 failed again; 174 are left',
  )
  const done: Redrive = { ...PLAIN_REDRIVE, state: 'done', total: 176, published: 176, pending: 0, verdict: 'none' }
  expect(endLine({ ...done, failed_again: 176 }, 0)).toBe('redrive r1 done, 176 of 176 failed again')
  expect(endLine({ ...done, failed_again: 170, parked: 6 }, 0)).toBe(
    'redrive r1 done, 176 of 176 failed again, 6 of them for the last time: they are parked',
  )
  expect([paused, done, { ...done, verdict: 'partly' as const }].map(stateText)).toEqual([
    ...['paused itself', 'done, none resolved', 'done, partly resolved'],
  ])
  expect(stateText({ ...PLAIN_REDRIVE, waiting_for: { kind: 'lag', message: 'rests' } })).toBe('running, waits')
})
