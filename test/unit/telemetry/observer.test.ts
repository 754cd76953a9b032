import { describe, expect, it } from 'vitest'
import type { DeadLetter } from '#src/engine/dead-letter.ts'
import { StoreUnavailableError } from '#src/engine/errors.ts'
import { NO_BATCH_TRACE } from '#src/engine/tracing.ts'
import { NOTHING_COUNTED, pausedUnsettled } from '#src/inbox/redrive-guard.ts'
import { samples, telemetry } from './support.ts'

const SIX = { topic: 'orders', partition: 6 }

const DEAD_LETTER: DeadLetter = {
  record: {
    ...SIX,
    offset: 42n,
    timestampMs: 1,
    key: Buffer.from('secret-key'),
    value: Buffer.from('{"delivery":{"name":"Test Testov","phone":"+9720000000"}}'),
    headers: [['x', Buffer.from('secret-header')]],
  },
  origin: { topic: 'orders', partition: 2, offset: 7n, timestampMs: 1 },
  rejection: {
    reason: 'schema_violation',
    error: 'required',
    pointer: '/payment/amount',
    message: 'is missing',
    violations: [],
  },
  failedAtMs: 5,
  attempts: 1,
  redriveCount: 2,
  key: 'secret-uid',
  groupId: 'holdfast',
}

const CAUSE = { reason: 'schema_violation', error: 'required', pointer: '/payment/bank' }

