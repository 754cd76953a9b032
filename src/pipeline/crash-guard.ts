import type { StartBook } from '../core/ports.ts'
import { createExclusion } from './exclusion.ts'
import type { Batch } from './partition.ts'

/** Gets the stream past a record that kills the process: nothing inside the process can catch that. */
export interface CrashGuard {
  /**
   * To be called before a batch is touched. Usually lets it through as it is; after a series of starts that came to
   * nothing it cuts it down to one record, and waits until that is the only one in hand in the whole process.
   */
  enter(batch: Batch): Promise<Passage>
}

export interface Passage {
  /** What to process now: the batch, or its first record. */
  readonly batch: Batch
  /** This record has killed processes that had nothing else in hand: set it aside unread. Its deaths, else 0. */
  readonly deaths: number
  /** The batch has ended, well or not. */
  leave(how: { readonly settled: boolean }): void
}

export interface CrashGuardParts {
  readonly book: StartBook
  readonly groupId: string
  /** CRASH_LOOP_MAX_STARTS; 0: off. */
  readonly maxStarts: number
  /** How many records are taken one by one before the partition is trusted again. */
  readonly carefulRecords: number
}

/** Deaths that it takes, alone in hand, to call a record guilty: one may be an operator's kill at the wrong moment. */
const DEATHS = 2

export function createCrashGuard({ book, groupId, maxStarts, carefulRecords }: CrashGuardParts): CrashGuard {
  const exclusion = createExclusion()
  // By assignment: the offset up to which it is careful; 0 when it need not be.
  const careful = new WeakMap<Batch['owner'], bigint>()
  const deathsNeeded = Math.min(DEATHS, maxStarts)
  const carefulFrom = Math.max(1, maxStarts - deathsNeeded + 1)

  return {
    async enter(batch) {
      const { owner } = batch
      // A batch of no records cannot kill, and must not count as the first one.
      if (maxStarts === 0 || batch.records.length === 0) return { batch, deaths: 0, leave: () => {} }
      const known = careful.get(owner)
      let deaths = 0
      if (known === undefined) {
        const start = await book.noteStart(groupId, owner)
        careful.set(owner, start.starts >= carefulFrom ? batch.from + BigInt(carefulRecords) : 0n)
        if (start.suspect === batch.records[0]?.offset && start.deaths >= deathsNeeded) deaths = start.deaths
      }
      const alone = batch.from < (careful.get(owner) ?? 0n)
      const leave = await exclusion.enter(alone)
      if (!alone) return { batch, deaths: 0, leave }

      const [record] = batch.records
      // A guilty one is set aside without being looked at: that cannot kill.
      if (record !== undefined && deaths === 0) {
        await book.noteSuspect(groupId, owner, record.offset, carefulFrom).catch((error: unknown) => {
          leave()
          throw error
        })
      }
      return {
        batch: owner.giveBack(batch, 1),
        deaths,
        leave({ settled }) {
          leave()
          // An error is no death: the process is alive to tell. Best effort; the next advance wipes it as well.
          if (!settled) book.clearSuspect(groupId, owner).catch(() => {})
        },
      }
    },
  }
}
