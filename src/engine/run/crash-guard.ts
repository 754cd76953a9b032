import type { StartCounts } from '../settlement.ts'
import { createExclusion } from './exclusion.ts'
import type { Batch } from './partition.ts'

/** Gets the stream past a record that kills the process: nothing inside the process can catch that. */
export interface CrashGuard {
  /**
   * To be called before a batch is touched. Usually lets all of it through; after a series of starts that came to nothing it lets one
   * record through, and waits until that is the only one in hand in the whole process.
   */
  enter(batch: Batch): Promise<Passage>
}

export interface Passage {
  /** How many records of the batch are to be processed now. */
  readonly keep: number
  /** How many processes the first record has crashed alone in flight, when it is to be dead-lettered without being decoded; else 0. */
  readonly deaths: number
  /**
   * Runs around each attempt to judge the batch (`judge`), to divert or to write it (`settle`). Between attempts it gives way:
   * while a batch waits for the store, others go on.
   * @throws what `work` throws; StoreUnavailableError, where the suspect cannot be noted
   */
  attempt<R>(stage: 'judge' | 'settle', work: () => Promise<R>): Promise<R>
  /** The batch has ended, well or not. */
  leave(how: { readonly settled: boolean }): Promise<void>
}

/** Lets each batch through as it is. */
export const UNGUARDED: Passage = {
  keep: Number.POSITIVE_INFINITY,
  deaths: 0,
  attempt: (_stage, work) => work(),
  leave: async () => {},
}

export const NO_CRASH_GUARD: CrashGuard = { enter: async () => UNGUARDED }

export interface CrashGuardParts {
  readonly starts: StartCounts
  readonly groupId: string
  /** CRASH_LOOP_MAX_STARTS; 0: off. */
  readonly maxStarts: number
  /** How many records are taken one by one before the partition is trusted again. */
  readonly carefulRecords: number
}

interface Care {
  /** Below this offset records are taken one by one. */
  readonly to: bigint
  /**
   * Usually a suspect is noted while it is judged, which is where a record kills. Diverting and writing it is mostly waiting for
   * others, and a process that is killed meanwhile would condemn it. Only where many more starts have come to nothing is it
   * noted throughout.
   */
  readonly throughout: boolean
  /** Resolves when the batch that was taken last has ended. */
  left: Promise<void>
}

/** Crashes with only this record in flight after which it is dead-lettered: a single one may be an operator's kill. */
const DEATHS = 2

export function createCrashGuard({ starts: stored, groupId, maxStarts, carefulRecords }: CrashGuardParts): CrashGuard {
  const exclusion = createExclusion()
  // By assignment.
  const cares = new WeakMap<Batch['owner'], Care>()
  const deathsNeeded = Math.min(DEATHS, maxStarts)
  const carefulFrom = Math.max(1, maxStarts - deathsNeeded + 1)

  return {
    async enter(taken) {
      const { owner } = taken
      // A batch of no records cannot kill, and must not count as the first one.
      if (maxStarts === 0 || taken.records.length === 0) return UNGUARDED
      let deaths = 0
      let counted = false
      let care = cares.get(owner)
      if (care === undefined) {
        const { starts, suspect, deaths: suspected } = await stored.noteStart(groupId, owner)
        counted = true
        const to = starts >= carefulFrom ? taken.from + BigInt(carefulRecords) : 0n
        care = { to, throughout: starts >= carefulFrom + 2 * maxStarts, left: Promise.resolve() }
        cares.set(owner, care)
        if (suspect === taken.records[0]?.offset && suspected >= deathsNeeded) deaths = suspected
      }
      const alone = taken.from < care.to
      const throughout = alone && care.throughout
      // One at a time: the record behind it would hold the place that this one needs again for its next attempt.
      const { promise: left, resolve: leave } = Promise.withResolvers<void>()
      if (throughout) {
        const before = care.left
        care.left = left
        await before
      }
      // A record that crashes the process is dead-lettered without being decoded, which cannot crash it again.
      const suspect = alone && deaths === 0 ? taken.records[0]?.offset : undefined
      let exit: (() => void) | undefined
      let noted = false

      /** The process is alive, so it was not this record. */
      async function clear(start: boolean): Promise<void> {
        if (!noted && !start) return
        await stored.clearSuspect(groupId, owner, { start })
        noted = false
      }

      function giveWay(): void {
        exit?.()
        exit = undefined
      }

      return {
        keep: alone ? 1 : taken.records.length,
        deaths,
        async attempt(stage, work) {
          exit ??= await exclusion.enter(alone)
          try {
            if (suspect !== undefined && !noted && (stage === 'judge' || throughout)) {
              await stored.noteSuspect(groupId, owner, suspect, carefulFrom)
              noted = true
            }
            const done = await work()
            if (throughout) return done
            await clear(false)
            giveWay()
            return done
          } catch (error) {
            giveWay()
            // Best effort; the next advance clears it as well.
            await clear(false).catch(() => {})
            throw error
          }
        },
        async leave({ settled }) {
          giveWay()
          leave()
          // An end that this process has chosen is no crash: its start does not count.
          if (!settled) await clear(counted).catch(() => {})
        },
      }
    },
  }
}
