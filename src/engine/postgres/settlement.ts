import { OwnershipLostError, ProgressSetBackError } from '../errors.ts'
import { countOutcomes, type OutcomeCounts } from '../outcome.ts'
import { partitionKey } from '../record.ts'
import type { LetterLookups, Settlement, SettlementJoin, SettlementStore, SettlementWork } from '../settlement.ts'
import { checkWork, countWork } from '../work.ts'
import { toQuery } from './binary.ts'
import { advance, enter, extend, type LedgerRange, type LookedUp, lookUp } from './ledger.ts'
import { finish, pipelined, query, transaction } from './pool.ts'
import { createProgressRows, removed } from './progress-rows.ts'
import {
  type Completion,
  createRowSettling,
  newKeys,
  outcomesOf,
  pick,
  type RowSettlingOptions,
  type SettledRow,
  throwOurs,
} from './row-settling.ts'

export interface SettlementOptions<T> extends RowSettlingOptions<T> {
  /** Name of the stream: its rows in the ledger, the progress and the index bear it. */
  readonly stream: string
  /** What other modules add to each batch, in this order. */
  readonly joins: readonly SettlementJoin<T>[]
  readonly letters: LetterLookups
  /** How many records a batch has at least that gets a row of its own in the ledger; a smaller one extends the row before it. Default: each gets one. */
  readonly ownRowFrom?: number | undefined
}

/** Settles batches in Postgres, each in one transaction behind its partition's progress: rows, joins, ledger. */
export function createSettlementStore<T>(options: SettlementOptions<T>): SettlementStore<T> {
  const { pool, stream, joins, letters, ownRowFrom = 0 } = options
  const rows = createRowSettling(options)
  return {
    ...createProgressRows(pool, stream, letters),

    async settle(work) {
      const { gaps } = checkWork(work)
      const { ready, isolate } = work
      const settled = await rows.settle<Settlement<T>>({
        ...{ ready, isolate, fence: advance(work) },
        completion: written => completionOf(work, gaps, written),
      })
      return settled ?? (await settledBefore(work))
    },

    async expire(groupId, partition, from, to) {
      if (from < 0n || to <= from) throw new RangeError(`nothing can expire between the offsets ${from} and ${to}`)
      const range = { topic: partition.topic, partition: partition.partition, groupId, from, to }
      const done = await transaction(pool, async client => {
        const [, fence] = await pipelined(client, ['BEGIN', advance(range)])
        if (fence?.rowCount !== 1) return false
        const entry = enter(stream, range, { ...countOutcomes([]), records: 0, gaps: 0n, expired: to - from })
        await finish(client, [entry]).catch(throwOurs)
        return true
      })
      if (!done) await settledBefore(range)
    },

    redrives: letters.redrives,

    async probe() {
      // Write-shaped: a standby, or a server that turned read-only, must fail it. It changes nothing and locks no row.
      await query(pool, { text: 'UPDATE holdfast.stream_progress SET next_offset = next_offset WHERE false' })
    },
  }

  /** Joins and the ledger's row. */
  function completionOf(work: SettlementWork<T>, gaps: bigint, rows: readonly SettledRow[]): Completion<Settlement<T>> {
    const counts = countWork(
      work,
      rows.map(row => row.outcome),
    )
    const written = pick(work.ready, rows, row => row.outcome === 'written')
    const replaced = pick(work.ready, rows, row => row.replaced)
    const settling = { work, replaced, outcomeOf: outcomesOf<T>(rows) }
    const joined = joins.flatMap(join => join(settling))
    return {
      statements: [
        ...joined.map(({ statement }) => toQuery(statement)),
        (work.records < ownRowFrom ? extend : enter)(stream, work, {
          ...counts,
          ...{ records: work.records, gaps, expired: 0n, inserted: newKeys(rows) },
        }),
      ],
      result(answers) {
        const closes = joined.findIndex(({ closings }) => closings !== undefined)
        const closings = joined[closes]?.closings?.(answers[closes]?.rows ?? [])
        return { kind: 'settled', counts, written, closings }
      },
    }
  }

  /** The fence is closed. Either this very batch did it (the reply to COMMIT was lost), or another consumer. */
  async function settledBefore(range: LedgerRange): Promise<Settlement<T>> {
    const [found] = await query<LookedUp>(pool, lookUp(range))
    if (found === undefined || BigInt(found.next_offset) !== range.to || found.written === null)
      throw lost(range, found)
    const counts: OutcomeCounts = {
      written: Number(found.written),
      duplicate: Number(found.duplicate),
      stale: Number(found.stale),
      superseded: Number(found.superseded),
      dead_lettered: Number(found.dead_lettered),
    }
    return { kind: 'settled', counts, written: undefined }
  }
}

function lost(range: LedgerRange, found?: LookedUp): OwnershipLostError {
  if (found === undefined) return removed(range)
  const isBack = BigInt(found.next_offset) < range.from
  const Lost = isBack ? ProgressSetBackError : OwnershipLostError
  const paused = BigInt(found.next_offset) === range.from ? ', and the partition waits for an operator' : ''
  return new Lost(
    `${partitionKey(range)}: cannot go from offset ${range.from} to ${range.to}; progress is at ${found.next_offset}${paused}`,
  )
}
