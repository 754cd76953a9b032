import type { Watermarks } from '../core/ports.ts'
import type { StreamStatus } from '../core/status.ts'
import type { Breaker } from './breaker.ts'
import type { OwnedPartition } from './partition.ts'

/** What health checks and gauges read; written by the loop. */
export interface StatusBoard {
  state: StreamStatus['state']
  error: unknown
  /** Whether the group has told us what is ours (nothing, perhaps). */
  member: boolean
  /** Last known, by partition key. */
  readonly watermarks: Map<string, Watermarks>
  snapshot(owned: Iterable<OwnedPartition>): StreamStatus
}

export function createStatusBoard(breakers: readonly Breaker[]): StatusBoard {
  return {
    state: 'starting',
    error: undefined,
    member: false,
    watermarks: new Map(),
    snapshot(owned) {
      return {
        state: this.state,
        ...(this.error === undefined ? {} : { error: textOf(this.error) }),
        member: this.member,
        breakers: breakers.map(({ dependency, open }) => ({
          dependency,
          open: open !== undefined,
          reason: open?.reason,
          sinceMs: open?.sinceMs,
        })),
        partitions: [...owned].map(partition => {
          const high = this.watermarks.get(partition.key)?.high
          return {
            topic: partition.topic,
            partition: partition.partition,
            next: partition.settled,
            high,
            // A batch may settle between two looks at the watermark: lag is never negative.
            lagRecords: high === undefined ? undefined : Math.max(0, Number(high - partition.settled)),
            oldestUnsettledTimestampMs: partition.oldestUnsettledTimestampMs,
            bufferedRecords: partition.bufferedRecords,
            inFlightRecords: partition.inFlightRecords,
            paused: partition.pausedFor,
            lastProgressMs: partition.lastProgressMs,
            ...(partition.halted === undefined ? {} : { halted: textOf(partition.halted) }),
          }
        }),
      }
    },
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
