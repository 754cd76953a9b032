import { createHash } from 'node:crypto'
import { MAX_NAME_BYTES } from './identifiers.ts'

/** The name under which a stream's statement is prepared. Postgres cuts long names, and two streams would share one. */
export function statementName(stream: string, what: string): string {
  const name = `${stream}_${what}`
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name
  return `${createHash('sha256').update(stream).digest('hex').slice(0, 40)}_${what}`
}
