import type { Observer, PauseReason } from '../core/facts.ts'
import type { RecordSource } from '../core/ports.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../core/record.ts'
import type { Lane } from './lane.ts'
import type { OwnedPartition } from './partition.ts'

/** The partitions that are ours, each with its lane, and what may flow into them. */
export interface Reception {
  readonly owned: ReadonlyMap<string, OwnedPartition>
  add(partition: OwnedPartition): void
  remove(partition: TopicPartition): OwnedPartition | undefined
  /** Hands records to the buffers of their partitions; those of a partition that is not ours are dropped. */
  route(records: readonly SourceRecord[], nowMs: number): void
  /** Something about the partition has changed: its lane should look. */
  wake(partition: OwnedPartition): void
  /** Makes the consumer's pauses what they should be now. @param wallMs wall clock */
  applyPauses(wallMs: number): void
  /** Whether the buffers of the partitions that flow hold all that they should. */
  full(): boolean
}

export interface ReceptionParts {
  readonly source: RecordSource
  readonly lanes: readonly Lane[]
  readonly observer: Observer
  /** Bounds of what waits for the lanes, over all partitions that flow. */
  readonly maxRecords: number
  readonly maxBytes: number
  /** Whether the buffers have been full for so long that fetching should stop. */
  readonly overfull: () => boolean
}

export function createReception(parts: ReceptionParts): Reception {
  const { source, lanes, observer } = parts
  const owned = new Map<string, OwnedPartition>()
  const laneOf = new Map<string, Lane>()

  function reasonsFor(partition: OwnedPartition): PauseReason[] {
    const reasons: PauseReason[] = []
    if (partition.halted !== undefined) reasons.push('halted')
    if (partition.waitsForOperator !== undefined) reasons.push(partition.waitsForOperator)
    reasons.push(...(laneOf.get(partition.key)?.waitingFor ?? []))
    if (parts.overfull()) reasons.push('backpressure')
    return reasons
  }

  return {
    owned,

    add(partition) {
      // The emptiest lane: a group of three partitions keeps three lanes busy.
      const lane = lanes.reduce((least, other) => (other.partitions.size < least.partitions.size ? other : least))
      owned.set(partition.key, partition)
      laneOf.set(partition.key, lane)
      lane.partitions.add(partition)
      lane.wake()
    },

    remove(gone) {
      const key = partitionKey(gone)
      const partition = owned.get(key)
      if (partition === undefined) return undefined
      owned.delete(key)
      const lane = laneOf.get(key)
      laneOf.delete(key)
      lane?.partitions.delete(partition)
      return partition
    },

    route(records, nowMs) {
      const woken = new Set<Lane>()
      let key = ''
      let target: OwnedPartition | undefined
      let last: SourceRecord | undefined
      for (const record of records) {
        // Runs of one partition are the rule: look it up once a run.
        if (last === undefined || record.partition !== last.partition || record.topic !== last.topic) {
          key = partitionKey(record)
          target = owned.get(key)
          const lane = laneOf.get(key)
          if (lane !== undefined) woken.add(lane)
        }
        last = record
        if (target !== undefined && target.halted === undefined) target.push(record, nowMs)
      }
      for (const lane of woken) lane.wake()
    },

    wake: partition => laneOf.get(partition.key)?.wake(),

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
        for (const reason of after)
          if (!before.includes(reason)) observer.observe({ kind: 'paused', partition, reason })
        for (const reason of before)
          if (!after.includes(reason)) observer.observe({ kind: 'resumed', partition, reason })
      }
      if (pause.length > 0) source.pause(pause.map(plain))
      if (resume.length > 0) source.resume(resume.map(plain))
    },

    full() {
      let records = 0
      let bytes = 0
      for (const partition of owned.values()) {
        // Those that are paused by their own lane hold what they hold: the others must not stand still for them.
        if (partition.pausedFor.some(reason => reason !== 'backpressure')) continue
        records += partition.bufferedRecords
        bytes += partition.bufferedBytes
      }
      return records >= parts.maxRecords || bytes >= parts.maxBytes
    },
  }
}

function plain({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition }
}
