import { describe, expect, it } from 'vitest'
import { livenessOf, readinessOf } from '#src/engine/health.ts'
import type { HealthCheck, HealthResult, PartitionStatus, StreamStatus } from '#src/engine/status.ts'

const NOW = 1_700_000_000_000
const RUNNING: StreamStatus = { state: 'running', sinceMs: 1_000, member: true, breakers: [], partitions: [] }
const PARTITION: PartitionStatus = {
  topic: 'orders',
  partition: 3,
  next: 0n,
  high: undefined,
  lagRecords: undefined,
  oldestUnsettledTimestampMs: undefined,
  bufferedRecords: 0,
  inFlightRecords: 0,
  paused: [],
  lastProgressMs: undefined,
}
const POSTGRES_AWAY = [{ dependency: 'postgres', open: true, reason: 'gone', sinceMs: 1 }] as const

function failing(checks: readonly HealthCheck[]): (HealthResult & { name: string })[] {
  return checks.map(({ name, check }) => ({ name, ...check() })).filter(({ ok }) => !ok)
}
const unready = (status: StreamStatus | undefined) => failing(readinessOf(() => status))
const dead = (status: StreamStatus | undefined, stuckAfterMs = 120_000) =>
  failing(livenessOf(() => status, { stuckAfterMs, now: () => NOW }))
const withPartition = (over: Partial<PartitionStatus>): StreamStatus => ({
  ...RUNNING,
  partitions: [PARTITION, { ...PARTITION, partition: 4, ...over }],
})

describe('readiness', () => {
  it('holds while the stream runs as a member of the group, with partitions or without', () => {
    expect(unready(RUNNING)).toEqual([])
    expect(unready(withPartition({ bufferedRecords: 9, stalledMs: 5_000 }))).toEqual([])
  })

  it.each(['starting', 'draining', 'stopped', 'failed'] as const)('falls while the stream is %s', state => {
    expect(unready({ ...RUNNING, state })).toMatchObject([{ name: 'stream', since: 1_000 }])
  })

  it('gives the error that ends the stream while it still drains, and not that it shuts down', () => {
    const reasonsOf = (status: StreamStatus) => unready(status).map(({ reason }) => reason)
    expect(reasonsOf({ ...RUNNING, state: 'draining', error: 'column "reason" does not exist' })).toEqual([
      'column "reason" does not exist',
    ])
    expect(reasonsOf({ ...RUNNING, state: 'draining' })).toEqual(['shutting down'])
  })

  it('falls before there is a stream', () => {
    expect(unready(undefined).map(({ name }) => name)).toEqual(['stream', 'group_member'])
  })

  it('says which dependency is away, why and since when', () => {
    const breakers = [
      { dependency: 'kafka', open: false, reason: undefined, sinceMs: undefined },
      { dependency: 'postgres', open: true, reason: 'connection refused', sinceMs: 5_000 },
      { dependency: 'dlq', open: true, reason: 'timed out', sinceMs: 4_000 },
    ] as const
    expect(unready({ ...RUNNING, breakers })).toEqual([
      {
        name: 'breakers',
        ok: false,
        reason: 'breaker-open: postgres is away: connection refused; dlq is away: timed out',
        since: 4_000,
      },
    ])
  })

  it('waits for the first assignment without patience, and for the next one with some', () => {
    const joining = { ...RUNNING, member: false, wasMember: false, memberSinceMs: NOW - 1 }
    expect(unready(joining)).toMatchObject([{ name: 'group_member', since: NOW - 1 }])
    // By how long it was, and not by the wall clock, which somebody may have set meanwhile
    const lost = (memberForMs: number) => ({ ...joining, wasMember: true, memberForMs })
    expect(unready(lost(9_000))).toEqual([])
    expect(unready(lost(11_000))).toMatchObject([{ name: 'group_member', since: NOW - 1 }])
  })
})

