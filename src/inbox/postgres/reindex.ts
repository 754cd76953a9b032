import type pg from 'pg'
import type { Operator } from '../../engine/operator.ts'
import { audit } from '../../engine/postgres/audit.ts'
import { encodeColumn } from '../../engine/postgres/binary.ts'
import { pipelined, withClient } from '../../engine/postgres/pool.ts'
import type { Stream } from '../../engine/stream.ts'
import type { WrittenBy } from '../ports.ts'
import type { LetterCopy, ReindexReport } from '../reindex-rules.ts'
import { LETTER_INPUT } from './dead-letters.ts'
import {
  addStatement,
  COUNT_FAILURES,
  CREATE_COPIES,
  CREATE_LETTERS,
  DROP_TABLES,
  PLACE,
  PREPARE,
  PURGED,
  STAGE,
  WRITERS,
} from './reindex-sql.ts'

export interface ReindexOptions {
  /** The stream whose DLQ topic is read. */
  readonly stream: Pick<Stream, 'name' | 'plan'>
  /** Ends of the topic's partitions before it was read. */
  readonly ends: ReadonlyMap<number, bigint>
  /** And now. */
  readonly endsNow: () => Promise<ReadonlyMap<number, bigint>>
  readonly copies: AsyncIterable<readonly LetterCopy[]>
  /** Parks as settling does. */
  readonly redriveMax: number
  readonly by: Operator
  /** Is called with records as they come. */
  readonly onRead?: (records: number) => void
}

/** Letters that one statement adds. */
const SLICE = 5_000

/**
 * Makes the index from the DLQ topic: adds the letters that it lacks, and notes where each stands. Rows that are there stay
 * as they are. The topic does not know what became of a letter since: that is taken from its events, from redrives that have
 * it in hand, and from the stream's stored values, as far as those tables still hold it; a letter of which nothing is known is open.
 *
 * May run beside the service: what is settled meanwhile is kept by settling itself. Failures are counted so that they add up
 * to the ledger's dead letters, as far as the copies in the topic account for them.
 * @throws StoreUnavailableError StoreMisconfiguredError, and what `copies` throws; what was added by then stays
 */
export async function rebuildIndex(pool: pg.Pool, options: ReindexOptions): Promise<ReindexReport> {
  return await withClient(pool, async client => {
    await pipelined(client, [DROP_TABLES, CREATE_COPIES])
    const read = await stage(client, options)
    const [letters] = await pipelined(client, [CREATE_LETTERS, ...PREPARE])
    const added = await add(client, addStatement(options.stream.plan), options.redriveMax)
    const now = await options.endsNow()
    const partitions = [...options.ends.keys()].filter(partition => now.has(partition))
    const values = [partitions, partitions.map(at => options.ends.get(at)), partitions.map(at => now.get(at))]
    const [placed] = await pipelined(client, [{ text: PLACE, values }])
    await countFailures(client)
    const [purged, writers] = await pipelined(client, [PURGED, WRITERS])
    const report: ReindexReport = {
      read,
      letters: letters?.rowCount ?? 0,
      added,
      placed: placed?.rowCount ?? 0,
      purged: Number(purged?.rows[0]?.count ?? 0),
      written_by: writersOf(writers?.rows ?? []),
    }
    await pipelined(client, [audit(options.stream.name, 'reindex', '', options.by, report), DROP_TABLES])
    return report
  })
}

async function stage(client: pg.PoolClient, { stream, copies, onRead }: ReindexOptions): Promise<number> {
  let read = 0
  for await (const page of copies) {
    const rows = page.map(copy => ({ ...copy, stream: stream.name, failures: 0 }))
    const values = LETTER_INPUT.columns(rows).map(encodeColumn)
    await pipelined(client, [{ name: 'reindex_stage', text: STAGE, values }])
    read += page.length
    onRead?.(page.length)
  }
  return read
}

async function add(client: pg.PoolClient, text: string, redriveMax: number): Promise<number> {
  let added = 0
  for (let after: string | null = ''; after !== null; ) {
    const [answer]: pg.QueryResult[] = await pipelined(client, [{ text, values: [after, SLICE, redriveMax] }])
    const row = answer?.rows[0]
    added += Number(row?.added ?? 0)
    after = row?.last ?? null
  }
  return added
}

/**
 * In a transaction that keeps settling out for a moment: the ledger and the index must not move apart in between. Nothing is
 * locked when they agree.
 */
async function countFailures(client: pg.PoolClient): Promise<void> {
  const [lacking] = await pipelined(client, [COUNT_FAILURES.lacking])
  if (lacking?.rows.length === 0) return
  try {
    await pipelined(client, ['BEGIN', COUNT_FAILURES.lock, COUNT_FAILURES.count, 'COMMIT'])
  } finally {
    if (client.getTransactionStatus() !== 'I') await client.query('ROLLBACK').catch(() => {})
  }
}

function writersOf(rows: readonly { written_by: WrittenBy; count: string }[]): ReindexReport['written_by'] {
  return Object.fromEntries(rows.map(row => [row.written_by, Number(row.count)]))
}
