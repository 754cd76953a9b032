import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { type CommitResult, LOG_END, type Progress, type RecordSource, type SourceEvent } from '#src/engine/ports.ts'
import type { Header, SourceRecord, TopicPartition } from '#src/engine/record.ts'
import { aRecord } from './records.ts'

/**
 * A group consumer and its topic in memory: the test plays the broker. `test/contract/record-source.suite.ts` holds it to what the real
 * one promises.
 */
export interface MemorySource extends RecordSource {
  /** Appends records to a partition's log; returns their offsets. */
  append(
    partition: number,
    ...texts: (string | { readonly text: string; readonly headers: readonly Header[] })[]
  ): bigint[]
  /** The consumer of the next process: over the same topic, in the same group. */
  successor(): MemorySource
  /** Queues a rebalance. */
  give(...partitions: number[]): void
  /** Queues a revoke; resolves when it is answered. */
  takeAway(partition: number, lost?: boolean): Promise<void>
  /** Ends the membership: queues the loss of these. */
  lose(...partitions: number[]): void
  /** Removes everything below `low`, as retention does. */
  retain(partition: number, low: bigint): void
  /** What the broker holds as committed, by partition. */
  readonly commits: ReadonlyMap<number, bigint>
  readonly paused: ReadonlySet<number>
  /** Answers for the next commits, instead of taking them. */
  readonly refuseCommits: CommitResult[]
  readonly closed: boolean
}

const NOT_A_MEMBER: CommitResult = { ok: false, code: 25, message: 'no member of the group any more' }

interface Log {
  low: bigint
  records: SourceRecord[]
  end: bigint
}

/** What a topic and a group have beyond the life of a process. */
interface Kept {
  readonly logs: Map<number, Log>
  readonly commits: Map<number, bigint>
}

export function createMemorySource(
  topic = 'orders',
  { logs, commits }: Kept = { logs: new Map(), commits: new Map() },
): MemorySource {
  const owned = new Map<number, bigint>()
  const events: SourceEvent[] = []
  const answered: (() => void)[] = []
  const paused = new Set<number>()
  const refuseCommits: CommitResult[] = []
  /** Answers the commit that waits. */
  let commitWaiting: ((result: CommitResult) => void) | undefined
  let sent: readonly Progress[] = []
  /** Lost partitions whose event is not answered yet. */
  const lostNow = new Set<number>()
  /** Not fetched any more until a seek: the position is not in the log. */
  const outOfRange = new Set<number>()
  let closed = false

  function log(partition: number): Log {
    const existing = logs.get(partition) ?? { low: 0n, records: [], end: 0n }
    logs.set(partition, existing)
    return existing
  }

  function answerCommit(): void {
    const resolve = commitWaiting
    commitWaiting = undefined
    if (resolve === undefined) return
    const isLost = sent.some(({ partition }) => lostNow.has(partition) || !owned.has(partition))
    const refusal = refuseCommits.shift() ?? (isLost ? NOT_A_MEMBER : undefined)
    if (refusal === undefined) for (const { partition, nextOffset } of sent) commits.set(partition, nextOffset)
    resolve(refusal ?? { ok: true })
  }

  return {
    commits,
    paused,
    refuseCommits,
    get closed() {
      return closed
    },
    append(partition, ...texts) {
      const entry = log(partition)
      return texts.map(given => {
        const offset = entry.end
        const content = typeof given === 'string' ? { text: given } : given
        const timestampMs = 1_700_000_000_000 + Number(offset)
        entry.records.push(aRecord({ topic, partition, offset, timestampMs, ...content }))
        entry.end += 1n
        return offset
      })
    },
    successor: () => createMemorySource(topic, { logs, commits }),
    give(...partitions) {
      events.push({ kind: 'assigned', partitions: partitions.map(partition => ({ topic, partition })) })
    },
    lose(...partitions) {
      for (const partition of partitions) lostNow.add(partition)
      events.push({ kind: 'revoked', partitions: partitions.map(partition => ({ topic, partition })), lost: true })
    },
    takeAway(partition, lost = false) {
      if (lost) this.lose(partition)
      else events.push({ kind: 'revoked', partitions: [{ topic, partition }], lost })
      return new Promise(resolve => answered.push(resolve))
    },
    retain(partition, low) {
      const entry = log(partition)
      entry.low = low
      entry.records = entry.records.filter(({ offset }) => offset >= low)
      if (entry.end < low) entry.end = low
    },

    async start() {
      if (closed) throw new Error('the consumer is closed')
    },
    async poll(max) {
      answerCommit()
      // A turn of the event loop, as a native call takes at least.
      await new Promise<void>(resolve => setTimeout(resolve, 1))
      const records: SourceRecord[] = []
      for (const [partition, position] of owned) {
        if (paused.has(partition) || lostNow.has(partition) || outOfRange.has(partition)) continue
        const { low, end } = log(partition)
        if (position < low || position > end) {
          outOfRange.add(partition)
          events.push({ kind: 'fetch_failed' })
          continue
        }
        const next = log(partition)
          .records.filter(({ offset }) => offset >= position)
          .slice(0, max - records.length)
        records.push(...next)
        const last = next.at(-1)
        if (last !== undefined) owned.set(partition, last.offset + 1n)
      }
      return records
    },
    nextEvent: () => events.shift(),
    assign(positions) {
      for (const { partition, nextOffset } of positions)
        owned.set(partition, nextOffset === LOG_END ? log(partition).end : nextOffset)
    },
    unassign(partitions) {
      for (const { partition } of partitions) {
        for (const known of [owned, paused, lostNow, outOfRange]) known.delete(partition)
      }
      for (const resolve of answered.splice(0)) resolve()
    },
    pause: partitions => {
      for (const { partition } of partitions) if (owned.has(partition)) paused.add(partition)
    },
    resume: partitions => {
      for (const { partition } of partitions) paused.delete(partition)
    },
    async seek({ partition, nextOffset }: Progress) {
      if (!owned.has(partition)) throw new BrokerUnavailableError('the partition is no longer ours')
      owned.set(partition, nextOffset)
      outOfRange.delete(partition)
    },
    commit(positions) {
      if (commitWaiting !== undefined) throw new Error('one commit at a time')
      if (!positions.every(({ partition }) => owned.has(partition))) return Promise.resolve(NOT_A_MEMBER)
      sent = positions
      return new Promise(resolve => {
        commitWaiting = resolve
      })
    },
    async committed(partitions) {
      return partitions.flatMap(({ partition }) => {
        const nextOffset = commits.get(partition)
        return nextOffset === undefined ? [] : [{ topic, partition, nextOffset }]
      })
    },
    async watermarks({ partition }: TopicPartition) {
      const { low, end } = log(partition)
      return { low, high: end }
    },
    cachedWatermarks: ({ partition }) => ({ low: log(partition).low, high: log(partition).end }),
    async close() {
      closed = true
      commitWaiting?.(NOT_A_MEMBER)
      commitWaiting = undefined
    },
  }
}