describe('a partition that an operator holds on purpose', () => {
  const pause = { partition: 4, by: 'ada', because: 'maintenance', sinceMs: NOW }
  const at = new Date(NOW).toISOString()

  it('is named, with who, since when, why and the way on, and leaves the process ready and alive', () => {
    const held = withPartition({ paused: ['operator'], manualPause: pause })
    expect([unready(held), dead(held)]).toEqual([[], []])
    const check = readinessOf(() => held, { stream: 'orders' }).find(({ name }) => name === 'partitions')
    expect(check?.check()).toEqual({
      ok: true,
      since: NOW,
      reason: `partition 4 is paused by ada since ${at}: maintenance; to go on: holdfast resume --stream orders --partition 4`,
    })
  })

  it('of a whole stream is named once', () => {
    const whole = { ...PARTITION, paused: ['operator'] as const, manualPause: { ...pause, partition: undefined } }
    const held: StreamStatus = { ...RUNNING, partitions: [whole, { ...whole, partition: 4 }] }
    const check = readinessOf(() => held).find(({ name }) => name === 'partitions')
    expect(check?.check().reason).toBe(
      `the stream is paused by ada since ${at}: maintenance; to go on: holdfast resume`,
    )
  })

  it('hides no partition that the storm guard has stopped', () => {
    const both = withPartition({ paused: ['storm_guard', 'operator'], pausedBecause: 'a storm', manualPause: pause })
    expect(unready(both)).toMatchObject([{ name: 'partitions', reason: expect.stringContaining('storm guard') }])
  })
})

describe('a partition that waits for an operator', () => {
  it('makes the process unready, and the reason names the command that lifts it', () => {
    expect(unready(withPartition({ paused: ['storm_guard'], pausedSinceMs: 7_000 }))).toMatchObject([
      { name: 'partitions', reason: expect.stringContaining('holdfast resume --partition 4'), since: 7_000 },
    ])
  })

  it('is told by its own reason when it was halted', () => {
    expect(unready(withPartition({ paused: ['halted'], halted: 'use holdfast seek' }))).toMatchObject([
      { name: 'partitions', reason: 'use holdfast seek' },
    ])
  })

  it('is not one that only waits for a dependency', () => {
    expect(unready(withPartition({ paused: ['store_away'] }))).toEqual([])
  })
})

describe('liveness', () => {
  it('holds while a dependency is away: a restart would not bring it back', () => {
    expect(dead({ ...RUNNING, state: 'draining', breakers: POSTGRES_AWAY })).toEqual([])
    expect(dead(undefined)).toEqual([])
  })

  it('falls when the stream has failed, and says why', () => {
    expect(dead({ ...RUNNING, state: 'failed', error: 'relation "orders" does not exist' })).toEqual([
      { name: 'stream', ok: false, reason: 'relation "orders" does not exist', since: 1_000 },
    ])
  })

  it('falls when a partition stands still beyond its limit, and names it', () => {
    expect(dead(withPartition({ inFlightRecords: 2, bufferedRecords: 5, stalledMs: 120_000 }))).toEqual([])
    expect(dead(withPartition({ inFlightRecords: 2, bufferedRecords: 5, stalledMs: 125_400 }))).toEqual([
      {
        name: 'partitions_move',
        ok: false,
        reason: 'orders-4 has stood still for 125 s with 7 records in hand, although nothing that it needs is away',
        since: NOW - 125_400,
      },
    ])
    expect(dead(withPartition({ lagRecords: 30, stalledMs: 130_000 }))).toMatchObject([
      { reason: expect.stringContaining('orders-4 has stood still for 130 s with 30 records to fetch') },
    ])
  })

  it('falls when the loop does not come round, unless it waits for something that is away', () => {
    expect(dead({ ...RUNNING, turnedMsAgo: 121_000 })).toMatchObject([
      { name: 'loop', reason: expect.stringContaining('121 s'), since: NOW - 121_000 },
    ])
    expect(dead({ ...RUNNING, turnedMsAgo: 121_000, breakers: POSTGRES_AWAY })).toEqual([])
    expect(dead({ ...RUNNING, turnedMsAgo: 121_000, state: 'draining' })).toEqual([])
  })

  it('never falls for either with a limit of 0', () => {
    expect(dead({ ...withPartition({ inFlightRecords: 2, stalledMs: 1e9 }), turnedMsAgo: 1e9 }, 0)).toEqual([])
  })
})
