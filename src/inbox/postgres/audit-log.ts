import type pg from 'pg'
import { UsageError } from '../../engine/errors.ts'
import { query } from '../../engine/postgres/pool.ts'
import type { AuditQuery } from '../audit-query.ts'
import type { AuditEntry } from '../ports.ts'

/** A number of an entry, which is where a page begins. */
const NUMBER = /^\d{1,18}$/

/**
 * A page of the audit log, newest first, by its key: however long the log is, a page costs what it shows (and what a narrow filter passes over).
 * @param stream `undefined`: of all streams
 */
export async function readAudit(
  pool: pg.Pool,
  stream: string | undefined,
  { limit, before, who, what, since, until }: AuditQuery,
): Promise<AuditEntry[]> {
  if (before !== undefined && !NUMBER.test(before)) throw new UsageError('the audit log is paged by numbers')
  const rows = await query<Omit<AuditEntry, 'at'> & { at: Date }>(pool, {
    text: `SELECT id, at, stream, who, what, filter, because, counts FROM holdfast.audit_log
      WHERE ($2::bigint IS NULL OR id < $2) AND ($3::text IS NULL OR stream = $3)
        AND ($4::text[] IS NULL OR who = ANY ($4)) AND ($5::text[] IS NULL OR what = ANY ($5))
        AND ($6::timestamptz IS NULL OR at >= $6) AND ($7::timestamptz IS NULL OR at < $7)
      ORDER BY id DESC LIMIT $1`,
    values: [limit, before ?? null, stream ?? null, who ?? null, what ?? null, since ?? null, until ?? null],
  })
  return rows.map(row => ({ ...row, at: row.at.toISOString() }))
}
