import type pg from 'pg'
import { noticeJoin } from '../../engine/postgres/notifications.ts'
import { query } from '../../engine/postgres/pool.ts'
import { createSettlementStore } from '../../engine/postgres/settlement.ts'
import { partitionKey } from '../../engine/record.ts'
import type { JoinedStatement, LetterLookups, SettlementJoin, SettlementStore } from '../../engine/settlement.ts'
import type { Statement, Tables } from '../../engine/value-sql.ts'
import { sqlList, WAITING } from '../letter-states.ts'
import { readAgainEnds, redriveEnds } from '../redrive-ends.ts'
import { indexStatement } from './dead-letters.ts'
import { readRedrives } from './provenance.ts'
import { closeLoopsStatement, failedAgainStatement, readAgainStatement, toClosings } from './redrive-ends.ts'

/** Dead letters as part of the transaction that settles a batch: the engine knows them by these functions alone. */

/** The settlement store of a stream, with all that joins its transactions: notices, dead letters, closed loops. */
export function createStreamSettlement<T>(options: {
  readonly pool: pg.Pool
  /** Its name. */
  readonly stream: string
  readonly tables: Tables<T>
  /** Notifies other replicas, under this name, of values with a new version. Absent: no notices. */
  readonly notifyAs?: string | undefined
  /** A dead letter that failed again after so many redrives is parked. Absent: none is. */
  readonly redriveMax?: number | undefined
  /** As createSettlementStore has them. */
  readonly copyFrom?: number | undefined
  readonly ownRowFrom?: number | undefined
  readonly onObstacle?: ((because: string) => void) | undefined
}): SettlementStore<T> {
  const { pool, stream, tables, notifyAs, redriveMax, copyFrom, ownRowFrom, onObstacle } = options
  const notices: readonly SettlementJoin<T>[] = notifyAs === undefined ? [] : [noticeJoin(notifyAs, stream)]
  return createSettlementStore({
    pool,
    stream,
    tables,
    joins: [...notices, letterJoin(stream, redriveMax)],
    letters: createLetterLookups(pool, stream),
    copyFrom,
    ownRowFrom,
    onObstacle,
  })
}

/**
 * Enters the dead letters of a batch into the index, and closes the loops of its redriven records. The order matters: the
 * events of those that failed again keep what the index is about to replace, and the loops are closed by what it then holds.
 */
function letterJoin<T>(stream: string, redriveMax: number | undefined): SettlementJoin<T> {
  return ({ work, outcomeOf }) => {
    const ends = redriveEnds(work, outcomeOf)
    const readAgain = work.readAgain === true ? readAgainEnds(work, outcomeOf) : []
    const failedAgain = failedAgainStatement(ends)
    const index = work.deadLetters.length === 0 ? undefined : indexStatement(stream, work.deadLetters, redriveMax)
    return [
      ...joined(failedAgain),
      ...joined(index),
      ...joined(readAgain.length === 0 ? undefined : readAgainStatement(readAgain)),
      ...(ends.length === 0 ? [] : [{ statement: closeLoopsStatement(ends), closings: toClosings }]),
    ]
  }
}

function joined(statement: Statement | undefined): JoinedStatement[] {
  return statement === undefined ? [] : [{ statement }]
}

function createLetterLookups(pool: pg.Pool, stream: string): LetterLookups {
  return {
    async lastOpen(from) {
      if (from.length === 0) return new Map()
      const rows = await query<{ topic: string; partition: number; last: string }>(pool, {
        text: `SELECT topic, partition, (
            SELECT max(source_offset) FROM holdfast.dead_letters WHERE stream = $1 AND source_topic = topic
              AND source_partition = partition AND source_offset >= next_offset AND state IN (${sqlList(WAITING)})
          ) AS last
          FROM unnest($2::text[], $3::int4[], $4::int8[]) AS progress (topic, partition, next_offset)`,
        values: [
          stream,
          from.map(({ topic }) => topic),
          from.map(({ partition }) => partition),
          from.map(({ nextOffset }) => nextOffset),
        ],
      })
      return new Map(rows.flatMap(row => (row.last === null ? [] : [[partitionKey(row), BigInt(row.last)]])))
    },
    redrives: (groupId, topic, claims) => readRedrives(pool, { groupId, topic }, claims),
  }
}
