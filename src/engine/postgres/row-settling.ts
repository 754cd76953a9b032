import type pg from 'pg'
import {
  RecordRefusedError,
  StoreContendedError,
  StoreMisconfiguredError,
  StoreRejectedError,
  StoreUnavailableError,
} from '../errors.ts'
import { createIsolation, mayBlame } from '../isolation.ts'
import type { Outcome } from '../outcome.ts'
import type { Refused } from '../settlement.ts'
import type { Tables } from '../value-sql.ts'
import type { ReadyRecord } from '../verdict.ts'
import { toQuery } from './binary.ts'
import { beginLooking, finish, pipelined, transaction } from './pool.ts'

/** A row of `Tables.upsert`. */
export interface SettledRow {
  readonly key: string
  readonly outcome: Outcome
  readonly replaced: boolean
}

/** One transaction that writes values: what stands before their rows in it, and what follows. */
export interface Frame<T, R> {
  /** At most one for each key, sorted by key in byte order. */
  readonly ready: readonly ReadyRecord<T>[]
  /** Bisect also on contention and unforeseen errors. */
  readonly isolate: boolean
  /** Updates one row, and locks it until the end, as long as the caller may write; no row when another one has taken over. */
  readonly fence: pg.QueryConfig
  /** All that comes after the rows, up to COMMIT. */
  completion(rows: readonly SettledRow[]): Completion<R>
}

export interface Completion<R> {
  readonly statements: readonly pg.QueryConfig[]
  /** @param answers one for each statement; the transaction is committed */
  result(answers: readonly pg.QueryResult[]): R
}

export interface RowSettling<T> {
  /** @returns `undefined` when the fence is closed: nothing is written then */
  settle<R>(frame: Frame<T, R>): Promise<R | Refused | undefined>
}

export interface RowSettlingOptions<T> {
  readonly pool: pg.Pool
  readonly tables: Tables<T>
  /** How many new keys a transaction writes at least that goes by COPY. Infinity: none does. */
  readonly copyFrom?: number | undefined
  /** Is called with a clause when the tables turn out to be such that COPY cannot write them, and all goes by the upsert: once for each cause. */
  readonly onObstacle?: ((because: string) => void) | undefined
}

/** The row of `Tables.beforeCopy.obstacle`. */
interface ServerRow {
  readonly now: string
  readonly obstacle: string | null
}

/**
 * Every statement of a transaction finds its rows by their keys. Of a table that has grown since it was analyzed (all of them, in the first minute
 * of a new one) the planner believes otherwise: trimming twenty orders read all items, which took Postgres ten times as long as the batch's upsert.
 */
const BEGIN = 'BEGIN; SET LOCAL enable_seqscan = off'

/**
 * From so many new keys on a batch goes by COPY. CPU of Postgres against the upsert, measured on orders of six rows: 10 keys 1.0, 25 keys
 * 0.87, 50 keys 0.82, 100 keys 0.77, 1,000 keys 0.72. For fewer, the look at the keys would only take time.
 */
const COPY_FROM = 20
/** After so many batches it is tried again where something stood in its way: the look at the keys would be in vain for most. */
const COPY_AGAIN_BATCHES = 100

/**
 * Writes the values of a batch, or of a page of a redrive, each in one transaction, by one of two roads.
 *
 * **Upsert**, for few records: three round trips (BEGIN; then fence and upsert; then trim, what completes it, and COMMIT).
 *
 * **COPY** for keys that are new, which costs Postgres half as much: first BEGIN and a look at the keys; then the fence, the new ones by COPY
 * and the known ones by the upsert; then as above. What was written by COPY is known before the commit: the command tag counts the rows.
 *
 * A batch that fails because of its records costs that transaction and a second one, which bisects, by the upsert in any case: which
 * records are to blame, in which words and after how many attempts, does not depend on the road. So does a batch that brings a key which
 * another transaction was about to commit during the look: COPY fails on it (23505), the upsert finds it and compares the two.
 *
 * Locks: each statement takes its rows in the order of their keys, so two upserts, and two COPYs, never wait for each other in a circle.
 * A batch that goes both ways takes two ascending runs of keys, one after the other, and may be in a circle with another one that holds a
 * key of its second run. Postgres then ends one of them (40P01); the other goes on and commits. The loser is retried like any contention
 * and looks again: what the winner wrote is known now, and belongs to its upsert. A transaction that loses again and again is taken apart
 * (`isolate`), by the upsert alone: one ascending run, which waits in a circle only with another batch's second run, and blames no record
 * for that unless it alone is caught each time.
 */
