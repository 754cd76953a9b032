import { type BackoffPolicy, backoffMs } from '../engine/backoff.ts'
import { type Collapsed, collapse } from '../engine/collapse.ts'
import type { DeadLetter } from '../engine/dead-letter.ts'
import { StoreContendedError } from '../engine/errors.ts'
import type { Clock } from '../engine/ports.ts'
import type { SourceRecord } from '../engine/record.ts'
import { createBlame } from '../engine/run/blame.ts'
import { toDeadLetter } from '../engine/run/divert.ts'
import { condemn, type Validated, validate } from '../engine/run/validate.ts'
import type { RedriveClosings, Refused } from '../engine/settlement.ts'
import type { ReadyRecord, Verdict } from '../engine/verdict.ts'
import type { RedriveInHand, RedriveItem, RedriveSettlement } from './redrive-work.ts'
import { toFirstRecord } from './redriven-record.ts'

/** What one transaction settles of a page. Every record of it belongs to the redrive. */
export interface PageWork<T> {
  /** At most one for each key, sorted by key in byte order. */
  readonly ready: readonly ReadyRecord<T>[]
  readonly collapsed: Pick<Collapsed<T>, 'superseded' | 'duplicate' | 'stale' | 'leftOut'>
  /** Those that fail again. No copy of them goes into the DLQ topic. */
  readonly deadLetters: readonly DeadLetter[]
  /** As of a batch. */
  readonly isolate: boolean
}

export interface PageSettled<T> {
  readonly kind: 'settled'
  readonly closings: RedriveClosings
  readonly written: readonly ReadyRecord<T>[]
}

/** Pages in the store. @throws RedriveTakenOverError, and as the settling of a batch */
export interface RedrivePages<T> {
  settle(redrive: RedriveInHand, work: PageWork<T>): Promise<PageSettled<T> | Refused>
}

export interface RedriveSettlementParts<T> {
  readonly pages: RedrivePages<T>
  /** The stream's own verdict. */
  readonly judge: (record: SourceRecord) => Verdict<T>
  readonly groupId: string
  /** Bounds failures that are attributed to one record. */
  readonly maxAttempts: number
  /** As after a batch: what was written, or `undefined` with those of which any may have been. */
  readonly onSettled?: (written: readonly ReadyRecord<T>[] | undefined, candidates: readonly ReadyRecord<T>[]) => void
  /** Runs the work on these records within a trace of its own. Default: none. */
  readonly trace?: <R>(records: readonly SourceRecord[], work: () => Promise<R>) => Promise<R>
  readonly clock: Clock
  readonly random: () => number
}

/** Members of a page, by the records that they were at first. */
type Items = ReadonlyMap<SourceRecord, RedriveItem>

/** A lock is held for as long as its holder likes; once it is free, the page must not wait out a long backoff. */
const BACKOFF: BackoffPolicy = { initialMs: 100, maxMs: 2_000 }
/** After so many attempts in vain the worker hears what an operator wants, and begins the page again. */
const MAX_CONTENDED = 8

/**
 * Brings the letters of a page into the store, by the rules of a batch of the stream: the same judge, the newest of each key, and the same
 * search for the records that the store refuses. Those fail again in the transaction that settles the others.
 */
export function createRedriveSettlement<T>(parts: RedriveSettlementParts<T>): RedriveSettlement {
  const { pages, groupId, maxAttempts, onSettled, trace = untraced, clock, random } = parts
  return {
    settle(redrive, page, stop, deaths = 0) {
      const items = new Map(page.map(({ letter, item }) => [toFirstRecord(letter, item), item]))
      return trace([...items.keys()], () => settle(redrive, items, stop, deaths))
    },
  }

  async function settle(redrive: RedriveInHand, items: Items, stop: AbortSignal, deaths: number) {
    const judged = judgePage(redrive, items, deaths)
    const blame = createBlame<T>(maxAttempts)
    let ready = judged.ready
    let deadLetters = judged.rejected
    for (let contended = 0; ; ) {
      const { ready: newest, ...collapsed } = collapse(ready)
      const attempt = (isolate: boolean) => pages.settle(redrive, { ready: newest, collapsed, deadLetters, isolate })
      try {
        const settled = await blame.attempt(attempt)
        if (settled.kind === 'settled') {
          onSettled?.(settled.written, ready)
          return settled.closings
        }
        const condemned = blame.condemn(settled.culprits, newest)
        // The errors are unforeseen, so they may pass.
        if (condemned.length === 0) await clock.sleep(backoffMs(BACKOFF, blame.strikes, random()), stop)
        const gone = new Set(condemned.map(({ record }) => record))
        ready = ready.filter(record => !gone.has(record))
        deadLetters = [
          ...deadLetters,
          ...condemned.map(({ record, rejection, attempts }) => {
            return toDeadLetter(record, rejection, { groupId, failedAtMs: clock.now(), attempts })
          }),
        ]
      } catch (error) {
        // The reply to the COMMIT may have been lost.
        onSettled?.(undefined, ready)
        contended += 1
        if (!(error instanceof StoreContendedError) || contended > MAX_CONTENDED || stop.aborted) throw error
        await clock.sleep(backoffMs(BACKOFF, contended, random()), stop)
      }
    }
  }

  /** A letter counts with its first position. */
  function judgePage(redrive: RedriveInHand, items: Items, deaths: number): Validated<T> {
    const shared = {
      provenanceOf: (record: SourceRecord) => ({
        origin: record,
        redrive: { redriveId: redrive.id, redriveCount: (items.get(record)?.redriveCount ?? 0) + 1 },
        foreign: false,
      }),
      ...{ groupId, now: () => clock.now() },
    }
    const records = [...items.keys()]
    if (deaths > 0) return condemn(records, deaths, shared)
    return validate(records, { ...shared, judge: parts.judge, maxAttempts })
  }
}

function untraced<R>(_records: readonly SourceRecord[], work: () => Promise<R>): Promise<R> {
  return work()
}
