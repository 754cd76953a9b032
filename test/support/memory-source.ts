import type { CommitResult, Progress, RecordSource, SourceEvent } from '#src/engine/ports.ts'
import type { Header, SourceRecord, TopicPartition } from '#src/engine/record.ts'
import { aRecord } from './records.ts'

/** A group consumer and its topic in memory: the test plays the broker. */
export interface MemorySource extends RecordSource {
  /** Appends records to a partition's log; returns their offsets. */
  append(
    partition: number,
    ...texts: (string | { readonly text: string; readonly headers: readonly Header[] })[]
  ): bigint[]
  /** Queues a rebalance. */
  give(...partitions: number[]): void
  /** Queues a revoke; resolves when it is answered. */
  takeAway(partition: number, lost?: boolean): Promise<void>
  /** Removes everything below `low`, as retention does. */
  retain(partition: number, low: bigint): void
  /** What the broker holds as committed, by partition. */
  readonly commits: ReadonlyMap<number, bigint>
  readonly paused: ReadonlySet<number>
  /** Answers for the next commits, instead of taking them. */
  readonly refuseCommits: CommitResult[]
  readonly closed: boolean
}

export function createMemorySource(topic = 'orders'): MemorySource {
  const logs = new Map<number, { low: bigint; records: SourceRecord[]; end: bigint }>()
  const owned = new Map<number, bigint>()
  const events: SourceEvent[] = []
  const answered: (() => void)[] = []
  const commits = new Map<number, bigint>()
  const paused = new Set<number>()
  const refuseCommits: CommitResult[] = []
  const answers: (() => void)[] = []
  let closed = false

  function log(partition: number) {
    const existing = logs.get(partition) ?? { low: 0n, records: [], end: 0n }
    logs.set(partition, existing)
    return existing
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
    give(...partitions) {
      events.push({ kind: 'assigned', partitions: partitions.map(partition => ({ topic, partition })) })
    },
    takeAway(partition, lost = false) {
      events.push({ kind: 'revoked', partitions: [{ topic, partition }], lost })
      return new Promise(resolve => answered.push(resolve))
    },
    retain(partition, low) {
      const entry = log(partition)
      entry.low = low
      entry.records = entry.records.filter(({ offset }) => offset >= low)
      if (entry.end < low) entry.end = low
    },

    start: () => Promise.resolve(),
    async poll(max) {
      for (const answer of answers.splice(0)) answer()
      // A turn of the event loop, as a native call takes at least.
      await new Promise<void>(resolve => setTimeout(resolve, 1))
      const records: SourceRecord[] = []
      for (const [partition, position] of owned) {
        if (paused.has(partition)) continue
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
      for (const { partition, nextOffset } of positions) owned.set(partition, nextOffset)
    },
    unassign(partitions) {
      for (const { partition } of partitions) {
        owned.delete(partition)
        paused.delete(partition)
      }
      for (const resolve of answered.splice(0)) resolve()
    },
    pause: partitions => {
      for (const { partition } of partitions) paused.add(partition)
    },
    resume: partitions => {
      for (const { partition } of partitions) paused.delete(partition)
    },
    async seek({ partition, nextOffset }: Progress) {
      owned.set(partition, nextOffset)
    },
    commit(positions) {
      return new Promise(resolve => {
        answers.push(() => {
          const refusal = refuseCommits.shift()
          if (refusal === undefined)
            for (const { partition, nextOffset } of positions) commits.set(partition, nextOffset)
          resolve(refusal ?? { ok: true })
        })
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
    },
  }
}
