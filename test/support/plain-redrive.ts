import type { Redrive } from '#src/inbox/redrive-ports.ts'

/** A redrive of four, as it was when it began. */
export const PLAIN_REDRIVE: Redrive = {
  ...{ id: 'r1', state: 'running', filter: '', to: 'topic', requested_by: 'ada', because: 'a test' },
  ...{ automatic: false, only_passing: false, edited: false, rate: null },
  ...{ total: 4, pending: 4, published: 0, resolved: 0, failed_again: 0, parked: 0, skipped: 0, released: 0 },
  ...{ skipped_because: {}, verdict: null, canary: 0, max_failures: null, yield_above: 0 },
  ...{ paused_because: null, waiting_for: null },
  ...{ created_at: '2026-05-01T00:00:00.000Z', started_at: null, finished_at: null, error: null },
}
