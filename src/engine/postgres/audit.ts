import type pg from 'pg'
import type { Operator } from '../operator.ts'

/** What an operator did to a stream, as an entry of the audit log; answers its `id`. `counts` holds numbers and positions, no payload data. */
export function audit(
  stream: string,
  what: string,
  filter: string,
  { who, because }: Operator,
  counts: object,
): pg.QueryConfig {
  return {
    text: 'INSERT INTO holdfast.audit_log (stream, who, what, filter, because, counts) VALUES ($1, $2, $3, $4, $5, $6) RETURNING id',
    values: [stream, who, what, filter, because, JSON.stringify(counts)],
  }
}
