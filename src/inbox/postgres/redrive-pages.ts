import type pg from 'pg'
import { toQuery } from '../../engine/postgres/binary.ts'
import { noticeOf } from '../../engine/postgres/notifications.ts'
import {
  type Completion,
  createRowSettling,
  newKeys,
  outcomesOf,
  pick,
  type RowSettlingOptions,
  type SettledRow,
} from '../../engine/postgres/row-settling.ts'
import type { Refused } from '../../engine/settlement.ts'
import type { Statement } from '../../engine/value-sql.ts'
import { redriveEnds } from '../redrive-ends.ts'
import type { PageSettled, PageWork, RedrivePages } from '../redrive-settlement.ts'
import type { RedriveInHand } from '../redrive-work.ts'
import { renewStatement } from './dead-letters.ts'
import { closeLoopsStatement, failedAgainStatement, toClosings } from './redrive-ends.ts'
import { holdRedrive, takenOver } from './redrive-work.ts'

export interface RedrivePagesOptions<T> extends RowSettlingOptions<T> {
  /** Its name. */
  readonly stream: string
  /** Notifies other replicas, under this name, of values with a new version. Absent: no notices. */
  readonly notifyAs?: string | undefined
  /** A dead letter that failed again after so many redrives is parked. Absent: none is. */
  readonly redriveMax?: number | undefined
}

/**
 * Pages of redrives into the store, each in one transaction behind the redrive's epoch: the rows of the values, in the order of their
 * keys; then the letters, in the order of their ids; then the members. In this order a batch of the stream takes its locks as well, so that
 * the two do not wait for each other in a circle.
 */
export function createRedrivePages<T>(options: RedrivePagesOptions<T>): RedrivePages<T> {
  const { stream, notifyAs, redriveMax } = options
  const rows = createRowSettling(options)
  return {
    async settle(redrive, work) {
      const { ready, isolate } = work
      const settled = await rows.settle<PageSettled<T> | Refused>({
        ...{ ready, isolate, fence: holdRedrive(redrive) },
        completion: written => completionOf(redrive, work, written),
      })
      if (settled === undefined) throw takenOver(redrive)
      return settled
    },
  }

  function completionOf(
    redrive: RedriveInHand,
    work: PageWork<T>,
    rows: readonly SettledRow[],
  ): Completion<PageSettled<T>> {
    const { ready, deadLetters } = work
    const replaced = pick(ready, rows, row => row.replaced)
    const ends = redriveEnds(work, outcomesOf<T>(rows))
    const failedAgain = failedAgainStatement(ends)
    const inserted = newKeys(rows)
    const before: readonly (pg.QueryConfig | undefined)[] = [
      replaced.length === 0 || notifyAs === undefined ? undefined : toQuery(noticeOf(notifyAs, stream, replaced)),
      toQuery(lockLetters(ends)),
      // The events of those that failed again keep what the index is about to replace.
      failedAgain && toQuery(failedAgain),
      deadLetters.length === 0 ? undefined : toQuery(renewStatement(stream, deadLetters, redriveMax)),
      inserted === 0 ? undefined : countNewKeys(stream, redrive, inserted),
    ]
    return {
      statements: [...before.filter(statement => statement !== undefined), toQuery(closeLoopsStatement(ends))],
      result: answers => ({
        kind: 'settled',
        written: pick(ready, rows, row => row.outcome === 'written'),
        closings: toClosings(answers.at(-1)?.rows ?? []),
      }),
    }
  }
}

/** Those that failed again are touched before the others otherwise, and not in the order of the ids. */
function lockLetters(ends: readonly { readonly id: string }[]): Statement {
  return {
    name: 'redrive_lock_letters',
    text: 'SELECT FROM holdfast.dead_letters WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE',
    columns: [{ type: 'text', values: ends.map(({ id }) => id) }],
  }
}

/** No batch's row in the ledger counts them. */
function countNewKeys(stream: string, { id }: RedriveInHand, inserted: number): pg.QueryConfig {
  return {
    name: 'redrive_count_new_keys',
    text: `INSERT INTO holdfast.value_count_changes AS known (stream, replay_id, values, because)
      VALUES ($1, $2, $3, 'redriven into the store')
      ON CONFLICT (replay_id) WHERE replay_id IS NOT NULL DO UPDATE SET values = known.values + excluded.values, at = now()`,
    values: [stream, id, inserted],
  }
}
