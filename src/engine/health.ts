import { grouped } from './grouped.ts'
import type { BreakerStatus, HealthCheck, HealthResult, PartitionStatus, StreamStatus } from './status.ts'

/** A member that has lost its partitions is given so long to get new ones before that is called trouble. */
const REJOIN_GRACE_MS = 10_000

/**
 * Ready: the stream runs, the group has assigned our partitions, no breaker is open, and no partition of ours stands still
 * until an operator decides. One that an operator holds on purpose is named, and fails nothing: that decision has been made, a restart or
 * another replica would change nothing, and reading goes on. Rebalances come and go without a notice: between two assignments a member stays ready.
 * @param status of now; `undefined` while there is no stream yet
 * @param stream its name, where the process runs several: commands that a reason names then say which one
 */
export function readinessOf(
  status: () => StreamStatus | undefined,
  { stream }: { readonly stream?: string | undefined } = {},
): HealthCheck[] {
  return [
    { name: 'stream', check: () => streamHealth(status()) },
    { name: 'group_member', check: () => memberHealth(status()) },
    { name: 'breakers', check: () => breakerHealth(status()?.breakers ?? []) },
    { name: 'partitions', check: () => partitionHealth(status()?.partitions ?? [], stream) },
  ]
}

/**
 * Alive: fails only when a restart would help, so never because a dependency is away, nor while an operator has to decide
 * something.
 * @param stuckAfterMs how long work may stand still without a reason; 0: however long
 * @param now wall clock in ms
 */
export function livenessOf(
  status: () => StreamStatus | undefined,
  { stuckAfterMs, now }: { readonly stuckAfterMs: number; readonly now: () => number },
): HealthCheck[] {
  const limitMs = stuckAfterMs === 0 ? Number.POSITIVE_INFINITY : stuckAfterMs
  return [
    {
      name: 'stream',
      check() {
        const current = status()
        return current?.state === 'failed' ? failing(current.error ?? 'the stream has failed', current.sinceMs) : ok()
      },
    },
    { name: 'loop', check: () => loopHealth(status(), limitMs, now()) },
    { name: 'partitions_move', check: () => movement(status()?.partitions ?? [], limitMs, now()) },
  ]
}

function streamHealth(status: StreamStatus | undefined): HealthResult {
  switch (status?.state) {
    case 'running':
      return ok(status.sinceMs)
    case 'failed':
      return failing(status.error ?? 'the stream has failed', status.sinceMs)
    case 'halted':
      return failing(`halted, and tried again at intervals: ${status.error ?? 'no reason known'}`, status.sinceMs)
    case 'draining':
    case 'stopped':
      return failing(status.error ?? 'shutting down', status.sinceMs)
    case 'starting':
    case undefined:
      return failing('starting', status?.sinceMs)
  }
}

function memberHealth(status: StreamStatus | undefined): HealthResult {
  // The check of the stream reports the reason.
  if (status?.state === 'halted') return ok()
  const since = status?.memberSinceMs
  if (status?.member === true) return ok(since)
  if (status?.wasMember !== true) return failing('the group has not assigned partitions yet', since)
  if ((status.memberForMs ?? 0) < REJOIN_GRACE_MS) return ok()
  return failing('the group has not assigned partitions again since it took ours away', since)
}

/**
 * What only an operator can decide, locks of other sessions that last, and partitions that wait alone for Kafka; the sentence names
 * the way.
 */
