import { describe, expect, it } from 'vitest'
import type { PartitionStatus, StreamStatus } from '#src/engine/status.ts'
import { BREAKER_OPEN_MS, noticesOf } from '#src/notify/watch.ts'

const NOW = Date.UTC(2026, 10, 20, 12)
const RUNNING: StreamStatus = { state: 'running', member: true, breakers: [], partitions: [] }
const partition = (number: number, more: Partial<PartitionStatus> = {}): PartitionStatus => ({
  ...{ topic: 'orders', partition: number, next: 0n, high: 0n, lagRecords: 0, oldestUnsettledTimestampMs: undefined },
  ...{ bufferedRecords: 0, inFlightRecords: 0, paused: [], lastProgressMs: NOW, ...more },
})
const breaker = (dependency: 'postgres' | 'kafka' | 'dlq', openMs?: number): StreamStatus['breakers'][number] => ({
  ...{ dependency, open: openMs !== undefined, reason: openMs === undefined ? undefined : 'connection refused' },
  sinceMs: openMs === undefined ? undefined : NOW - openMs,
})

describe('what a process sees of its streams', () => {
  it('is nothing to tell while all is well, or nothing is known yet', () => {
    expect(noticesOf('orders', undefined, NOW)).toEqual([])
    const fine = { ...RUNNING, breakers: [breaker('postgres')], partitions: [partition(0)] }
    expect(noticesOf('orders', fine, NOW)).toEqual([])
  })

  it('is a partition that is halted, with its cause', () => {
    const halted = partition(3, { halted: 'its log was replaced', pausedSinceMs: NOW - 5_000, paused: ['halted'] })
    expect(noticesOf('orders', { ...RUNNING, partitions: [partition(0), halted] }, NOW)).toEqual([
      {
        ...{ kind: 'partition_halted', stream: 'orders', subject: 'partition orders 3', since: 5_000 },
        title: 'Partition 3 of orders is halted and waits for an operator',
        facts: { because: 'its log was replaced' },
        path: '/admin?stream=orders',
      },
    ])
  })

  it('is a stream that is halted or has failed', () => {
    const status: StreamStatus = { ...RUNNING, state: 'halted', sinceMs: NOW - 1_000, error: 'no table orders' }
    expect(noticesOf('orders', status, NOW)).toMatchObject([
      { kind: 'stream_halted', subject: 'stream orders', since: 1_000, facts: { because: 'no table orders' } },
    ])
    expect(noticesOf('orders', { ...status, state: 'failed' }, NOW)).toHaveLength(1)
  })

  it('is a breaker that is open beyond five minutes, and not a shorter outage', () => {
    const breakers = [breaker('postgres', BREAKER_OPEN_MS), breaker('kafka', BREAKER_OPEN_MS - 1), breaker('dlq')]
    expect(noticesOf('orders', { ...RUNNING, breakers }, NOW)).toMatchObject([
      {
        ...{ kind: 'breaker_open', subject: 'breaker postgres', since: 300_000 },
        title: 'Postgres has been away for more than 5 minutes: the stream orders waits',
      },
    ])
  })

  it('is one outage for all streams, but for the dead-letter topic, which each has of its own', () => {
    const breakers = [breaker('kafka', 400_000), breaker('dlq', 400_000)]
    const subjects = ['orders', 'returns'].flatMap(stream =>
      noticesOf(stream, { ...RUNNING, breakers }, NOW).map(({ subject }) => subject),
    )
    expect(subjects).toEqual(['breaker kafka', 'breaker dlq orders', 'breaker kafka', 'breaker dlq returns'])
  })
})
