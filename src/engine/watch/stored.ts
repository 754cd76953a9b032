import type { Observer } from '../facts.ts'
import type { Clock } from '../ports.ts'
import { partitionKey } from '../record.ts'
import type { OwnedPartition } from '../run/partition.ts'
import { NO_STORM, type SettlementStore, type StoredProgress } from '../settlement.ts'
import { askAgain } from './ask-again.ts'
import { isRunning } from './rules.ts'
import { type PartitionView, requestReposition, type Views } from './view.ts'

export interface StoredParts {
  readonly store: Pick<SettlementStore<unknown>, 'readProgress'>
  readonly views: Views
  readonly clock: Clock
  readonly groupId: string
  readonly observer: Observer
}

const PAUSES_INTERVAL_MS = 1_000
const PROGRESS_INTERVAL_MS = 5_000

/**
 * An operator lifts a pause in the store, wherever the partition is consumed just now: so the store is asked, as long as one of ours
 * waits.
 * @returns asks when it is time to; it waits for nothing
 */
export function pollPauses(parts: StoredParts): () => void {
  return askAgain(parts.clock, PAUSES_INTERVAL_MS, async () => {
    // While its last batch is in flight, the store does not hold the pause yet.
    const waiting = [...parts.views.all()].filter(
      ({ owner }) => owner.waitsForOperator !== undefined && !isInFlight(owner),
    )
    for (const [view, row] of await rowsOf(waiting, parts)) {
      if (row !== undefined && row.pause === undefined) view.lifted = row.storm ?? NO_STORM
    }
  })
}

/**
 * Looks now and then whether the store still holds what it held: it may be another one by now, that was behind, or an older copy. The
 * fence would notice with the next batch; where none comes, what is missing would stay so. Not only after outages: an idle process
 * sleeps through one that is short.
 * @returns asks when it is time to; it waits for nothing
 */
export function pollProgress(parts: StoredParts): () => void {
  return askAgain(parts.clock, PROGRESS_INTERVAL_MS, async () => {
    // Those with a batch in flight have the fence, and move while we look.
    const resting = [...parts.views.all()].filter(({ owner }) => isRunning(owner) && !isInFlight(owner))
    const settled = new Map(resting.map(view => [view, view.owner.settled]))
    for (const [view, row] of await rowsOf(resting, parts)) {
      const { owner } = view
      const before = settled.get(view)
      const untouched = parts.views.of(owner) === view && !isInFlight(owner) && owner.settled === before
      // Progress beyond ours means that another consumer owns the partition: a rebalance will follow.
      if (!untouched || (row !== undefined && row.nextOffset >= owner.settled)) continue
      const kind = row === undefined ? 'progress_removed' : 'progress_set_back'
      const partition = { topic: owner.topic, partition: owner.partition }
      parts.observer.observe({ kind, partition, from: owner.settled })
      requestReposition(view, 'progress_set_back')
    }
  })
}

async function rowsOf(
  views: readonly PartitionView[],
  { store, groupId }: StoredParts,
): Promise<[PartitionView, StoredProgress | undefined][]> {
  if (views.length === 0) return []
  const places = views.map(({ owner: { topic, partition } }) => ({ topic, partition }))
  const rows = new Map((await store.readProgress(groupId, places)).map(row => [partitionKey(row), row]))
  return views.map(view => [view, rows.get(view.owner.key)])
}

function isInFlight({ inFlightRecords }: OwnedPartition): boolean {
  return inFlightRecords > 0
}