function partitionHealth(partitions: readonly PartitionStatus[], stream: string | undefined): HealthResult {
  const named = stream === undefined ? '' : ` --stream ${stream}`
  const waiting = partitions.flatMap(status => {
    const { topic, partition, halted, unreadable, paused, pausedBecause, pausedSinceMs, contended } = status
    if (halted !== undefined) return [{ reason: halted, since: pausedSinceMs }]
    if (unreadable !== undefined) {
      return [{ reason: `${topic}-${partition} cannot be read: ${unreadable}`, since: pausedSinceMs }]
    }
    if (contended !== undefined) {
      const reason =
        `the batch of partition ${partition} is tried again and again: ${contended.reason}; if another session holds a lock, find ` +
        `it with: SELECT pid, pg_blocking_pids(pid), query FROM pg_stat_activity WHERE application_name LIKE 'holdfast-lanes/%'`
      return [{ reason, since: contended.sinceMs }]
    }
    if (!paused.includes('storm_guard')) return []
    const reason =
      `partition ${partition} was stopped by the storm guard: ${pausedBecause || 'too many dead letters'}; mend the cause, ` +
      `then: holdfast resume${named} --partition ${partition}`
    return [{ reason, since: pausedSinceMs }]
  })
  if (waiting.length === 0) return heldOnPurpose(partitions, named)
  return failing(waiting.map(({ reason }) => reason).join('; '), earliest(waiting.map(({ since }) => since)))
}

/** A pause of the whole stream is named once, whatever partitions are ours. */
function heldOnPurpose(partitions: readonly PartitionStatus[], named: string): HealthResult {
  const pauses = partitions.flatMap(({ manualPause }) => manualPause ?? [])
  const reasons = pauses.map(({ partition, by, because, sinceMs }) => {
    const [what, flag] =
      partition === undefined ? ['the stream', ''] : [`partition ${partition}`, ` --partition ${partition}`]
    return `${what} is paused by ${by} since ${new Date(sinceMs).toISOString()}: ${because}; to go on: holdfast resume${named}${flag}`
  })
  if (reasons.length === 0) return ok()
  const since = earliest(pauses.map(({ sinceMs }) => sinceMs))
  return { ...ok(since), reason: [...new Set(reasons)].join('; ') }
}

function breakerHealth(breakers: readonly BreakerStatus[]): HealthResult {
  const open = breakers.filter(breaker => breaker.open)
  if (open.length === 0) return ok()
  // The token is for programs, the rest for people.
  const reasons = open.map(({ dependency, reason }) => `${dependency} is away: ${reason ?? 'no reason known'}`)
  return failing(`breaker-open: ${reasons.join('; ')}`, earliest(open.map(({ sinceMs }) => sinceMs)))
}

/** While a dependency is away the loop may wait for it. */
function loopHealth(status: StreamStatus | undefined, limitMs: number, nowMs: number): HealthResult {
  const { state, turnedMsAgo = 0, breakers = [] } = status ?? {}
  if (state !== 'running' || turnedMsAgo <= limitMs || breakers.some(({ open }) => open)) return ok()
  return failing(`the loop that polls Kafka has not come round for ${inSeconds(turnedMsAgo)}`, nowMs - turnedMsAgo)
}

function movement(partitions: readonly PartitionStatus[], limitMs: number, nowMs: number): HealthResult {
  const stuck = partitions.filter(({ stalledMs = 0 }) => stalledMs > limitMs)
  if (stuck.length === 0) return ok()
  const reasons = stuck.map(({ topic, partition, stalledMs = 0, inFlightRecords, bufferedRecords, lagRecords }) => {
    const inHand = inFlightRecords + bufferedRecords
    const work =
      inHand > 0
        ? `${grouped(inHand)} records in hand`
        : `${lagRecords === undefined ? 'some' : grouped(lagRecords)} records to fetch`
    return `${topic}-${partition} has stood still for ${inSeconds(stalledMs)} with ${work}`
  })
  const longestMs = Math.max(...stuck.map(({ stalledMs = 0 }) => stalledMs))
  return failing(`${reasons.join('; ')}, although nothing that it needs is away`, nowMs - longestMs)
}

function inSeconds(ms: number): string {
  return `${Math.floor(ms / 1000)} s`
}

function earliest(times: readonly (number | undefined)[]): number | undefined {
  const known = times.filter(time => time !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

function ok(since?: number): HealthResult {
  return since === undefined ? { ok: true } : { ok: true, since }
}

function failing(reason: string, since: number | undefined): HealthResult {
  return since === undefined ? { ok: false, reason } : { ok: false, reason, since }
}
