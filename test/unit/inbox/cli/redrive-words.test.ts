import { expect, it } from 'vitest'
import { endLine, previewLines } from '#src/inbox/cli/redrive-words.ts'
import type { Redrive } from '#src/inbox/ports.ts'

it('says what would be redriven, and what would not and why', () => {
  expect(
    previewLines({
      count: 1_234,
      by_reason: { malformed_json: 1_000, schema_violation: 234 },
      oldest: '2026-05-01T00:00:00.000Z',
      newest: '2026-05-02T00:00:00.000Z',
      left_out: { not_open: 3, over_limit: 10_000 },
    }),
  ).toEqual([
    '1,234 dead letters: 1,000 malformed_json, 234 schema_violation',
    'failed from 2026-05-01T00:00:00.000Z to 2026-05-02T00:00:00.000Z',
    'left out: 3 not open',
    'left out: 10,000 beyond the limit',
  ])
  expect(previewLines({ count: 0, by_reason: {}, oldest: null, newest: null, left_out: {} })).toEqual([
    'no dead letter',
  ])
})

it('says in the end what came of it, and what is left', () => {
  const redrive = {
    id: 'r1',
    total: 10,
    published: 8,
    pending: 2,
    resolved: 5,
    failed_again: 1,
    parked: 0,
    skipped: 0,
    skipped_because: {},
    error: null,
  }
  const line = (over: Partial<Redrive>, unsettled = 0) => endLine({ ...redrive, ...over } as Redrive, unsettled)
  expect(line({ state: 'done' }, 2)).toBe(
    'redrive r1 done: 8 of 10 published, 5 resolved, 1 failed again; 2 wait for a consumer to settle them',
  )
  expect(line({ state: 'paused' })).toBe('redrive r1 paused: 8 of 10 published, 5 resolved, 1 failed again; 2 are left')
  expect(line({ state: 'failed', error: 'no right' })).toContain('failed again: no right')
  expect(line({ state: 'cancelled', published: 3, pending: 0, resolved: 3, failed_again: 0, skipped: 1 })).toBe(
    'redrive r1 cancelled: 3 of 10 published, 3 resolved, 1 skipped, 6 released',
  )
  const why = { not_open: 1, bytes_gone: 2_000, refused_by_topic: 1 }
  expect(line({ state: 'done', skipped: 2_002, skipped_because: why })).toBe(
    'redrive r1 done: 8 of 10 published, 5 resolved, 1 failed again, 2,002 skipped ' +
      '(1 not open, 2,000 whose bytes are no longer in the dead-letter topic, 1 refused by the topic)',
  )
})
