import { isDeepStrictEqual } from 'node:util'
import type { ColumnPlan, StreamPlan, TablePlan } from '#src/engine/definition/plan.ts'
import { getter } from '#src/engine/definition/rows.ts'
import { encodeElement } from '#src/engine/postgres/binary.ts'
import { toParameter } from '#src/engine/postgres/column-values.ts'
import type { RecordBytes, Stream } from '#src/engine/stream.ts'
import type { Column } from '#src/engine/value-sql.ts'
import type { EncodedRows } from '#src/engine/verdict.ts'

/** How a record went: in one pass over its bytes, or as the validator alone decides. */
export type Road = 'one pass' | 'validator'

/**
 * Judges a record on both roads.
 * @returns which one the stream took
 * @throws Error when the one pass took a record that the validator turns down, or made anything else of it
 */
export function judgeOnBothRoads(stream: Stream, record: RecordBytes): Road {
  const verdict = stream.judge(record)
  if (!verdict.ok || verdict.rows === undefined) return 'validator'
  const expected = stream.validate(record)
  if (!expected.ok) throw differs('verdict', true, expected.rejection.message)
  same('key', verdict.key, expected.key)
  same('facts', verdict.unusual, expected.unusual)
  same('rows', rowsOf(stream.plan, verdict.rows), encodedRows(stream.plan, expected.key, expected.value))
  same('value', verdict.value, expected.value)
  // The order of its fields, too.
  same('JSON of the value', JSON.stringify(verdict.value), JSON.stringify(expected.value))
  same('JSON', (verdict.json?.() ?? stream.json(verdict.value)).toString(), stream.json(expected.value).toString())
  return 'one pass'
}

function same(what: string, found: unknown, expected: unknown): void {
  if (!isDeepStrictEqual(found, expected)) throw differs(what, found, expected)
}

function differs(what: string, found: unknown, expected: unknown): Error {
  return new Error(
    `${what} of the one pass: ${JSON.stringify(found)}\nand of the validator: ${JSON.stringify(expected)}`,
  )
}

/** The bytes of each table's rows, as Latin-1, and how many rows they are. */
type TableRows = readonly [bytes: string, count: number]

function rowsOf(plan: StreamPlan, { bytes, at }: EncodedRows): TableRows[] {
  const tables = 1 + plan.children.length
  let start = 8 * tables
  return Array.from({ length: tables }, (_, index): TableRows => {
    const end = bytes.readInt32BE(at + 8 * index)
    const rows = bytes.toString('latin1', at + start, at + end)
    start = end
    return [rows, bytes.readInt32BE(at + 8 * index + 4)]
  })
}

/** The same, field by field out of the value. */
function encodedRows(plan: StreamPlan, key: string, value: unknown): TableRows[] {
  return encodersOf(plan).map(encode => encode(key, value))
}

type Encode = (key: string, value: unknown) => TableRows
type FieldOf = (key: string, value: unknown, part: unknown, index: number) => Buffer

const encoders = new WeakMap<StreamPlan, readonly Encode[]>()

function encodersOf(plan: StreamPlan): readonly Encode[] {
  const made = encoders.get(plan) ?? [plan.root, ...plan.children].map(table => encoderOf(plan, table))
  encoders.set(plan, made)
  return made
}

/** Fields of the root's row that are not its own: the columns of the source, and when it was stored. */
const LATER = 5

function encoderOf(plan: StreamPlan, table: TablePlan): Encode {
  const { kind, path, columns } = table
  const fields: FieldOf[] = [
    key => field('text', key),
    ...(kind === 'many' ? [(_k: string, _v: unknown, _p: unknown, index: number) => field('int4', index)] : []),
    ...columns.map(column => columnField(table, column)),
    ...(kind === 'root' && plan.keep !== undefined ? [(_: string, value: unknown) => field('jsonb', value)] : []),
  ]
  const head = Buffer.alloc(2)
  head.writeInt16BE(fields.length + (kind === 'root' ? LATER : 0))
  const at = getter(path)
  return (key, value) => {
    const found = at(value) ?? undefined
    const parts = kind === 'many' ? ((found ?? []) as readonly unknown[]) : found === undefined ? [] : [found]
    const rows = parts.flatMap((part, index) => [head, ...fields.map(of => of(key, value, part, index))])
    return [Buffer.concat(rows).toString('latin1'), parts.length]
  }
}

function columnField({ kind, optional }: TablePlan, { type, path, from }: ColumnPlan): FieldOf {
  if (path === undefined) {
    const hasPart = kind === 'many' || optional
    return (_, value, part) => field(type, hasPart ? from?.(value, part) : from?.(value))
  }
  const get = getter(path)
  return (_key, _value, part) => field(type, get(part))
}

function field(type: Column['type'], value: unknown): Buffer {
  const parameter = (toParameter(type)?.(value) ?? value ?? null) as string | null
  if (parameter === null) return NULL
  const element = encodeElement(type, parameter)
  const length = Buffer.allocUnsafe(4)
  length.writeInt32BE(element.length)
  return Buffer.concat([length, element])
}

const NULL = Buffer.from([255, 255, 255, 255])
