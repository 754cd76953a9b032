import type { Outcome } from './outcome.ts'
import type { ReadyRecord, RedriveEnd, SettlementWork } from './ports.ts'
import { originId } from './record.ts'

/** How a redriven record ended that was not dead-lettered again. @returns `undefined` when it is no redriven one */
export function endOf<T>({ redrive, origin }: ReadyRecord<T>, outcome: Outcome): RedriveEnd | undefined {
  return redrive === undefined ? undefined : { id: originId(origin), ...redrive, outcome, failure: undefined }
}

/**
 * Every redriven record of a work with its end: those that were collapsed within the batch, those that the store was asked
 * for, and those that failed once more. One for each letter and redrive: a record that was published twice (its redrive
 * was killed between two steps) had its effect when one of the two had.
 * @param outcomeOf how the store ended an order of the work
 */
export function redriveEnds<T>(
  work: Pick<SettlementWork<T>, 'orders' | 'collapsed' | 'deadLetters'>,
  outcomeOf: (order: ReadyRecord<T>) => Outcome,
): RedriveEnd[] {
  const ends = new Map<string, RedriveEnd>()
  const note = (end: RedriveEnd): void => {
    const key = `${end.replayId} ${end.id}`
    const other = ends.get(key)
    if (other === undefined || WEIGHT[end.outcome] > WEIGHT[other.outcome]) ends.set(key, end)
  }
  for (const end of work.collapsed.redriven ?? []) note(end)
  for (const order of work.orders) {
    if (order.redrive === undefined) continue
    const end = endOf(order, outcomeOf(order))
    if (end !== undefined) note(end)
  }
  for (const { origin, replayId, replayCount, rejection } of work.deadLetters) {
    if (replayId === undefined) continue
    note({ id: originId(origin), replayId, replayCount, outcome: 'dead_lettered', failure: rejection })
  }
  return [...ends.values()]
}

/** Of two ends of the same letter in one redrive, which one tells more. */
const WEIGHT: Readonly<Record<Outcome, number>> = {
  dead_lettered: 0,
  duplicate: 1,
  stale: 2,
  superseded: 3,
  written: 4,
}
