import type pg from 'pg'
import {
  OwnershipLostError,
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreRejectedError,
  StoreUnavailableError,
} from '../errors.ts'
import { createIsolation, mayBlame } from '../isolation.ts'
import { countOutcomes, type Outcome, type OutcomeCounts } from '../outcome.ts'
import { partitionKey } from '../record.ts'
import type { LetterLookups, Settlement, SettlementJoin, SettlementStore, SettlementWork } from '../settlement.ts'
import type { Tables } from '../value-sql.ts'
import type { ReadyRecord } from '../verdict.ts'
import { checkWork, countWork } from '../work.ts'
import { toQuery } from './binary.ts'
import { advance, enter, extend, type LedgerRange, type LookedUp, lookUp } from './ledger.ts'
import { finish, pipelined, query, transaction } from './pool.ts'
import { createProgressRows, removed } from './progress-rows.ts'

/** A row of `Tables.upsert`. */
interface UpsertRow {
  readonly key: string
  readonly outcome: Outcome
  readonly replaced: boolean
}

/** The row of `Tables.beforeCopy.obstacle`. */
interface ServerRow {
  readonly now: string
  readonly obstacle: string | null
}

/**
 * Every statement of a batch finds its rows by their keys. Of a table that has grown since it was analyzed (all of them, in the first minute of a
 * new one) the planner believes otherwise: trimming twenty orders read all items, which took Postgres ten times as long as the batch's upsert.
 */
const BEGIN = 'BEGIN; SET LOCAL enable_seqscan = off'

/**
 * From so many new keys on a batch goes by COPY. CPU of Postgres against the upsert, measured on orders of six rows: 10 keys 1.0, 25 keys
 * 0.87, 50 keys 0.82, 100 keys 0.77, 1,000 keys 0.72. For fewer, the third round trip would only take time.
 */
const COPY_FROM = 20
/** After so many batches it is tried again where something stood in its way: the look at the keys would be in vain for most. */
const COPY_AGAIN_BATCHES = 100

/**
 * Settles batches in Postgres, each in one transaction, by one of two roads.
 *
 * **Upsert**, for few records: two round trips (BEGIN, fence and upsert; then trim, dead letters, ledger and COMMIT).
 *
 * **COPY** for keys that are new, which costs Postgres half as much: first BEGIN, fence and a look at the keys; then the new ones by COPY
 * and the known ones by the upsert; then as above. What was written by COPY is known before the commit: the command tag counts the rows.
 *
 * A batch that fails because of its records costs that transaction and a second one, which bisects, by the upsert in any case: which
 * records are to blame, in which words and after how many attempts, does not depend on the road. So does a batch that brings a key which
 * another transaction was about to commit during the look: COPY fails on it (23505), the upsert finds it and compares the two.
 *
 * Locks: each statement takes its rows in the order of their keys, so two upserts, and two COPYs, never wait for each other in a circle.
 * A batch that goes both ways takes two ascending runs of keys, one after the other, and may be in a circle with another one that holds a
 * key of its second run. Postgres then ends one of them (40P01); the other goes on and commits. The loser is retried like any contention
 * and looks again: what the winner wrote is known now, and belongs to its upsert. Whoever loses again and again is taken apart
 * (`isolate`), by the upsert alone: one ascending run, which waits in a circle only with another batch's second run, and blames no record
 * for that unless it alone is caught each time.
 */