describe('a fact', () => {
  it('of a settled batch counts each record by its outcome, and times each stage', async () => {
    const { observe, metrics } = telemetry()
    observe({
      kind: 'batch_settled',
      partition: SIX,
      to: 60n,
      records: 10,
      counts: { written: 5, duplicate: 1, stale: 1, superseded: 1, dead_lettered: 2 },
      closings: { resolved: 3, failed_again: 1, parked: 0 },
      stageSeconds: { validate: 0.002, divert: 0.01, write: 0.03 },
    })
    const found = await samples(metrics)
    expect(found.get('holdfast_records_total{stream="orders",topic="orders",partition="6",outcome="written"}')).toBe(5)
    expect(
      found.get('holdfast_records_total{stream="orders",topic="orders",partition="6",outcome="dead_lettered"}'),
    ).toBe(2)
    expect(found.get('holdfast_replay_records_total{stream="orders",result="resolved"}')).toBe(3)
    expect(found.get('holdfast_replay_records_total{stream="orders",result="failed_again"}')).toBe(1)
    expect(found.get('holdfast_batch_records_sum{stream="orders"}')).toBe(10)
    expect(found.get('holdfast_batch_duration_seconds_sum{stream="orders",stage="write"}')).toBe(0.03)
    expect(found.get('holdfast_batch_duration_seconds_count{stream="orders",stage="divert"}')).toBe(1)
  })

  it('of a redrive that paused itself is a warning, with why', () => {
    const { observe, lines } = telemetry({ level: 'info' })
    const counts = { ...NOTHING_COUNTED, settled: 3, failed: 1, causes: [{ ...CAUSE, count: 1 }] }
    const because = pausedUnsettled(counts, { canary: 20, maxFailures: 20, yieldAboveSeconds: 10 })
    observe({ kind: 'replay_parted', id: 'r1', to: 'paused', because })
    observe({ kind: 'replay_parted', id: 'r2', to: 'paused' })
    expect(lines).toMatchObject([
      { level: 'warn', event: 'replay_parted', replay_id: 'r1', to: 'paused', because: because.message },
      { level: 'info', replay_id: 'r2' },
    ])
  })

  it('of a refused request is counted by its reason; the log names the address of who guesses keys, once for many', async () => {
    const { observe, metrics, lines } = telemetry({ level: 'info' })
    for (let n = 0; n < 3; n++) observe({ kind: 'http_refused', reason: 'bad_key', address: '203.0.113.9' })
    observe({ kind: 'http_refused', reason: 'host_not_allowed', address: '203.0.113.9' })
    observe({ kind: 'http_refused', reason: 'connection_idle', address: undefined })
    observe({ kind: 'http_refused', reason: 'key_required', address: '203.0.113.9' })
    const found = await samples(metrics)
    expect(found.get('holdfast_http_refusals_total{reason="bad_key"}')).toBe(3)
    expect(found.get('holdfast_http_refusals_total{reason="connection_idle"}')).toBe(1)
    expect(found.get('holdfast_http_refusals_total{reason="busy"}')).toBe(0)
    expect(lines).toMatchObject([{ reason: 'bad_key', address: '203.0.113.9' }, { reason: 'host_not_allowed' }])
    expect(lines[1]).not.toHaveProperty('address')
  })

  it('of a listener says under which names it answers, and who needs no key', () => {
    const { observe, lines } = telemetry()
    const names = 'localhost, 127.0.0.0/8, [::1]'
    for (const keyless of ['nobody', 'loopback', 'everyone'] as const) {
      observe({ kind: 'http_started', url: 'http://127.0.0.1:1', keyless, names })
    }
    expect(lines.map(({ msg }) => String(msg))).toEqual([
      expect.stringMatching(/localhost.*each reader and writer needs a key/),
      expect.stringMatching(/callers on this machine.*HTTP_TRUST_LOOPBACK=off/),
      expect.stringMatching(/every client that reaches it.*AUTH=off/),
    ])
  })

  it('of a commit tells how old the records were when it covered them', async () => {
    const { observe, metrics, clock } = telemetry()
    const batches = [clock.nowMs - 1_500, clock.nowMs + 60_000].map(oldestTimestampMs => ({
      oldestTimestampMs,
      trace: NO_BATCH_TRACE,
    }))
    observe({ kind: 'committed', positions: [{ ...SIX, nextOffset: 60n }], seconds: 0.006, batches })
    const found = await samples(metrics)
    expect(found.get('holdfast_end_to_end_latency_seconds_sum{stream="orders"}')).toBe(1.5)
    expect(found.get('holdfast_end_to_end_latency_seconds_count{stream="orders"}')).toBe(2)
    expect(found.get('holdfast_batch_duration_seconds_sum{stream="orders",stage="commit"}')).toBe(0.006)
  })

  it('of a dead letter names where it stood and why, and nothing of what it holds', async () => {
    const { observe, metrics, lines } = telemetry()
    observe({ kind: 'dead_lettered', deadLetter: DEAD_LETTER })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatchObject({
      level: 'warn',
      event: 'dead_lettered',
      topic: 'orders',
      partition: 6,
      offset: '42',
      id: 'orders-2-7',
      reason: 'schema_violation',
      code: 'required',
      pointer: '/payment/amount',
      replay_count: 2,
    })
    expect(JSON.stringify(lines)).not.toMatch(/secret|Testov|9720000000/)
    expect((await samples(metrics)).get('holdfast_dead_letters_total{stream="orders",reason="schema_violation"}')).toBe(
      1,
    )
  })

  it('of expired records is an error, and has a metric to alert on', async () => {
    const { observe, metrics, lines } = telemetry()
    observe({ kind: 'expired', partition: SIX, from: 10n, to: 25n })
    expect(lines[0]).toMatchObject({ level: 'error', event: 'expired', from: '10', to: '25', records: 15 })
    expect(
      (await samples(metrics)).get('holdfast_expired_records_total{stream="orders",topic="orders",partition="6"}'),
    ).toBe(15)
  })

  it('of an assignment begins the series of each partition at zero', async () => {
    const { observe, metrics, lines } = telemetry()
    observe({ kind: 'assigned', positions: [{ ...SIX, nextOffset: 9_007_199_254_740_993n }] })
    const found = await samples(metrics)
    expect(found.get('holdfast_records_total{stream="orders",topic="orders",partition="6",outcome="stale"}')).toBe(0)
    expect(found.get('holdfast_rebalances_total{stream="orders"}')).toBe(1)
    expect(lines[0]).toMatchObject({ positions: [{ partition: 6, next_offset: '9007199254740993' }] })
  })

  it('of a failed stream is an error that tells why', () => {
    const { observe, lines } = telemetry()
    observe({ kind: 'stream_stopped', error: new Error('boom') })
    expect(lines[0]).toMatchObject({ level: 'error', event: 'stream_stopped', error: { message: 'boom' } })
  })

  it('of tables that COPY cannot write is a warning that names the cause', () => {
    const { observe, lines } = telemetry()
    observe({ kind: 'copy_unavailable', because: 'items has a rule' })
    expect(lines).toMatchObject([
      { level: 'warn', event: 'copy_unavailable', module: 'stream', reason: 'items has a rule' },
    ])
  })

  it('of tables that the search path finds in other schemas is a warning for each, once', () => {
    const { observe, lines } = telemetry()
    const found = ['search_path finds a', 'search_path finds b']
    for (let start = 0; start < 2; start++) for (const what of found) observe({ kind: 'tables_elsewhere', what })
    expect(lines).toMatchObject(
      found.map(reason => ({ level: 'warn', event: 'tables_elsewhere', module: 'stream', reason })),
    )
  })

  it('of a lost partition is a warning, of one given back is not', () => {
    const { observe, lines } = telemetry()
    observe({ kind: 'revoked', partitions: [SIX], lost: true, drained: false })
    observe({ kind: 'revoked', partitions: [SIX], lost: false, drained: true })
    expect(lines.map(line => line.level)).toEqual(['warn', 'info'])
  })

  it('of a request is timed by its route', async () => {
    const { observe, metrics } = telemetry()
    observe({ kind: 'http_served', method: 'GET', route: '/order/:uid', status: 200, seconds: 0.25 })
    const labels = 'method="GET",route="/order/:uid",status="200"'
    expect((await samples(metrics)).get(`holdfast_http_request_duration_seconds_sum{${labels}}`)).toBe(0.25)
  })
})

