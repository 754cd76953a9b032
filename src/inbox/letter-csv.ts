import type { DeadLetterRow } from './ports.ts'

/** The columns of a list in CSV, by the names that JSON has for them. */
const COLUMNS = [
  ...['id', 'state', 'failed_at', 'first_failed_at', 'reason', 'error', 'pointer', 'message', 'key'],
  ...['source_topic', 'source_partition', 'source_offset', 'source_timestamp', 'attempts', 'replay_count', 'replay_id'],
  ...['state_changed_at', 'bytes', 'written_by', 'group_id', 'dlq_partition', 'dlq_offset'],
] as readonly (keyof DeadLetterRow)[]

export const CSV_HEADER = COLUMNS.join(',')

/** A line of CSV (RFC 4180), without its end. */
export function csvLine(row: DeadLetterRow): string {
  return COLUMNS.map(name => cell(row[name])).join(',')
}

/** A spreadsheet takes what begins with one of these for a formula, and runs it. */
const FORMULA = /^[=+\-@\t\r\n]/

/** Texts come from records, so a formula gets a `'` before it, which makes it text. */
function cell(value: string | number | null): string {
  const text = String(value ?? '')
  const safe = FORMULA.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
