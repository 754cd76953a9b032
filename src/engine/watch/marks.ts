import { dispositionOf, PartitionUnavailableError } from '../errors.ts'
import type { Clock, RecordSource } from '../ports.ts'
import type { Breaker } from '../run/breaker.ts'
import { askAgain } from './ask-again.ts'
import { eachOf } from './ask-each.ts'
import { isOutsideOfLog, textOf } from './rules.ts'
import { marksOf, type PartitionView, requestReposition, type Views } from './view.ts'

export interface MarksParts {
  readonly source: Pick<RecordSource, 'watermarks'>
  readonly views: Views
  readonly clock: Clock
  /** Opened when no broker answers. */
  readonly broker: Breaker
}

const INTERVAL_MS = 2_000

/**
 * Asks the broker again and again where the partitions begin and end, because what the client remembers stands still while a partition
 * is paused, and because the client may keep a position outside of the log to itself.
 * @returns asks when it is time to, at once about a partition that was never asked about; it waits for nothing
 */
export function pollMarks({ source, views, clock, broker }: MarksParts): () => void {
  async function ask(view: PartitionView): Promise<void> {
    const { owner } = view
    view.asked = true
    try {
      const marks = await source.watermarks({ topic: owner.topic, partition: owner.partition })
      view.leaderless = undefined
      if (owner.halted !== undefined) return
      if (owner.unlocated !== undefined) return requestReposition(view, 'located')
      view.marks = marksOf(marks, clock)
      if (isOutsideOfLog(owner, marks)) requestReposition(view, 'outside_of_log')
    } catch (error) {
      if (view.marks !== undefined) view.marks = { ...view.marks, old: true }
      if (error instanceof PartitionUnavailableError) {
        // The broker that reports this is available: the partition waits alone.
        view.leaderless = { text: textOf(error), sinceMs: view.leaderless?.sinceMs ?? clock.monotonic() }
      } else if (dispositionOf(error) === 'retry') broker.trip(error)
    }
  }

  return askAgain(
    clock,
    INTERVAL_MS,
    () => eachOf([...views.all()], ask),
    () => views.all().some(({ asked }) => !asked),
  )
}
