import { partitionKey } from '../../core/record.ts'
import type { Clock } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'
import type { SettlementStore } from '../settlement.ts'
import { askAgain } from './ask-again.ts'

export interface ProgressWatchParts {
  readonly store: Pick<SettlementStore<unknown>, 'readProgress'>
  readonly clock: Clock
  readonly groupId: string
  readonly owned: ReadonlyMap<string, OwnedPartition>
  /** The store does not hold any more what this process has settled. @param removed there is no row at all */
  readonly onSetBack: (partition: OwnedPartition, removed: boolean) => void
}

const INTERVAL_MS = 5_000

/**
 * Looks now and then whether the store still knows what it knew: it may be another one by now, that was behind, or an older
 * copy. The fence would notice with the next batch; where none comes, what is missing would stay so. Not only after outages:
 * an idle process sleeps through one that is short.
 * @returns what looks when it is time to; it waits for nothing
 */
export function watchProgress({ store, clock, groupId, owned, onSetBack }: ProgressWatchParts): () => void {
  return askAgain(clock, INTERVAL_MS, async () => {
    // Those with a batch in flight have the fence, and move while we look.
    const settled = new Map([...owned.values()].filter(isIdle).map(owner => [owner, owner.settled]))
    const places = [...settled.keys()].map(({ topic, partition }) => ({ topic, partition }))
    const rows = await store.readProgress(groupId, places)
    const stored = new Map(rows.map(row => [partitionKey(row), row.nextOffset]))
    for (const [owner, before] of settled) {
      const untouched = owned.get(owner.key) === owner && isIdle(owner) && owner.settled === before
      // Further on, it is another consumer's: the group will tell.
      const now = stored.get(owner.key)
      if (untouched && (now === undefined || now < before)) onSetBack(owner, now === undefined)
    }
  })
}

function isIdle({ halted, unlocated, inFlightRecords }: OwnedPartition): boolean {
  return halted === undefined && unlocated === undefined && inFlightRecords === 0
}
