import { type BatchLimits, dueAtMs } from '../batch.ts'
import { OwnershipLostError } from '../errors.ts'
import type { PauseReason } from '../facts.ts'
import type { ManualPause } from '../operator.ts'
import { partitionKey, type SourceRecord, type TopicPartition } from '../record.ts'
import { NO_STORM, type Pause, type StoredProgress, type StormTally } from '../settlement.ts'
import { createBuffer } from './buffer.ts'
import { contradiction } from './continuity.ts'

/** Records of one partition on their way through one transaction; none, where `[from, to)` is known to hold none. */
export interface Batch {
  readonly owner: OwnedPartition
  /** Progress before it. */
  readonly from: bigint
  /** Progress after it: the next offset to read. */
  readonly to: bigint
  readonly records: readonly SourceRecord[]
  /** When it began to fill, in monotonic ms. */
  readonly fillingSinceMs: number
}

/** A batch whose last attempt has failed, and which is tried again. */
export interface Wait {
  readonly reason: PauseReason
  /** What the last attempt failed with. */
  readonly error: unknown
  /** When the first attempt failed, in monotonic ms. */
  readonly sinceMs: number
  /** Between two attempts. */
  readonly resting: boolean
}

/**
 * One assignment of a partition, from assign to revoke: what waits, and what is in flight. The consumer's loop fills it and closes it; its
 * run (run.ts) takes the batches and reports how they ended. Nothing else changes it.
 */
export interface OwnedPartition extends TopicPartition {
  readonly key: string
  /** Aborts with an OwnershipLostError when the assignment is over for work that has not finished: its epoch has passed. */
  readonly abandoned: AbortSignal
  /** Why it stands still for good, until an operator acts. */
  readonly halted: unknown
  /** Why its position is not known yet: nothing may be read before it is. */
  readonly unlocated: unknown
  /** The next offset to be put into a batch. */
  readonly next: bigint
  /** Progress: everything below is settled. */
  readonly settled: bigint
  readonly bufferedRecords: number
  readonly bufferedBytes: number
  readonly inFlightRecords: number
  /** Wall clock in ms of the last settled batch. */
  readonly lastProgressMs: number | undefined
  /** Counts what has happened to its batches: one was taken, one ended, an attempt failed. */
  readonly signs: number
  /** Timestamp of the oldest record that is not settled, as far as it has been received. */
  readonly oldestUnsettledTimestampMs: number | undefined
  /** Below it dead letters may be open from an earlier reading; 0 when none is. */
  readonly readAgainTo: bigint
  /** What the storm guard has counted in what is settled. */
  storm: StormTally
  /** The same including the batches in flight, as far as validation determines: the store may reject more of them. */
  stormAhead: StormTally
  /** It takes no more batches until an operator has looked. */
  waitsForOperator: Pause | undefined
  /** An operator holds it: it takes no more batches until that is lifted. */
  manualPause: ManualPause | undefined
  /** Batches that are tried again. Until each of them is through, no other one is taken. */
  readonly waits: Set<Wait>
  /** Takes no batch now: an operator has to look or holds it, or one is tried again. */
  readonly stands: boolean
  /** Pauses in force at the consumer. */
  pausedFor: readonly PauseReason[]
  /** Wall clock in ms since when there have been some. */
  pausedSinceMs: number | undefined
  /** Where the log ends, as the last fetch brought it: for the size of batches only, it may be old. */
  logEnd: bigint | undefined
  /** Whether the client holds more records than the last poll took, of this partition or others. */
  isMoreFetched: boolean
  push(record: SourceRecord, nowMs: number): void
  /**
   * The log holds no record in `[settled, offset)`, and never will: transaction markers and aborted records, say. When nothing
   * else is in hand, the next batch is one of no records that leads there.
   * @returns whether that was not known yet
   */
  noRecordsBelow(offset: bigint): boolean
  isDue(limits: BatchLimits, nowMs: number): boolean
  /** When the waiting records will be due, in monotonic ms; `undefined` when nothing waits. */
  dueAt(limits: BatchLimits): number | undefined
  /** No more comes for now: what waits does not wait for a full batch. */
  stopFilling(): void
  take(limits: BatchLimits, nowMs: number): Batch | undefined
  /** Cuts the batch that was taken last down to its first records; the others wait again. */
  giveBack(batch: Batch, keep: number): Batch
  /** A batch has ended: settled (its `to` is progress now) or given up. */
  finish(batch: Batch, settled: boolean, wallMs: number): void
  /** An attempt has failed, and another one will be made. */
  noteAttempt(): void
  /** Takes no more records; what waits is forgotten, the next owner reads it again. */
  close(): void
  /** Close, and give up what is in flight. */
  abandon(): void
  /** Resolves when nothing is in flight. */
  idle(): Promise<void>
}

