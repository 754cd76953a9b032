/** What a project's tests import as `holdfast/testing`: what Holdfast makes of a record, without any server. */

import type { Reason, Violation } from './engine/dead-letter.ts'
import type { StreamPlan, TablePlan } from './engine/definition/plan.ts'
import { getter } from './engine/definition/rows.ts'
import type { StreamDefinition } from './engine/definition.ts'
import type { Stream } from './engine/stream.ts'
import { loadConfig } from './settings/config.ts'
import { prepareStreams } from './settings/streams.ts'

/** A row by its columns, in JSON's types; SQL's `NULL` is `null`. Without the position of the record, which comes from Kafka. */
export type Row = Readonly<Record<string, unknown>>

export type Judgement<T> =
  | {
      readonly ok: true
      readonly key: string
      readonly value: T
      /** The rows that are written, by table; a table without rows has an empty list. */
      readonly rows: Readonly<Record<string, readonly Row[]>>
      /** Facts worth a metric. */
      readonly unusual: readonly string[]
    }
  | {
      readonly ok: false
      /** `null` if the record is too broken to have one. */
      readonly key: string | null
      readonly reason: Reason
      /** Stable code: the keyword of the schema, or one of Holdfast's own. */
      readonly error: string
      /** Where the first violation is, as a JSON Pointer. */
      readonly pointer: string
      readonly message: string
      readonly violations: readonly Violation[]
    }

/**
 * Judges a record as the service would, and shows the rows that it would write.
 * @param bytes the record's value; text is encoded as UTF-8
 * @param key the record's key. Default: none
 * @throws ConfigError when the definition has mistakes
 */
export function judge<T>(
  definition: StreamDefinition<T>,
  bytes: Uint8Array | string | null,
  key: string | null = null,
): Judgement<T> {
  const stream = compiledOf(definition as StreamDefinition)
  const verdict = stream.judge({
    key: key === null ? null : Buffer.from(key),
    value: bytes === null ? null : Buffer.from(bytes as Uint8Array),
  })
  if (!verdict.ok) return { ok: false, key: verdict.key, ...verdict.rejection }
  const { value, unusual = [] } = verdict
  return { ok: true, key: verdict.key, value: value as T, rows: rowsOf(stream.plan, verdict.key, value), unusual }
}

/** A definition is compiled once, which takes longer than to judge a thousand records. */
const compiled = new WeakMap<StreamDefinition, Stream>()

function compiledOf(definition: StreamDefinition): Stream {
  const known = compiled.get(definition)
  if (known !== undefined) return known
  const [stream] = prepareStreams([definition], loadConfig({}), {})
  compiled.set(definition, stream)
  return stream
}

function rowsOf(plan: StreamPlan, key: string, value: unknown): Record<string, Row[]> {
  const keyed = { [plan.key.column]: key }
  return Object.fromEntries([plan.root, ...plan.children].map(table => [table.name, rowsIn(table)]))

  function rowsIn(table: TablePlan): Row[] {
    const place = getter(table.path)(value) ?? undefined
    if (table.kind === 'many') {
      const entries = (place ?? []) as readonly unknown[]
      return entries.map((entry, index) => ({ ...keyed, [table.position]: index, ...columnsOf(table, entry) }))
    }
    if (place === undefined) return []
    const kept = table.kind === 'root' && plan.keep !== undefined ? { [plan.keep]: value } : {}
    return [{ ...keyed, ...columnsOf(table, place), ...kept }]
  }

  function columnsOf(table: TablePlan, part: unknown): Row {
    return Object.fromEntries(
      table.columns.map(({ name, path, from }) => [name, (path ? getter(path)(part) : from?.(value, part)) ?? null]),
    )
  }
}