export function createRowSettling<T>(options: RowSettlingOptions<T>): RowSettling<T> {
  const { pool, tables, copyFrom = COPY_FROM, onObstacle } = options
  let obstacle: string | undefined
  let batchesToCopy = 0
  return {
    async settle(frame) {
      const isObstructed = batchesToCopy > 0
      if (isObstructed) batchesToCopy -= 1
      if (isObstructed || frame.isolate || frame.ready.length < copyFrom) return await settleByUpsert(frame)
      let recordsPassed = false
      let failed: unknown
      const copied = await settleByCopy(frame, () => {
        recordsPassed = true
      }).catch(error => {
        if (error instanceof StoreUnavailableError || error instanceof StoreContendedError) throw error
        failed = error
        return undefined
      })
      if (copied !== undefined) return copied.result
      const settled = mayBlame(failed, frame.isolate)
        ? await settleInParts(frame, failed, recordsPassed)
        : await settleByUpsert(frame)
      // What COPY alone rejects it would reject again and again.
      if (!isRefused(settled) && isUnsupported(failed)) stopCopying(failed.what)
      return settled
    },
  }

  /** @returns `undefined` when the records have to go by the upsert; nothing is written then */
  async function settleByCopy<R>(
    frame: Frame<T, R>,
    onRecordsPassed: () => void,
  ): Promise<{ readonly result: R } | undefined> {
    const { beforeCopy } = tables
    const { ready } = frame
    const keys = toQuery(beforeCopy.known(ready.map(({ key }) => key)))
    return await transaction(pool, async client => {
      const looks = [beforeCopy.lock, toQuery(beforeCopy.obstacle), keys]
      const [, server, looked] = await beginLooking(client, BEGIN, looks)
      const { now, obstacle: because } = serverOf(server)
      if (because !== null) stopCopying(because)
      const stored = new Set(looked?.rows.map(row => row.key as string))
      const fresh = stored.size === 0 ? ready : ready.filter(({ key }) => !stored.has(key))
      if (because !== null || fresh.length < copyFrom) {
        const [fence, upserted] = await pipelined(client, [frame.fence, toQuery(tables.upsert(ready))])
        if (fence?.rowCount !== 1) return undefined
        const rows = rowsOf(upserted, ready.length)
        onRecordsPassed()
        return { result: await complete(client, frame, rows, trimOf(ready, rows)) }
      }
      const rest = stored.size === 0 ? [] : ready.filter(({ key }) => stored.has(key))
      const copies = tables.copies(fresh, BigInt(now))
      const upserts = rest.length === 0 ? [] : [toQuery(tables.upsert(rest))]
      const [fence, ...answers] = await pipelined(client, [frame.fence, ...copies, ...upserts])
      // The upsert meets the closed fence as well, and finds out by whom.
      if (fence?.rowCount !== 1) return undefined
      const short = copies.find(({ rows }, index) => answers[index]?.rowCount !== rows)
      if (short !== undefined) {
        stopCopying(`the database keeps rows out of it without an error (${short.text})`)
        return undefined
      }
      const replacing = rest.length === 0 ? [] : rowsOf(answers[copies.length], rest.length)
      const rows = [...fresh.map(({ key }): SettledRow => ({ key, outcome: 'written', replaced: false })), ...replacing]
      obstacle = undefined
      onRecordsPassed()
      return { result: await complete(client, frame, rows, trimOf(rest, replacing)) }
    })
  }

  function stopCopying(because: string): void {
    if (because !== obstacle) onObstacle?.(because)
    obstacle = because
    batchesToCopy = COPY_AGAIN_BATCHES
  }

  async function settleByUpsert<R>(frame: Frame<T, R>): Promise<R | Refused | undefined> {
    let recordsPassed = false
    try {
      return await settleWhole(frame, () => {
        recordsPassed = true
      })
    } catch (error) {
      if (frame.ready.length === 0) return throwOurs(error)
      if (!mayBlame(error, frame.isolate)) throw error
      return await settleInParts(frame, error, recordsPassed)
    }
  }

  async function settleWhole<R>(frame: Frame<T, R>, onRecordsPassed: () => void): Promise<R | undefined> {
    const { ready } = frame
    // Encoded before a connection is taken: the server does not wait for it inside the transaction.
    const upsert = ready.length === 0 ? [] : [toQuery(tables.upsert(ready))]
    return await transaction(pool, async client => {
      const [, fence, upserted] = await pipelined(client, [BEGIN, frame.fence, ...upsert])
      if (fence?.rowCount !== 1) return undefined
      const rows = rowsOf(upserted, ready.length)
      onRecordsPassed()
      return await complete(client, frame, rows, trimOf(ready, rows))
    })
  }

  /**
   * Finds the culprits in a transaction of its own. What passes stays in it, so that records which only fail together
   * are found as well; and when nothing fails this time (contention passes), it settles the batch after all.
   * @param recordsPassed whether the first attempt failed behind the upsert: in a trigger or foreign key that meets the trim,
   *   in a deferred constraint, or in a row of our own
   */
  async function settleInParts<R>(
    frame: Frame<T, R>,
    cause: unknown,
    recordsPassed: boolean,
  ): Promise<R | Refused | undefined> {
    const { ready, isolate } = frame
    return await transaction(pool, async (client): Promise<R | Refused | undefined> => {
      const [, fence] = await pipelined(client, [BEGIN, frame.fence]).catch(throwOurs)
      if (fence?.rowCount !== 1) return undefined
      const checkEmptyWrite = emptyWriteCheck(client)
      await checkEmptyWrite(cause)
      const isolation = createIsolation(ready.length, cause, isolate, recordsPassed)
      const rows: SettledRow[] = []
      for (let part = isolation.next(); part !== undefined; part = isolation.next()) {
        try {
          rows.push(...(await writePart(client, ready.slice(part.start, part.end))))
        } catch (error) {
          await checkEmptyWrite(error)
          isolation.failed(part, error)
        }
      }
      const culprits = isolation.culprits()
      if (culprits.length > 0) return { kind: 'refused', culprits, attempts: isolation.attempts }
      return await complete(client, frame, rows).catch(throwOurs)
    })
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
  async function writePart(client: pg.PoolClient, part: readonly ReadyRecord<T>[]): Promise<SettledRow[]> {
    const upsert = toQuery(tables.upsert(part))
    try {
      const [, upserted] = await pipelined(client, ['SAVEPOINT part', upsert])
      const rows = rowsOf(upserted, part.length)
      const checked = ['SET CONSTRAINTS ALL IMMEDIATE', 'RELEASE SAVEPOINT part']
      await pipelined(client, [...trimOf(part, rows), ...checked])
      return rows
    } catch (error) {
      await pipelined(client, ['ROLLBACK TO SAVEPOINT part', 'RELEASE SAVEPOINT part'])
      throw error
    }
  }

  function trimOf(ready: readonly ReadyRecord<T>[], rows: readonly SettledRow[]): pg.QueryConfig[] {
    const replaced = pick(ready, rows, row => row.replaced)
    const trim = replaced.length === 0 ? undefined : tables.trim(replaced)
    return trim === undefined ? [] : [toQuery(trim)]
  }
}

/** Everything after the rows, up to COMMIT. `before`: statements that go out with it. */
async function complete<T, R>(
  client: pg.PoolClient,
  frame: Frame<T, R>,
  rows: readonly SettledRow[],
  before: readonly pg.QueryConfig[] = [],
): Promise<R> {
  const { statements, result } = frame.completion(rows)
  const answers = await finish(client, [...before, ...statements])
  return result(answers.slice(before.length))
}

/** The records whose rows are such. */
export function pick<T>(
  ready: readonly ReadyRecord<T>[],
  rows: readonly SettledRow[],
  where: (row: SettledRow) => boolean,
): readonly ReadyRecord<T>[] {
  const keys = new Set(rows.filter(where).map(row => row.key))
  return keys.size === ready.length ? ready : ready.filter(record => keys.has(record.key))
}

/** Is asked for redriven records, and for those that are read again: most batches hold none, and need no map. */
export function outcomesOf<T>(rows: readonly SettledRow[]): (record: ReadyRecord<T>) => Outcome {
  let byKey: Map<string, Outcome> | undefined
  return ({ key }) => {
    byKey ??= new Map(rows.map(row => [row.key, row.outcome]))
    const outcome = byKey.get(key)
    if (outcome === undefined) throw new RangeError('the upsert has no outcome for a record of its own')
    return outcome
  }
}

/** How many of them the table did not hold before. */
export function newKeys(rows: readonly SettledRow[]): number {
  return rows.filter(({ outcome, replaced }) => outcome === 'written' && !replaced).length
}

/** A rejection that no record causes: of a write without rows, or of a row of our own. Any other error stays what it is. */
export function throwOurs(error: unknown): never {
  if (!(error instanceof RecordRefusedError || error instanceof StoreRejectedError)) throw error
  throw new StoreMisconfiguredError(
    `Postgres rejects a statement that holds no record (an empty write, or the batch's row in the ledger, the progress or ` +
      `the dead-letter index), so no record is to blame: ${error.message}. Repair that in the database, then start again`,
    { cause: error },
  )
}

function isRefused(settled: unknown): settled is Refused {
  return typeof settled === 'object' && settled !== null && 'kind' in settled && settled.kind === 'refused'
}

/** Whether the server rejects the statement as such. Exceptions of functions, with codes of their own, are not among it. */
function isUnsupported(error: unknown): error is StoreMisconfiguredError {
  if (error instanceof StoreRejectedError) return /^(0A|42)/.test(error.sqlState)
  return error instanceof StoreMisconfiguredError
}

function rowsOf(result: pg.QueryResult | undefined, expected: number): SettledRow[] {
  const rows: SettledRow[] = result?.rows ?? []
  if (rows.length !== expected) throw new RangeError(`the upsert of ${expected} records answered ${rows.length} rows`)
  return rows
}

function serverOf(result: pg.QueryResult | undefined): ServerRow {
  const row: ServerRow | undefined = result?.rows[0]
  if (row === undefined) throw new RangeError('Postgres answered no row to the question what keeps COPY out')
  return row
}