/** @param position where it goes on; or why it must not, or cannot yet */
export function createOwnedPartition(
  position: StoredProgress & {
    readonly halted?: unknown
    readonly unlocated?: unknown
    readonly manualPause?: ManualPause | undefined
  },
): OwnedPartition {
  const { topic, partition, nextOffset, unlocated } = position
  const abandonment = new AbortController()
  const idle: (() => void)[] = []
  const flying = new Set<Batch>()
  const waits = new Set<Wait>()
  const buffer = createBuffer()
  let waitingSince = 0
  let lastPushedMs = 0
  let fillingSinceMs = 0
  /** The same, but that nothing is waited for any more once it is `-Infinity`. */
  let fillsFromMs = 0
  let closed = false
  let halted = position.halted
  /** To be held against what comes first. */
  let lastRead = position.lastRead
  let next = nextOffset
  let settled = nextOffset
  let inFlightRecords = 0
  let lastProgressMs: number | undefined
  let signs = 0
  let emptyTo = 0n

  const hasGap = () => !closed && buffer.length === 0 && flying.size === 0 && emptyTo > next

  const waitingDueAtMs = (limits: BatchLimits) =>
    dueAtMs(
      {
        records: buffer.length,
        bytes: buffer.bytes,
        sinceMs: waitingSince,
        lastMs: lastPushedMs,
        fillingSinceMs: fillsFromMs,
        inSight: owned.logEnd === undefined ? 0 : Number(owned.logEnd - (buffer.last?.offset ?? next) - 1n),
        isMoreFetched: owned.isMoreFetched,
      },
      limits,
    )

  function fly(batch: Batch): Batch {
    next = batch.to
    inFlightRecords += batch.records.length
    signs += 1
    flying.add(batch)
    return batch
  }

  const owned: OwnedPartition = {
    topic,
    partition,
    key: partitionKey({ topic, partition }),
    abandoned: abandonment.signal,
    get halted() {
      return halted
    },
    unlocated,
    readAgainTo: position.readAgainTo ?? 0n,
    storm: position.storm ?? NO_STORM,
    stormAhead: position.storm ?? NO_STORM,
    waitsForOperator: position.pause,
    manualPause: position.manualPause,
    waits,
    pausedFor: [],
    pausedSinceMs: undefined,
    logEnd: undefined,
    isMoreFetched: false,
    get stands() {
      return this.waitsForOperator !== undefined || this.manualPause !== undefined || waits.size > 0
    },
    get signs() {
      return signs
    },
    get next() {
      return next
    },
    get settled() {
      return settled
    },
    get bufferedRecords() {
      return buffer.length
    },
    get bufferedBytes() {
      return buffer.bytes
    },
    get inFlightRecords() {
      return inFlightRecords
    },
    get lastProgressMs() {
      return lastProgressMs
    },
    get oldestUnsettledTimestampMs() {
      const [oldest] = flying
      return (oldest?.records[0] ?? buffer.first)?.timestampMs
    },

    push(record, nowMs) {
      if (lastRead !== undefined && record.offset >= lastRead.offset) {
        halted ??= contradiction(lastRead, record)
        lastRead = undefined
        if (halted !== undefined) this.close()
      }
      // Below: read already (a fetch that overlaps a seek). The fence would refuse it; here it costs nothing.
      if (closed || record.offset < next || !buffer.push(record)) return
      lastPushedMs = nowMs
      if (buffer.length === 1) {
        waitingSince = nowMs
        fillingSinceMs = nowMs
        fillsFromMs = nowMs
      }
    },

    noRecordsBelow(offset) {
      const isNew = emptyTo !== offset
      emptyTo = offset
      return isNew
    },

    isDue(limits, nowMs) {
      if (this.stands) return false
      return hasGap() || waitingDueAtMs(limits) <= nowMs
    },

    dueAt(limits) {
      return buffer.length === 0 || this.stands ? undefined : waitingDueAtMs(limits)
    },

    stopFilling() {
      fillsFromMs = Number.NEGATIVE_INFINITY
    },

    take(limits, nowMs) {
      if (this.stands) return undefined
      if (hasGap()) return fly({ owner: this, from: next, to: emptyTo, records: [], fillingSinceMs: nowMs })
      const records = buffer.take(limits)
      const last = records.at(-1)
      if (last === undefined) return undefined
      const batch = fly({ owner: this, from: next, to: last.offset + 1n, records, fillingSinceMs })
      // What is left has begun to wait for the next one.
      fillingSinceMs = nowMs
      fillsFromMs = nowMs
      return batch
    },

    giveBack(batch, keep) {
      const kept = batch.records.slice(0, keep)
      const rest = batch.records.slice(keep)
      const last = kept.at(-1)
      if (rest.length === 0 || last === undefined || batch.to !== next) return batch
      const cut: Batch = { ...batch, to: last.offset + 1n, records: kept }
      flying.delete(batch)
      flying.add(cut)
      inFlightRecords -= rest.length
      next = cut.to
      if (!closed) {
        buffer.putBack(rest)
        // They have waited long enough: due at once.
        waitingSince = Number.NEGATIVE_INFINITY
        fillsFromMs = Number.NEGATIVE_INFINITY
      }
      return cut
    },

    finish(batch, done, wallMs) {
      if (!flying.delete(batch)) return
      signs += 1
      inFlightRecords -= batch.records.length
      if (done) {
        settled = batch.to
        lastProgressMs = wallMs
      }
      if (flying.size === 0) for (const resolve of idle.splice(0)) resolve()
    },

    noteAttempt() {
      signs += 1
    },

    close() {
      closed = true
      buffer.clear()
    },

    abandon() {
      this.close()
      abandonment.abort(new OwnershipLostError('the partition was taken away'))
    },

    async idle() {
      if (flying.size > 0) await new Promise<void>(resolve => idle.push(resolve))
    },
  }
  return owned
}
