import { createHash } from 'node:crypto'

/** Keywords of PostgreSQL 18 that cannot name a column or a table without quotes (pg_get_keywords, catcode R and T). */
const RESERVED = new Set(
  `all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate collation column
  concurrently constraint create cross current_catalog current_date current_role current_schema current_time current_timestamp
  current_user default deferrable desc distinct do else end except false fetch for foreign freeze from full grant group having ilike
  in initially inner intersect into is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null
  offset on only or order outer overlaps placing primary references returning right select session_user similar some symmetric
  system_user table tablesample then to trailing true union unique user using variadic verbose when where window with`.split(
    /\s+/,
  ),
)

/** Bytes that a name of PostgreSQL can have: it cuts longer ones. */
export const MAX_NAME_BYTES = 63

/**
 * A name that Postgres keeps whole: one that is longer is cut, and ends in a digest of what it was. Postgres itself would cut it without
 * one, and two names that begin alike would become the same.
 */
export function shortened(name: string): string {
  if (Buffer.byteLength(name) <= MAX_NAME_BYTES) return name
  const digest = createHash('sha256').update(name).digest('hex').slice(0, DIGEST_CHARACTERS)
  let head = ''
  for (const character of name) {
    if (Buffer.byteLength(head + character) > MAX_NAME_BYTES - DIGEST_CHARACTERS - 1) break
    head += character
  }
  return `${head}_${digest}`
}

const DIGEST_CHARACTERS = 8

/** A name as SQL writes it: in quotes, unless it means the same without. */
export function identifier(name: string): string {
  return isPlain(name) ? name : `"${name.replaceAll('"', '""')}"`
}

/** A relation as SQL writes it: with its schema, so that no search path decides which one is meant. */
export function qualified(schema: string, name: string): string {
  return `${identifier(schema)}.${identifier(name)}`
}

/** A text as SQL writes it. */
export function literal(text: string): string {
  const escaped = text.replaceAll("'", "''")
  return escaped.includes('\\') ? `E'${escaped.replaceAll('\\', '\\\\')}'` : `'${escaped}'`
}

function isPlain(name: string): boolean {
  return /^[a-z_][a-z0-9_]*$/.test(name) && !RESERVED.has(name)
}
