import { isDeepStrictEqual } from 'node:util'
import { toQuery } from '#src/engine/postgres/binary.ts'
import { copyRowsOf } from '#src/engine/postgres/copy-rows.ts'
import type { RecordBytes, Stream } from '#src/engine/stream.ts'
import type { Statement } from '#src/engine/value-sql.ts'
import type { ReadyRecord } from '#src/engine/verdict.ts'
import { aRecord } from './records.ts'

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
  const { key, value, rows } = verdict
  const at = { record: aRecord(), origin: aRecord() }
  // The value of the one pass must not be needed for its rows.
  const [scanned, validated] = [
    { ...at, key, rows, value: undefined },
    { ...at, ...expected },
  ] as const
  same('rows', copiesOf(stream, scanned), copiesOf(stream, validated))
  same('upsert', parametersOf(stream.tables.upsert([scanned])), parametersOf(stream.tables.upsert([validated])))
  same('trim', stream.tables.trim([scanned]), stream.tables.trim([validated]))
  same('value', value, expected.value)
  // The order of its fields, too.
  same('JSON of the value', JSON.stringify(value), JSON.stringify(expected.value))
  same('JSON', (verdict.json?.() ?? stream.json(value)).toString(), stream.json(expected.value).toString())
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

function parametersOf(statement: Statement): string[] {
  return toQuery(statement).values?.map(value => value.toString('latin1')) ?? []
}

type Copies = readonly { readonly rows: number; readonly bytes: string }[]

const encoders = new WeakMap<Stream, (ready: ReadyRecord<unknown>) => Copies>()

/** What COPY is given for the tables: of the rows that the record brings, or of its value. */
function copiesOf(stream: Stream, ready: ReadyRecord<unknown>): Copies {
  const known = encoders.get(stream)
  if (known !== undefined) return known(ready)
  const encode = copyRowsOf(stream.plan)
  const copies = (one: ReadyRecord<unknown>) =>
    encode([one], 0n).map(({ rows, bytes }) => ({ rows, bytes: bytes.toString('latin1') }))
  encoders.set(stream, copies)
  return copies(ready)
}
