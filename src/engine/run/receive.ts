import type { BatchLimits } from '../batch.ts'
import type { Observer, PauseReason } from '../facts.ts'
import type { RecordSource } from '../ports.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record.ts'
import { isIdle } from '../watch/rules.ts'
import type { Views } from '../watch/view.ts'
import type { OwnedPartition } from './partition.ts'
import type { PartitionRun } from './run.ts'

/** The partitions that are ours, each with its run, and what may flow into them. */
export interface Reception {
  readonly owned: ReadonlyMap<string, OwnedPartition>
  add(partition: OwnedPartition): void
  remove(partition: TopicPartition): OwnedPartition | undefined
  /**
   * Hands the records of a poll to the buffers of their partitions; those of a partition that is not ours are dropped.
   * @param isMore whether the client holds more: the poll brought as many as it may
   */
  route(records: readonly SourceRecord[], nowMs: number, isMore: boolean): void
  /** Something about the partition has changed: its run should look. */
  wake(partition: OwnedPartition): void
  /** Makes the consumer's pauses what they should be now. @param wallMs wall clock */
  applyPauses(wallMs: number): void
  /** Whether no partition has anything in hand, or is paused. */
  resting(): boolean
  /** Whether the buffers of the partitions that flow hold all that they should. */
  full(): boolean
  /** To be called when they are full: batches that would wait for more are taken as they are, where that makes room. */
  stopFilling(): void
  /** Ends all runs after the batches in hand. */
  stop(): Promise<void>
}

export interface ReceptionParts {
  /** Begins one for each assignment, and ends it. */
  readonly views: Views
  readonly source: RecordSource
  readonly startRun: (partition: OwnedPartition) => PartitionRun
  readonly observer: Observer
  /** Bounds of what waits for a batch, over all partitions that flow. */
  readonly maxRecords: number
  readonly maxBytes: number
  /** Limits of each batch. */
  readonly limits: BatchLimits
  /** Whether Postgres is known to be away, which concerns every partition. */
  readonly storeAway: () => boolean
  /** Whether the buffers have been full for so long that fetching should stop. */
  readonly overfull: () => boolean
}

export function createReception(parts: ReceptionParts): Reception {
  const { source, observer } = parts
  const owned = new Map<string, OwnedPartition>()
  const runs = new Map<string, PartitionRun>()
  /** Also those of partitions that are gone, as long as they have a batch in hand. */
  const working = new Set<Promise<void>>()

  function reasonsFor(partition: OwnedPartition): PauseReason[] {
    const reasons: PauseReason[] = []
    if (partition.halted !== undefined) reasons.push('halted')
    if (partition.unlocated !== undefined) reasons.push('position_unknown')
    if (partition.waitsForOperator !== undefined) reasons.push(partition.waitsForOperator.reason)
    if (partition.manualPause !== undefined) reasons.push('operator')
    if (parts.storeAway()) reasons.push('store_away')
    for (const { reason } of partition.waits) if (!reasons.includes(reason)) reasons.push(reason)
    if (parts.overfull()) reasons.push('backpressure')
    return reasons
  }

  /** Those that wait hold what they hold: the others must not stand still for them. */
  function flowing(): OwnedPartition[] {
    return [...owned.values()].filter(({ pausedFor }) => pausedFor.every(reason => reason === 'backpressure'))
  }

  return {
    owned,

    add(partition) {
      owned.set(partition.key, partition)
      parts.views.enter(partition)
      const run = parts.startRun(partition)
      runs.set(partition.key, run)
      working.add(run.left)
      void run.left.then(() => working.delete(run.left))
    },

    remove(gone) {
      const key = partitionKey(gone)
      const partition = owned.get(key)
      if (partition === undefined) return undefined
      owned.delete(key)
      parts.views.leave(key)
      runs.get(key)?.stop()
      runs.delete(key)
      return partition
    },

    route(records, nowMs, isMore) {
      const woken = new Set<PartitionRun>()
      for (const partition of owned.values()) {
        if (partition.isMoreFetched === isMore) continue
        partition.isMoreFetched = isMore
        // What waits for more may be due sooner than its run has been told.
        const run = runs.get(partition.key)
        if (run !== undefined && !isMore && partition.bufferedRecords > 0) woken.add(run)
      }
      let key = ''
      let target: OwnedPartition | undefined
      let last: SourceRecord | undefined
      for (const record of records) {
        // Runs of one partition are the rule: look it up once a run.
        if (last === undefined || record.partition !== last.partition || record.topic !== last.topic) {
          key = partitionKey(record)
          target = owned.get(key)
          const run = runs.get(key)
          if (run !== undefined) woken.add(run)
          if (target !== undefined) target.logEnd = source.cachedWatermarks(target)?.high
        }
        last = record
        if (target === undefined || target.halted !== undefined || target.unlocated !== undefined) continue
        target.push(record, nowMs)
        if (target.halted !== undefined)
          observer.observe({ kind: 'partition_halted', partition: plain(target), error: target.halted })
      }
      for (const run of woken) run.wake()
    },

    wake: partition => runs.get(partition.key)?.wake(),

    applyPauses(wallMs) {
      const pause: OwnedPartition[] = []
      const resume: OwnedPartition[] = []
      for (const partition of owned.values()) {
        const before = partition.pausedFor
        const after = reasonsFor(partition)
        if (before.length === after.length && before.every(reason => after.includes(reason))) continue
        partition.pausedFor = after
        partition.pausedSinceMs = after.length === 0 ? undefined : (partition.pausedSinceMs ?? wallMs)
        if (before.length === 0) pause.push(partition)
        if (after.length === 0) resume.push(partition)
        for (const reason of after) {
          if (before.includes(reason)) continue
          const { waitsForOperator: waits } = partition
          const because = waits?.reason === reason ? { because: waits.because } : {}
          observer.observe({ kind: 'paused', partition, reason, ...because })
        }
        for (const reason of before)
          if (!after.includes(reason)) observer.observe({ kind: 'resumed', partition, reason })
      }
      if (pause.length > 0) source.pause(pause.map(plain))
      if (resume.length > 0) source.resume(resume.map(plain))
    },

    resting: () => [...owned.values()].every(partition => isIdle(partition) && partition.pausedFor.length === 0),

    full() {
      let records = 0
      let bytes = 0
      for (const partition of flowing()) {
        records += partition.bufferedRecords
        bytes += partition.bufferedBytes
      }
      return records >= parts.maxRecords || bytes >= parts.maxBytes
    },

    stopFilling() {
      const waiting = flowing().filter(({ bufferedRecords }) => bufferedRecords > 0)
      // While one of them has a full batch, the next place is for that one, and the others go on filling behind it.
      if (waiting.some(partition => partition.isDue(parts.limits, Number.NEGATIVE_INFINITY))) return
      const mean = waiting.reduce((sum, { bufferedRecords }) => sum + bufferedRecords, 0) / waiting.length
      for (const partition of waiting) {
        if (partition.bufferedRecords < mean) continue
        partition.stopFilling()
        runs.get(partition.key)?.wake()
      }
    },

    async stop() {
      for (const run of runs.values()) run.stop()
      await Promise.all(working)
    },
  }
}

function plain({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}
