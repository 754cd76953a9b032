import type { StreamStatus } from '../engine/status.ts'
import { consolePath, factsOf, type Notice } from './notice.ts'

/** A breaker that is open for longer is reported: shorter outages end by themselves. */
export const BREAKER_OPEN_MS = 300_000

const NAMES = { postgres: 'Postgres', kafka: 'Kafka', dlq: 'The dead-letter topic' } as const

/** Events that follow from the state of one stream in this process. */
export function noticesOf(stream: string, status: StreamStatus | undefined, nowMs: number): Notice[] {
  if (status === undefined) return []
  const path = consolePath(stream)
  const ago = (sinceMs: number | undefined) => Math.max(0, nowMs - (sinceMs ?? nowMs))
  const stopped: Notice[] =
    status.state === 'halted' || status.state === 'failed'
      ? [
          {
            ...{ kind: 'stream_halted', stream, subject: `stream ${stream}`, path, since: ago(status.sinceMs) },
            title: `The stream ${stream} is halted`,
            facts: factsOf({ because: status.error }),
          },
        ]
      : []
  const halted = status.partitions.flatMap(({ topic, partition, halted, pausedSinceMs }): Notice[] => {
    if (halted === undefined) return []
    return [
      {
        ...{ kind: 'partition_halted', stream, subject: `partition ${topic} ${partition}`, path },
        since: ago(pausedSinceMs),
        title: `Partition ${partition} of ${topic} is halted and waits for an operator`,
        facts: factsOf({ because: halted }),
      },
    ]
  })
  const away = status.breakers.flatMap(({ dependency, open, reason, sinceMs }): Notice[] => {
    if (!open || ago(sinceMs) < BREAKER_OPEN_MS) return []
    return [
      {
        // Every stream of every process notices the same outage.
        ...{ kind: 'breaker_open', stream, path, since: ago(sinceMs) },
        subject: dependency === 'dlq' ? `breaker dlq ${stream}` : `breaker ${dependency}`,
        title: `${NAMES[dependency]} has been away for more than ${BREAKER_OPEN_MS / 60_000} minutes: the stream ${stream} waits`,
        facts: factsOf({ because: reason }),
      },
    ]
  })
  return [...stopped, ...halted, ...away]
}
