import { partitionKey } from '../../core/record.ts'
import type { Clock } from '../ports.ts'
import type { OwnedPartition } from '../run/partition.ts'
import { NO_STORM, type SettlementStore } from '../settlement.ts'
import { askAgain } from './ask-again.ts'

export interface OperatorPausesParts {
  readonly store: Pick<SettlementStore<unknown>, 'readProgress'>
  readonly clock: Clock
  readonly groupId: string
  readonly owned: ReadonlyMap<string, OwnedPartition>
  readonly onLifted: (partition: OwnedPartition) => void
}

const INTERVAL_MS = 1_000

/**
 * An operator lifts a pause in the store, wherever the partition is consumed just now: so the store is asked, as long as one
 * of ours waits.
 * @returns what asks when it is time to; it waits for nothing
 */
export function watchOperatorPauses({ store, clock, groupId, owned, onLifted }: OperatorPausesParts): () => void {
  return askAgain(clock, INTERVAL_MS, async () => {
    const waiting = [...owned.values()].filter(
      // While its last batch is in flight, the store does not know of the pause yet.
      owner => owner.waitsForOperator !== undefined && owner.inFlightRecords === 0,
    )
    if (waiting.length === 0) return
    const places = waiting.map(({ topic, partition }) => ({ topic, partition }))
    for (const row of await store.readProgress(groupId, places)) {
      const owner = owned.get(partitionKey(row))
      if (owner === undefined || row.pause !== undefined) continue
      owner.waitsForOperator = undefined
      owner.storm = row.storm ?? NO_STORM
      owner.stormAhead = owner.storm
      onLifted(owner)
    }
  })
}