describe('what repeats', () => {
  const retry = {
    kind: 'retry',
    dependency: 'postgres',
    attempt: 3,
    delayMs: 400,
    error: new StoreUnavailableError('connect ECONNREFUSED 127.0.0.1:5432'),
  } as const

  it('is logged at once, then once in a while with how often it came, and counted each time', async () => {
    const { observe, metrics, lines, pass } = telemetry()
    for (let i = 0; i < 50; i++) observe(retry)
    expect(lines).toHaveLength(1)
    observe({ ...retry, attempt: 4 })
    pass(5_000)
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatchObject({ event: 'retry', held_back: 50, attempt: 4, error: { code: 'store_unavailable' } })
    expect(lines[1]?.msg).toMatch(/^trying again \(50 times more/)
    expect((await samples(metrics)).get('holdfast_retries_total{stream="orders",class="postgres"}')).toBe(51)
    // After a while without any, the next one is told at once again.
    pass(5_000)
    expect(lines).toHaveLength(2)
    observe(retry)
    expect(lines).toHaveLength(3)
    expect(lines[2]).not.toHaveProperty('held_back')
  })

  it('leaves nothing unsaid at the end', () => {
    const { observe, lines, close } = telemetry()
    for (let i = 0; i < 3; i++) observe(retry)
    close()
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatchObject({ held_back: 2 })
  })

  it('holds back only its own kind', () => {
    const { observe, lines } = telemetry()
    observe(retry)
    observe({ ...retry, dependency: 'dlq' })
    observe({ kind: 'breaker_opened', dependency: 'postgres', error: retry.error })
    observe({ kind: 'breaker_opened', dependency: 'dlq', error: retry.error })
    expect(lines.map(line => line.event)).toEqual(['retry', 'retry', 'breaker_opened', 'breaker_opened'])
  })

  it('comes to its last word, when one ends the other', () => {
    const { observe, lines, pass } = telemetry()
    const opened = { kind: 'breaker_opened', dependency: 'postgres', error: retry.error } as const
    const closed = { kind: 'breaker_closed', dependency: 'postgres', openSeconds: 0.2 } as const
    for (const fact of [opened, closed, opened, closed, opened]) observe(fact)
    pass(5_000)
    expect(lines.map(line => line.event)).toEqual(['breaker_opened', 'breaker_opened'])
    observe(closed)
    pass(5_000)
    expect(lines.map(line => line.event)).toEqual(['breaker_opened', 'breaker_opened', 'breaker_closed'])
  })

  it('of every batch is not logged at the usual level', () => {
    const { observe, lines } = telemetry({ level: 'info' })
    observe({
      kind: 'batch_settled',
      partition: SIX,
      to: 1n,
      records: 1,
      counts: { written: 1, duplicate: 0, stale: 0, superseded: 0, dead_lettered: 0 },
      stageSeconds: { validate: 0, divert: 0, write: 0 },
    })
    observe({ kind: 'paused', partition: SIX, reason: 'backpressure' })
    observe({ kind: 'unusual_record', partition: SIX, offset: 1n, what: 'sum_mismatch' })
    observe({ kind: 'committed', positions: [], seconds: 0, batches: [] })
    expect(lines).toEqual([])
  })
})