export function createSettlementStore<T>({
  pool,
  stream,
  tables,
  joins,
  letters,
  copyFrom = COPY_FROM,
  ownRowFrom = 0,
  onObstacle,
}: {
  readonly pool: pg.Pool
  /** Name of the stream: its rows in the ledger, the progress and the index bear it. */
  readonly stream: string
  readonly tables: Tables<T>
  /** What other modules add to each batch, in this order. */
  readonly joins: readonly SettlementJoin<T>[]
  readonly letters: LetterLookups
  /** How many new keys a batch has at least that goes by COPY. Infinity: none does. */
  readonly copyFrom?: number | undefined
  /** How many records a batch has at least that gets a row of its own in the ledger; a smaller one extends the row before it. Default: each gets one. */
  readonly ownRowFrom?: number | undefined
  /** Is called with a clause when the tables turn out to be such that COPY cannot write them, and all goes by the upsert: once for each cause. */
  readonly onObstacle?: ((because: string) => void) | undefined
}): SettlementStore<T> {
  let obstacle: string | undefined
  let batchesToCopy = 0
  return {
    ...createProgressRows(pool, stream, letters),

    async settle(work) {
      const { gaps } = checkWork(work)
      const isObstructed = batchesToCopy > 0
      if (isObstructed) batchesToCopy -= 1
      if (isObstructed || work.isolate || work.ready.length < copyFrom) return await settleByUpsert(work, gaps)
      let recordsPassed = false
      let failed: unknown
      const settled = await settleByCopy(work, gaps, () => {
        recordsPassed = true
      }).catch(error => {
        if (error instanceof StoreUnavailableError || error instanceof StoreContendedError) throw error
        failed = error
        return undefined
      })
      if (settled !== undefined) return settled
      const settlement = mayBlame(failed, work.isolate)
        ? await settleInParts(work, gaps, failed, recordsPassed)
        : await settleByUpsert(work, gaps)
      // What COPY alone rejects it would reject again and again.
      if (settlement.kind === 'settled' && isUnsupported(failed)) stopCopying(failed.what)
      return settlement
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
      await query(pool, { text: 'UPDATE stream_progress SET next_offset = next_offset WHERE false' })
    },
  }

  /** @returns `undefined` when the batch has to go by the upsert; nothing is written then */
  async function settleByCopy(
    work: SettlementWork<T>,
    gaps: bigint,
    onRecordsPassed: () => void,
  ): Promise<Settlement<T> | undefined> {
    const { beforeCopy } = tables
    const keys = toQuery(beforeCopy.known(work.ready.map(({ key }) => key)))
    return await transaction(pool, async client => {
      const [, fence, , server, looked] = await pipelined(client, [
        BEGIN,
        advance(work),
        beforeCopy.lock,
        toQuery(beforeCopy.obstacle),
        keys,
      ])
      // The upsert meets the closed fence as well, and finds out by whom.
      if (fence?.rowCount !== 1) return undefined
      const { now, obstacle: because } = serverOf(server)
      if (because !== null) stopCopying(because)
      const stored = new Set(looked?.rows.map(row => row.key as string))
      const fresh = stored.size === 0 ? work.ready : work.ready.filter(({ key }) => !stored.has(key))
      if (because !== null || fresh.length < copyFrom) {
        const [upserted] = await pipelined(client, [toQuery(tables.upsert(work.ready))])
        const rows = rowsOf(upserted, work.ready.length)
        onRecordsPassed()
        return await complete(client, work, gaps, rows, trimOf(work.ready, rows))
      }
      const rest = stored.size === 0 ? [] : work.ready.filter(({ key }) => stored.has(key))
      const copies = tables.copies(fresh, BigInt(now))
      const answers = await pipelined(client, [...copies, ...(rest.length === 0 ? [] : [toQuery(tables.upsert(rest))])])
      const short = copies.find(({ rows }, index) => answers[index]?.rowCount !== rows)
      if (short !== undefined) {
        stopCopying(`the database keeps rows out of it without an error (${short.text})`)
        return undefined
      }
      const replacing = rest.length === 0 ? [] : rowsOf(answers[copies.length], rest.length)
      const rows = [...fresh.map(({ key }): UpsertRow => ({ key, outcome: 'written', replaced: false })), ...replacing]
      obstacle = undefined
      onRecordsPassed()
      return await complete(client, work, gaps, rows, trimOf(rest, replacing))
    })
  }

  function stopCopying(because: string): void {
    if (because !== obstacle) onObstacle?.(because)
    obstacle = because
    batchesToCopy = COPY_AGAIN_BATCHES
  }

  async function settleByUpsert(work: SettlementWork<T>, gaps: bigint): Promise<Settlement<T>> {
    let recordsPassed = false
    try {
      return await settleWhole(work, gaps, () => {
        recordsPassed = true
      })
    } catch (error) {
      if (work.ready.length === 0) return throwOurs(error)
      if (!mayBlame(error, work.isolate)) throw error
      return await settleInParts(work, gaps, error, recordsPassed)
    }
  }

  async function settleWhole(
    work: SettlementWork<T>,
    gaps: bigint,
    onRecordsPassed: () => void,
  ): Promise<Settlement<T>> {
    // Encoded before a connection is taken: the server does not wait for it inside the transaction.
    const upsert = work.ready.length === 0 ? [] : [toQuery(tables.upsert(work.ready))]
    const settlement = await transaction(pool, async client => {
      const [, fence, upserted] = await pipelined(client, [BEGIN, advance(work), ...upsert])
      if (fence?.rowCount !== 1) return undefined
      const rows = rowsOf(upserted, work.ready.length)
      onRecordsPassed()
      return await complete(client, work, gaps, rows, trimOf(work.ready, rows))
    })
    return settlement ?? (await settledBefore(work))
  }

  /**
   * Finds the culprits in a transaction of its own. What passes stays in it, so that records which only fail together
   * are found as well; and when nothing fails this time (contention passes), it settles the batch after all.
   * @param recordsPassed whether the first attempt failed behind the upsert: in a trigger or foreign key that meets the trim,
   *   in a deferred constraint, or in a row of our own
   */
  async function settleInParts(
    work: SettlementWork<T>,
    gaps: bigint,
    cause: unknown,
    recordsPassed: boolean,
  ): Promise<Settlement<T>> {
    const settlement = await transaction(pool, async (client): Promise<Settlement<T> | undefined> => {
      const [, fence] = await pipelined(client, [BEGIN, advance(work)]).catch(throwOurs)
      if (fence?.rowCount !== 1) return undefined
      const checkEmptyWrite = emptyWriteCheck(client)
      await checkEmptyWrite(cause)
      const isolation = createIsolation(work.ready.length, cause, work.isolate, recordsPassed)
      const rows: UpsertRow[] = []
      for (let part = isolation.next(); part !== undefined; part = isolation.next()) {
        try {
          rows.push(...(await writePart(client, work.ready.slice(part.start, part.end))))
        } catch (error) {
          await checkEmptyWrite(error)
          isolation.failed(part, error)
        }
      }
      const culprits = isolation.culprits()
      if (culprits.length > 0) return { kind: 'refused', culprits, attempts: isolation.attempts }
      return await complete(client, work, gaps, rows).catch(throwOurs)
    })
    return settlement ?? (await settledBefore(work))
  }

  /**
   * A write without rows, made once before the first record is blamed for an error that does not identify its cause:
   * a missing right fails it, and a trigger that runs once for each statement; a trigger that rejects one row does not.
   */
  function emptyWriteCheck(client: pg.PoolClient): (error: unknown) => Promise<void> {
    let passed = false
    return async error => {
      if (passed || !(error instanceof StoreRejectedError)) return
      await writePart(client, []).catch(throwOurs)
      passed = true
    }
  }

  /** Everything that depends on what these records hold, so that whatever fails is known to be one of theirs. */
  async function writePart(client: pg.PoolClient, orders: readonly ReadyRecord<T>[]): Promise<UpsertRow[]> {
    const upsert = toQuery(tables.upsert(orders))
    try {
      const [, upserted] = await pipelined(client, ['SAVEPOINT part', upsert])
      const rows = rowsOf(upserted, orders.length)
      const checked = ['SET CONSTRAINTS ALL IMMEDIATE', 'RELEASE SAVEPOINT part']
      await pipelined(client, [...trimOf(orders, rows), ...checked])
      return rows
    } catch (error) {
      await pipelined(client, ['ROLLBACK TO SAVEPOINT part', 'RELEASE SAVEPOINT part'])
      throw error
    }
  }

  function trimOf(orders: readonly ReadyRecord<T>[], rows: readonly UpsertRow[]): pg.QueryConfig[] {
    const replaced = pick(orders, rows, row => row.replaced)
    const trim = replaced.length === 0 ? undefined : tables.trim(replaced)
    return trim === undefined ? [] : [toQuery(trim)]
  }

  /** Everything after the upsert, up to COMMIT. `before`: statements that go out with it. */
  async function complete(
    client: pg.PoolClient,
    work: SettlementWork<T>,
    gaps: bigint,
    rows: readonly UpsertRow[],
    before: readonly pg.QueryConfig[] = [],
  ): Promise<Settlement<T>> {
    const counts = countWork(
      work,
      rows.map(row => row.outcome),
    )
    const written = pick(work.ready, rows, row => row.outcome === 'written')
    const replaced = pick(work.ready, rows, row => row.replaced)
    const settling = { work, replaced, outcomeOf: outcomesOf(rows) }
    const joined = joins.flatMap(join => join(settling))
    const answers = await finish(client, [
      ...before,
      ...joined.map(({ statement }) => toQuery(statement)),
      (work.records < ownRowFrom ? extend : enter)(stream, work, {
        ...counts,
        ...{ records: work.records, gaps, expired: 0n, inserted: newKeys(rows) },
      }),
    ])
    const closes = joined.findIndex(({ closings }) => closings !== undefined)
    const closings = joined[closes]?.closings?.(answers[before.length + closes]?.rows ?? [])
    return { kind: 'settled', counts, written, closings }
  }

  function pick(
    orders: readonly ReadyRecord<T>[],
    rows: readonly UpsertRow[],
    where: (row: UpsertRow) => boolean,
  ): readonly ReadyRecord<T>[] {
    const keys = new Set(rows.filter(where).map(row => row.key))
    return keys.size === orders.length ? orders : orders.filter(order => keys.has(order.key))
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

/** Whether the server rejects the statement as such. Exceptions of functions, with codes of their own, are not among it. */
function isUnsupported(error: unknown): error is StoreMisconfiguredError {
  if (error instanceof StoreRejectedError) return /^(0A|42)/.test(error.sqlState)
  return error instanceof StoreMisconfiguredError
}

/** A rejection that no record causes: of a write without rows, or of a row of our own. Any other error stays what it is. */
function throwOurs(error: unknown): never {
  if (!(error instanceof RecordRefusedError || error instanceof StoreRejectedError)) throw error
  throw new StoreMisconfiguredError(
    `Postgres rejects a statement that holds no record (an empty write, or the batch's row in the ledger, the progress or ` +
      `the dead-letter index), so no record is to blame: ${error.message}. Repair that in the database, then start again`,
    { cause: error },
  )
}

/** Is asked for redriven records, and for those that are read again: most batches hold none, and need no map. */
function outcomesOf<T>(rows: readonly UpsertRow[]): (order: ReadyRecord<T>) => Outcome {
  let byKey: Map<string, Outcome> | undefined
  return ({ key }) => {
    byKey ??= new Map(rows.map(row => [row.key, row.outcome]))
    const outcome = byKey.get(key)
    if (outcome === undefined) throw new RangeError('the upsert has no outcome for a record of its own')
    return outcome
  }
}

/** How many of them the table did not hold before. */
function newKeys(rows: readonly UpsertRow[]): number {
  return rows.filter(({ outcome, replaced }) => outcome === 'written' && !replaced).length
}

function rowsOf(result: pg.QueryResult | undefined, expected: number): UpsertRow[] {
  const rows: UpsertRow[] = result?.rows ?? []
  if (rows.length !== expected) throw new RangeError(`the upsert of ${expected} records answered ${rows.length} rows`)
  return rows
}

function serverOf(result: pg.QueryResult | undefined): ServerRow {
  const row: ServerRow | undefined = result?.rows[0]
  if (row === undefined) throw new RangeError('Postgres answered no row to the question what keeps COPY out')
  return row
}

function lost(range: LedgerRange, found?: LookedUp): OwnershipLostError {
  if (found === undefined) return removed(range)
  const paused = BigInt(found.next_offset) === range.from ? ', and the partition waits for an operator' : ''
  return new OwnershipLostError(
    `${partitionKey(range)}: cannot go from offset ${range.from} to ${range.to}; progress is at ${found.next_offset}${paused}`,
  )
}
