import { StreamError } from '../errors.ts'
import type { Head, Watermarks } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'
import type { PartitionStatus } from '../status.ts'
import type { Marks, PartitionView } from './view.ts'

/** What follows from the facts about a partition. Pure; times are monotonic ms. */

/** A watermark older than a few query intervals is no evidence of the current state. */
const FRESH_MS = 10_000
/** Deadlocks and short locks pass with the next attempt or two. */
const CONTENDED_AFTER_MS = 2_000

export function isIdle({ bufferedRecords, inFlightRecords }: OwnedPartition): boolean {
  return bufferedRecords === 0 && inFlightRecords === 0
}

/** Whether it is read and written at all: its position is known, and nothing halts it. */
export function isRunning({ halted, unlocated }: OwnedPartition): boolean {
  return halted === undefined && unlocated === undefined
}

/** To be asked when the marks have just come: later, records may have come that lie beyond them. */
export function isOutsideOfLog(owner: OwnedPartition, { low, high }: Watermarks): boolean {
  return isIdle(owner) && (owner.next < low || owner.next > high)
}

function headOf({ owner, head }: PartitionView): Head | undefined {
  return head?.offset === owner.settled ? head.head : undefined
}

/** Timestamp of the record that it is to settle next; `undefined` when that is not known, or there is none. */
export function headTimestampMs(view: PartitionView): number | undefined {
  const head = headOf(view)
  return head !== undefined && 'timestampMs' in head ? head.timestampMs : undefined
}

/** The offset up to which the log was found to hold no record, beyond progress. */
export function emptyAhead(view: PartitionView): bigint | undefined {
  const head = headOf(view)
  return head !== undefined && 'emptyTo' in head && head.emptyTo > view.owner.settled ? head.emptyTo : undefined
}

/** Below this offset nothing is left to be read: progress, or further on where offsets hold no record. */
export function readTo(view: PartitionView): bigint {
  return emptyAhead(view) ?? view.owner.settled
}

function isFresh({ old, atMs }: Marks, nowMs: number): boolean {
  return !old && nowMs - atMs < FRESH_MS
}

/** Whether the log is known, by what the broker said just now, to go on beyond what is left to be read. */
export function lags(view: PartitionView, nowMs: number): boolean {
  const { marks } = view
  return marks !== undefined && isFresh(marks, nowMs) && marks.high > readTo(view)
}

/** Records that wait, by the last marks; `undefined` where there are none. */
function waiting(view: PartitionView): number | undefined {
  const { marks, owner } = view
  if (marks === undefined) return undefined
  // Between two looks at the marks batches settle, and records come that lie beyond them.
  return Math.max(owner.bufferedRecords + owner.inFlightRecords, Number(marks.high - readTo(view)))
}

/** @returns `undefined` when it is not known: old marks can show a lag, and never that there is none */
export function lagRecords(view: PartitionView, nowMs: number): number | undefined {
  const lag = waiting(view)
  return lag === 0 && view.marks !== undefined && !isFresh(view.marks, nowMs) ? undefined : lag
}

/** Timestamp of the oldest record that is not settled: the oldest in hand, or what Kafka holds there. */
export function oldestUnsettledTimestampMs(view: PartitionView): number | undefined {
  return view.owner.oldestUnsettledTimestampMs ?? (waiting(view) === 0 ? undefined : headTimestampMs(view))
}

/** Whether there is something to do on it that nothing holds up. A record in Kafka counts only once it has been seen there. */
export function hasWork(view: PartitionView, nowMs: number): boolean {
  const { owner } = view
  if (owner.halted !== undefined || owner.waitsForOperator !== undefined) return false
  // What was in flight when an operator paused it is settled nevertheless.
  if (owner.manualPause !== undefined && owner.inFlightRecords === 0) return false
  // A wait between two attempts: the last one has failed, so it is not stuck.
  for (const { resting } of owner.waits) if (resting) return false
  if (!isIdle(owner)) return true
  return owner.pausedFor.length === 0 && lags(view, nowMs) && headTimestampMs(view) !== undefined
}

/** For how long its work has made no progress; 0 while it advances or a reason for the standstill is known. */
export function stalledMs({ standing }: PartitionView, nowMs: number): number {
  return standing === undefined ? 0 : nowMs - standing.sinceMs
}

/** What its batch keeps failing with, though the store is there. `wallMs`: wall clock. */
export function contention({ owner }: PartitionView, nowMs: number, wallMs: number): PartitionStatus['contended'] {
  const lasting = [...owner.waits].find(
    ({ reason, sinceMs }) => reason === 'store_contended' && nowMs - sinceMs > CONTENDED_AFTER_MS,
  )
  return lasting && { reason: textOf(lasting.error), sinceMs: wallMs - (nowMs - lasting.sinceMs) }
}

/** Why Kafka cannot serve it. A leader that moves to another broker is no trouble: that takes a moment. */
export function unreadable({ owner, leaderless }: PartitionView, nowMs: number): string | undefined {
  if (owner.unlocated !== undefined) return textOf(owner.unlocated)
  return leaderless !== undefined && nowMs - leaderless.sinceMs > FRESH_MS ? leaderless.text : undefined
}

/** For health checks, the console and messages to operators: the text of an unforeseen error may quote a record. */
export function textOf(error: unknown): string {
  if (error instanceof StreamError) return error.message
  return `unforeseen: ${error instanceof Error ? error.name : typeof error}; the log says where`
}
