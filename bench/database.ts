/** A database for each contender and round, and the queries that verify its result. */
import pg from 'pg'
import { migrate } from '#src/engine/postgres/migrate.ts'
import type { EmbeddedPostgres } from '#tools/demo/servers/postgres.ts'
import type { Backlog, Tally } from './backlog.ts'

export interface BenchDatabase extends AsyncDisposable {
  readonly url: string
}

/** Creates a migrated, empty database and runs a checkpoint, so that no contender pays for dirty pages of the one before. */
export async function freshDatabase(server: EmbeddedPostgres, name: string, keep: boolean): Promise<BenchDatabase> {
  const url = await server.createDatabase(name)
  await migrate(url, 'up')
  await ask(url, 'CHECKPOINT')
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      if (!keep) await ask(server.url, `DROP DATABASE ${pg.escapeIdentifier(name)} WITH (FORCE)`)
    },
  }
}

/** @returns the rows of one statement, on a connection of its own. */
export async function ask<R extends pg.QueryResultRow>(
  url: string,
  text: string,
  values: unknown[] = [],
): Promise<R[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<R>(text, values)).rows
  } finally {
    await client.end()
  }
}

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

/** The differences from the generator's model, in the requested figures; empty when there are none. */
export function differences(found: Tally, expected: Tally, names: readonly (keyof Tally)[]): string[] {
  return names
    .filter(name => found[name] !== expected[name])
    .map(name => `${name}: ${found[name]} in the tables, ${expected[name]} generated`)
}

/** Mean number of records that a transaction has settled. */
export async function recordsPerBatch(url: string, groupId: string): Promise<number> {
  const [row] = await ask<{ mean: string | null }>(
    url,
    'SELECT avg(records) AS mean FROM stream_ledger WHERE group_id = $1',
    [groupId],
  )
  return Number(row?.mean)
}

/**
 * Verifies the ledger of the stream: each record settled once, each partition at its end, ranges without gap or overlap.
 * @returns the violations
 */
export async function bookFailures(url: string, groupId: string, backlog: Backlog): Promise<string[]> {
  const rows = await ask<Record<string, string>>(
    url,
    `SELECT p.partition, p.next_offset, sum(l.records) AS records,
      sum(l.written + l.duplicate + l.stale + l.superseded) AS stored, sum(l.dead_lettered) AS dead_lettered,
      sum(l.to_offset - l.from_offset) AS covered, max(l.to_offset) - min(l.from_offset) AS span
     FROM stream_progress AS p JOIN stream_ledger AS l USING (topic, partition, group_id)
     WHERE p.topic = $1 AND p.group_id = $2 GROUP BY p.partition, p.next_offset`,
    [backlog.topic, groupId],
  )
  return backlog.ends.flatMap((end, partition) => {
    if (end === 0n) return []
    const row = rows.find(row => Number(row.partition) === partition)
    if (row === undefined) return [`partition ${partition} has no books`]
    return ['next_offset', 'records', 'stored', 'covered', 'span']
      .filter(name => row[name] !== String(end))
      .map(name => `partition ${partition}: ${name} is ${row[name]}, the topic holds ${end}`)
  })
}
