import { describe, expect, it } from 'vitest'
import { livenessOf, readinessOf } from '#src/core/health.ts'
import type { HealthCheck, StreamStatus } from '#src/core/status.ts'

const RUNNING: StreamStatus = { state: 'running', member: true, breakers: [], partitions: [] }

const failing = (checks: readonly HealthCheck[]) =>
  checks.map(({ name, check }) => ({ name, ...check() })).filter(({ ok }) => !ok)

describe('readiness', () => {
  it('holds while the stream runs as a member of the group', () => {
    expect(failing(readinessOf(() => RUNNING))).toEqual([])
  })

  it.each(['starting', 'draining', 'stopped', 'failed'] as const)('falls while the stream is %s', state => {
    expect(failing(readinessOf(() => ({ ...RUNNING, state }))).map(({ name }) => name)).toEqual(['stream'])
  })

  it('falls before there is a stream', () => {
    expect(failing(readinessOf(() => undefined)).map(({ name }) => name)).toEqual(['stream', 'group_member'])
  })

  it('says which dependency is away, why and since when', () => {
    const breakers = [
      { dependency: 'kafka', open: false, reason: undefined, sinceMs: undefined },
      { dependency: 'postgres', open: true, reason: 'connection refused', sinceMs: 5_000 },
      { dependency: 'dlq', open: true, reason: 'timed out', sinceMs: 4_000 },
    ] as const
    expect(failing(readinessOf(() => ({ ...RUNNING, breakers })))).toEqual([
      {
        name: 'breakers',
        ok: false,
        reason: 'postgres is away: connection refused; dlq is away: timed out',
        since: 4_000,
      },
    ])
  })
})

describe('a partition that waits for an operator', () => {
  const partition = {
    topic: 'orders',
    partition: 3,
    next: 0n,
    high: undefined,
    lagRecords: undefined,
    oldestUnsettledTimestampMs: undefined,
    bufferedRecords: 0,
    inFlightRecords: 0,
    lastProgressMs: undefined,
  }

  it('makes the process unready, and the reason names the command that lifts it', () => {
    const [check] = failing(
      readinessOf(() => ({ ...RUNNING, partitions: [{ ...partition, paused: ['storm_guard'] }] })),
    )
    expect(check).toMatchObject({
      name: 'partitions',
      reason: expect.stringContaining('holdfast resume --partition 3'),
    })
  })

  it('is told by its own reason when it was halted', () => {
    const [check] = failing(
      readinessOf(() => ({
        ...RUNNING,
        partitions: [{ ...partition, paused: ['halted'], halted: 'use holdfast seek' }],
      })),
    )
    expect(check).toMatchObject({ name: 'partitions', reason: 'use holdfast seek' })
  })

  it('is not one that only waits for a dependency', () => {
    expect(
      failing(readinessOf(() => ({ ...RUNNING, partitions: [{ ...partition, paused: ['store_away'] }] }))),
    ).toEqual([])
  })
})

describe('liveness', () => {
  it('holds while a dependency is away: a restart would not bring it back', () => {
    const breakers = [{ dependency: 'postgres', open: true, reason: 'gone', sinceMs: 1 }] as const
    expect(failing(livenessOf(() => ({ ...RUNNING, state: 'draining', breakers })))).toEqual([])
    expect(failing(livenessOf(() => undefined))).toEqual([])
  })

  it('falls when the stream has failed, and says why', () => {
    const checks = livenessOf(() => ({ ...RUNNING, state: 'failed', error: 'relation "orders" does not exist' }))
    expect(failing(checks)).toEqual([{ name: 'stream', ok: false, reason: 'relation "orders" does not exist' }])
  })
})
