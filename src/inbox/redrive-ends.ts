import type { Rejection } from '../engine/dead-letter.ts'
import type { Outcome } from '../engine/outcome.ts'
import type { RecordRedrive } from '../engine/provenance.ts'
import { type Origin, originId, topicParts } from '../engine/record.ts'
import type { SettlementWork } from '../engine/settlement.ts'
import type { ReadyRecord } from '../engine/verdict.ts'

/** How a redriven record ended: by this its dead letter is resolved, or waits once more. */
export interface RedriveEnd extends RecordRedrive {
  /** Id of the dead letter. */
  readonly id: string
  /** Whether its position counts in a topic that was deleted: a letter of the topic that has its name now may have taken its id. */
  readonly former: boolean
  readonly outcome: Outcome
  /** Set if it was dead-lettered again. */
  readonly failure: Rejection | undefined
}

/**
 * Every redriven record of a work with its end: those that were collapsed within the batch, those that the store was asked
 * for, and those that failed once more. One for each letter and redrive: a record that was published twice (its redrive
 * was killed between two steps) had its effect when one of the two had.
 * @param outcomeOf how the store ended a record that it was asked to write
 */
export function redriveEnds<T>(
  work: Pick<SettlementWork<T>, 'ready' | 'collapsed' | 'deadLetters'>,
  outcomeOf: (ready: ReadyRecord<T>) => Outcome,
): RedriveEnd[] {
  const ends = new Map<string, RedriveEnd>()
  const note = (end: RedriveEnd): void => {
    const key = `${end.redriveId} ${end.id}`
    const other = ends.get(key)
    if (other === undefined || WEIGHT[end.outcome] > WEIGHT[other.outcome]) ends.set(key, end)
  }
  const noteReady = ({ redrive, origin }: ReadyRecord<T>, outcome: () => Outcome): void => {
    if (redrive !== undefined) note({ ...letterAt(origin), ...redrive, outcome: outcome(), failure: undefined })
  }
  for (const { ready, outcome } of work.collapsed.leftOut ?? []) noteReady(ready, () => outcome)
  for (const ready of work.ready) noteReady(ready, () => outcomeOf(ready))
  for (const { origin, redriveId, redriveCount, rejection } of work.deadLetters) {
    if (redriveId === undefined) continue
    note({ ...letterAt(origin), redriveId, redriveCount, outcome: 'dead_lettered', failure: rejection })
  }
  return [...ends.values()]
}

function letterAt(origin: Origin): Pick<RedriveEnd, 'id' | 'former'> {
  return { id: originId(origin), former: topicParts(origin.topic).formerId !== undefined }
}

/** Chooses the more informative of two ends of the same letter in one redrive. */
const WEIGHT: Readonly<Record<Outcome, number>> = {
  dead_lettered: 0,
  duplicate: 1,
  stale: 2,
  superseded: 3,
  written: 4,
}

/** A record that was read again, without a redrive, and had its effect this time. */
export interface ReadAgainEnd {
  /** Id of the dead letter, if there is one. */
  readonly id: string
  /** Timestamp of the record, because another one may stand at its offset since the topic was recreated. */
  readonly timestampMs: number
  readonly outcome: Outcome
}

/** Every record of a work that is neither a redriven one nor a dead letter. @param outcomeOf as of {@link redriveEnds} */
export function readAgainEnds<T>(
  work: Pick<SettlementWork<T>, 'ready' | 'collapsed'>,
  outcomeOf: (ready: ReadyRecord<T>) => Outcome,
): ReadAgainEnd[] {
  const ends: ReadAgainEnd[] = []
  const note = ({ record, redrive }: ReadyRecord<T>, outcome: Outcome): void => {
    if (redrive === undefined) ends.push({ id: originId(record), timestampMs: record.timestampMs, outcome })
  }
  for (const { ready, outcome } of work.collapsed.leftOut ?? []) note(ready, outcome)
  for (const ready of work.ready) note(ready, outcomeOf(ready))
  return ends
}
