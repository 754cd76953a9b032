import type { BreakerStatus, HealthCheck, HealthResult, PartitionStatus, StreamStatus } from './status.ts'

const OK: HealthResult = { ok: true }

/**
 * Ready: the stream runs, the group has told us our partitions, no breaker is open, and no partition of ours stands still
 * until an operator decides.
 * @param status of now; `undefined` while there is no stream yet
 */
export function readinessOf(status: () => StreamStatus | undefined): HealthCheck[] {
  return [
    { name: 'stream', check: () => streamHealth(status()) },
    {
      name: 'group_member',
      check: () =>
        status()?.member === true ? OK : { ok: false, reason: 'the group has not assigned partitions yet' },
    },
    { name: 'breakers', check: () => breakerHealth(status()?.breakers ?? []) },
    { name: 'partitions', check: () => partitionHealth(status()?.partitions ?? []) },
  ]
}

/** Alive: fails only when a restart would help, so never because a dependency is away. */
export function livenessOf(status: () => StreamStatus | undefined): HealthCheck[] {
  return [
    {
      name: 'stream',
      check: () => {
        const now = status()
        return now?.state === 'failed' ? { ok: false, reason: now.error ?? 'the stream has failed' } : OK
      },
    },
  ]
}

function streamHealth(status: StreamStatus | undefined): HealthResult {
  switch (status?.state) {
    case 'running':
      return OK
    case 'failed':
      return { ok: false, reason: status.error ?? 'the stream has failed' }
    case 'draining':
    case 'stopped':
      return { ok: false, reason: 'shutting down' }
    case 'starting':
    case undefined:
      return { ok: false, reason: 'starting' }
  }
}

/** What only an operator can lift; the sentence names the way. */
function partitionHealth(partitions: readonly PartitionStatus[]): HealthResult {
  const reasons = partitions.flatMap(({ partition, halted, paused }) => {
    if (halted !== undefined) return [halted]
    if (!paused.includes('storm_guard')) return []
    return [
      `partition ${partition} was stopped by the storm guard: too many dead letters in a row; look at them, then: ` +
        `holdfast resume --partition ${partition}`,
    ]
  })
  return reasons.length === 0 ? OK : { ok: false, reason: reasons.join('; ') }
}

function breakerHealth(breakers: readonly BreakerStatus[]): HealthResult {
  const open = breakers.filter(breaker => breaker.open)
  if (open.length === 0) return OK
  const since = Math.min(...open.map(breaker => breaker.sinceMs ?? Number.POSITIVE_INFINITY))
  return {
    ok: false,
    reason: open.map(breaker => `${breaker.dependency} is away: ${breaker.reason ?? 'no reason known'}`).join('; '),
    ...(Number.isFinite(since) ? { since } : {}),
  }
}
