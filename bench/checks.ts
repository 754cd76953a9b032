/** Whether what a contender left in its database is right. */
import type { Backlog, Tally } from './backlog.ts'
import { ask } from './database.ts'

export async function tallyOf(url: string): Promise<Tally> {
  const [row] = await ask<Record<keyof Tally, string>>(
    url,
    `SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM deliveries) AS deliveries,
      (SELECT count(*) FROM payments) AS payments, (SELECT sum(amount) FROM payments) AS amount,
      (SELECT count(*) FROM items) AS items, (SELECT sum(total_price) FROM items) AS "totalPrice"`,
  )
  const figure = (name: keyof Tally) => Number(row?.[name])
  return {
    orders: figure('orders'),
    deliveries: figure('deliveries'),
    payments: figure('payments'),
    items: figure('items'),
    amount: figure('amount'),
    totalPrice: figure('totalPrice'),
  }
}

const ALL_FIGURES = ['orders', 'deliveries', 'payments', 'items', 'amount', 'totalPrice'] as const
/** Without items: what trims none keeps the last ones of an order that has grown shorter. */
export const FIGURES_WITHOUT_ITEMS = ['orders', 'deliveries', 'payments', 'amount'] as const

/** The differences from the generator's model, in the requested figures; empty when there are none. */
export function differences(found: Tally, expected: Tally, names: readonly (keyof Tally)[] = ALL_FIGURES): string[] {
  return names
    .filter(name => found[name] !== expected[name])
    .map(name => `${name}: ${found[name]} in the tables, ${expected[name]} generated`)
}

/** Mean number of records that a transaction has settled since then; moves of an operator, and rows that several small batches share, are none. */
export async function recordsPerBatch(url: string, groupId: string, since = new Date(0)): Promise<number> {
  const [row] = await ask<{ mean: string | null }>(
    url,
    'SELECT avg(records) AS mean FROM holdfast.stream_ledger WHERE group_id = $1 AND records > 0 AND last_batch IS NULL AND settled_at >= $2',
    [groupId, since],
  )
  return Number(row?.mean)
}

/** What the ledger of a group must hold. */
export interface Books extends Pick<Backlog, 'topic' | 'ends' | 'invalid'> {
  /** How often each record has been processed. */
  readonly times: number
}

/**
 * Verifies the ledger of the stream: each record settled as often as it was processed, the invalid ones as dead letters, each
 * partition at its end, ranges without gap or overlap.
 * @returns the violations
 */
export async function ledgerFailures(url: string, groupId: string, books: Books): Promise<string[]> {
  const { topic, ends, invalid, times } = books
  const rows = await ask<Record<string, string>>(
    url,
    `SELECT p.partition, p.next_offset, sum(l.records) AS records,
      sum(l.written + l.duplicate + l.stale + l.superseded + l.dead_lettered) AS settled, sum(l.dead_lettered) AS dead_lettered,
      sum(l.to_offset - l.from_offset) AS covered, max(l.to_offset) - min(l.from_offset) AS span
     FROM holdfast.stream_progress AS p JOIN holdfast.stream_ledger AS l USING (topic, partition, group_id)
     WHERE p.topic = $1 AND p.group_id = $2 GROUP BY p.partition, p.next_offset`,
    [topic, groupId],
  )
  const dead = rows.reduce((sum, row) => sum + Number(row.dead_lettered), 0)
  const failures = ends.flatMap((end, partition) => {
    if (end === 0n) return []
    const row = rows.find(row => Number(row.partition) === partition)
    if (row === undefined) return [`partition ${partition} is not in the ledger`]
    const wanted = {
      next_offset: end,
      covered: end,
      span: end,
      records: end * BigInt(times),
      settled: end * BigInt(times),
    }
    return Object.entries(wanted)
      .filter(([name, figure]) => row[name] !== String(figure))
      .map(([name, figure]) => `partition ${partition}: ${name} is ${row[name]}, it must be ${figure}`)
  })
  if (dead !== invalid * times) failures.push(`${dead} dead letters in the ledger, ${invalid * times} invalid records`)
  return failures
}

/** Whether the index holds a dead letter for each invalid record, however often it was processed. */
export async function deadLetterFailures(url: string, { topic, invalid }: Backlog): Promise<string[]> {
  const [row] = await ask<{ count: string }>(
    url,
    'SELECT count(*) FROM holdfast.dead_letters WHERE source_topic = $1',
    [topic],
  )
  return Number(row?.count) === invalid ? [] : [`${row?.count} dead letters in the index, ${invalid} invalid records`]
}
