import { type ColumnPlan, SOURCE_COLUMNS, STORED_AT, type StreamPlan, type TablePlan } from '../definition/plan.ts'
import { accessCode, own } from '../definition/rows.ts'
import { timestampToInt64 } from '../timestamp.ts'
import { parseInstant } from '../values/instant.ts'
import type { EncodedRows, ReadyRecord } from '../verdict.ts'
import { encodeElement, POSTGRES_EPOCH_MICROS } from './binary.ts'

type Ready = ReadyRecord<unknown>

/** What COPY is given for one table: signature, rows, trailer. */
export interface CopyData {
  readonly bytes: Buffer
  readonly rows: number
}

/** Columns that a root row has behind those of its plan, in this order. */
const SETTLED_COLUMNS: readonly string[] = [...SOURCE_COLUMNS, STORED_AT]

/**
 * Compiles the encoder of a plan: code that is made once, as `rowsOf` of a definition is, because it runs for each column of each record.
 * @returns the rows of the records for each table of the plan, the root table first, in the order of the records
 * @throws (from the function that it returns) RangeError, TypeError for a value that its column cannot hold
 */
export function copyRowsOf(plan: StreamPlan): (records: readonly Ready[], storedAtMicros: bigint) => CopyData[] {
  const encodeRoot = compile(plan, plan.root)
  const encodeChildren = plan.children.map(child => compile(plan, child))
  /** Bytes a record took in the last batch, for each table: the next one seldom has to grow its buffers. */
  const usual = [plan.root, ...plan.children].map(() => 0)

  return (records, storedAtMicros) => {
    const root = new RowWriter(records.length * (usual[0] ?? 0))
    const children = plan.children.map((_, index) => new RowWriter(records.length * (usual[index + 1] ?? 0)))
    const storedAt = storedAtMicros - POSTGRES_EPOCH_MICROS
    const writers = [root, ...children]
    for (const record of records) {
      const { origin, rows } = record
      if (rows === undefined) {
        const { key, value } = record
        encodeRoot(root, key, value)
        for (let i = 0; i < children.length; i++) encodeChildren[i]?.(children[i] as RowWriter, key, value)
      } else {
        appendTo(writers, rows)
      }
      root.text(origin.topic)
      root.int4(origin.partition)
      root.int8(origin.offset)
      root.int8(timestampToInt64(origin.timestampMs))
      root.int64(storedAt)
    }
    return writers.map((writer, index) => {
      const data = writer.finish()
      if (records.length > 0) usual[index] = Math.ceil((data.bytes.length * 1.1) / records.length)
      return data
    })
  }
}

/** Appends rows that were encoded when the record was validated. */
function appendTo(writers: readonly RowWriter[], { bytes, at }: EncodedRows): void {
  let start = at + 8 * writers.length
  for (let i = 0; i < writers.length; i++) {
    const end = at + bytes.readInt32BE(at + 8 * i)
    writers[i]?.append(bytes, start, end, bytes.readInt32BE(at + 8 * i + 4))
    start = end
  }
}

type Encode = (rows: RowWriter, key: string, value: unknown) => void

/** How {@link RowWriter} writes a column of each type. */
const WRITES: Readonly<Record<ColumnPlan['type'], string>> = {
  text: 'text(field)',
  bool: 'bool(field)',
  int4: 'int4(field)',
  int8: 'int8(field)',
  float8: 'float8(field)',
  timestamptz: 'timestamptz(field)',
  jsonb: 'jsonb(field)',
  numeric: 'numeric(field)',
  date: "element('date', field)",
  uuid: "element('uuid', field)",
}

/** Where a value lacks an object or array that would have rows, a table has none; the upsert writes a row for a required object in any case. */
function compile({ keep }: StreamPlan, table: TablePlan): Encode {
  const computed = table.columns.map(({ from }) => from)
  const hasPart = table.kind === 'many' || table.optional
  const columns = table.columns.map(({ type, path, from }, index) => {
    const value =
      from === undefined ? accessCode('part', path ?? []) : `computed[${index}](value${hasPart ? ', part' : ''})`
    return `field = ${value}; if (field === undefined || field === null) rows.absent(); else rows.${WRITES[type]};`
  })
  const found = `const found = ${accessCode('value', table.path)};`
  const fields = columns.length + 1
  const body = {
    root: () => `
      const part = value;
      rows.begin(${fields + (keep === undefined ? 0 : 1) + SETTLED_COLUMNS.length});
      rows.text(key);
      ${columns.join('\n')}
      ${keep === undefined ? '' : 'rows.jsonb(value);'}`,
    one: () => `
      ${found}
      ${table.optional ? 'if (found === undefined || found === null) return;' : ''}
      const part = found;
      rows.begin(${fields});
      rows.text(key);
      ${columns.join('\n')}`,
    many: () => `
      ${found}
      if (found === undefined || found === null) return;
      for (let position = 0; position < found.length; position++) {
        const part = found[position];
        rows.begin(${fields + 1});
        rows.text(key);
        rows.int4(position);
        ${columns.join('\n')}
      }`,
  }[table.kind]()
  return new Function('computed', 'own', `return (rows, key, value) => { let field;${body}}`)(computed, own) as Encode
}

/** `PGCOPY\n\377\r\n\0`, flags (none) and the length of the header's extension (PostgreSQL manual, COPY, "Binary Format"). */
const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0', 'latin1')
/** Behind them the first row begins. */
export const SIGNATURE_BYTES = SIGNATURE.length
const NULL_LENGTH = -1
/** Stands where the number of fields of a next row would. */
const TRAILER = -1
const LEAST_BYTES = 4_096
/** UTF-8 takes at most 3 bytes for each UTF-16 unit. */
const UTF8_BYTES = 3
/** Up to this length a loop over ASCII is cheaper than the call that writes a text: measured. */
const SHORT_TEXT = 24
const TWO_TO_32 = 0x1_0000_0000

/** Writes rows behind one another into one buffer, which grows. */
class RowWriter {
  private bytes: Buffer
  private view: DataView
  private at = SIGNATURE.length
  private rows = 0

  constructor(sizeBytes: number) {
    this.bytes = Buffer.allocUnsafeSlow(Math.max(sizeBytes, LEAST_BYTES))
    this.view = new DataView(this.bytes.buffer)
    SIGNATURE.copy(this.bytes)
  }

  begin(fields: number): void {
    this.need(2)
    this.view.setInt16(this.at, fields)
    this.at += 2
    this.rows += 1
  }

  /** Whole rows, or the beginning of one. */
  append(source: Buffer, start: number, end: number, rows: number): void {
    this.need(end - start)
    source.copy(this.bytes, this.at, start, end)
    this.at += end - start
    this.rows += rows
  }

  text(value: unknown): void {
    if (typeof value !== 'string') throw mistyped('text', value)
    const { length } = value
    this.need(4 + length * UTF8_BYTES)
    const start = this.at + 4
    if (length <= SHORT_TEXT) {
      const { bytes } = this
      let i = 0
      for (; i < length; i++) {
        const unit = value.charCodeAt(i)
        if (unit > 0x7f) break
        bytes[start + i] = unit
      }
      if (i === length) {
        this.ended(start, length)
        return
      }
    }
    this.ended(start, this.bytes.write(value, start))
  }

  bool(value: unknown): void {
    if (typeof value !== 'boolean') throw mistyped('bool', value)
    this.need(5)
    this.bytes[this.at + 4] = value ? 1 : 0
    this.ended(this.at + 4, 1)
  }

  int4(value: unknown): void {
    if (typeof value !== 'number' || (value | 0) !== value) throw mistyped('int4', value)
    this.need(8)
    this.view.setInt32(this.at, 4)
    this.view.setInt32(this.at + 4, value)
    this.at += 8
  }

  int8(value: unknown): void {
    if (typeof value === 'bigint') {
      this.int64(value)
      return
    }
    // An unsafe integer is already another number than was meant.
    if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw mistyped('int8', value)
    this.need(12)
    const { view, at } = this
    view.setInt32(at, 8)
    view.setInt32(at + 4, Math.floor(value / TWO_TO_32))
    view.setUint32(at + 8, value >>> 0)
    this.at = at + 12
  }

  /** Microseconds since 2000, or any other 64-bit integer. */
  int64(value: bigint): void {
    if (BigInt.asIntN(64, value) !== value) throw new RangeError('an int8 column holds a number beyond 64 bits')
    this.need(12)
    this.view.setInt32(this.at, 8)
    this.view.setBigInt64(this.at + 4, value)
    this.at += 12
  }

  float8(value: unknown): void {
    if (typeof value !== 'number') throw mistyped('float8', value)
    this.need(12)
    this.view.setInt32(this.at, 8)
    this.view.setFloat64(this.at + 4, value)
    this.at += 12
  }

  /** RFC 3339, or microseconds since the Unix epoch, as computed columns may give them. */
  timestamptz(value: unknown): void {
    const micros = typeof value === 'bigint' ? value : parseInstant(String(value))
    this.int64(micros - POSTGRES_EPOCH_MICROS)
  }

  jsonb(value: unknown): void {
    const text: string | undefined = JSON.stringify(value)
    if (text === undefined) throw mistyped('jsonb', value)
    this.need(5 + text.length * UTF8_BYTES)
    const start = this.at + 4
    this.bytes[start] = 1 // the version of the format
    this.ended(start, 1 + this.bytes.write(text, start + 1))
  }

  numeric(value: unknown): void {
    this.element('numeric', String(value))
  }

  element(type: ColumnPlan['type'], value: unknown): void {
    const element = encodeElement(type, value as string)
    this.need(4 + element.length)
    element.copy(this.bytes, this.at + 4)
    this.ended(this.at + 4, element.length)
  }

  finish(): CopyData {
    this.need(2)
    this.view.setInt16(this.at, TRAILER)
    return { bytes: this.bytes.subarray(0, this.at + 2), rows: this.rows }
  }

  /** SQL's NULL. */
  absent(): void {
    this.need(4)
    this.view.setInt32(this.at, NULL_LENGTH)
    this.at += 4
  }

  /** The bytes of a field stand from `start` on; its length goes before them. */
  private ended(start: number, length: number): void {
    this.view.setInt32(start - 4, length)
    this.at = start + length
  }

  private need(more: number): void {
    const wanted = this.at + more
    if (wanted <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(wanted, Math.ceil(this.bytes.length * 1.5)))
    this.bytes.copy(grown, 0, 0, this.at)
    this.bytes = grown
    this.view = new DataView(grown.buffer)
  }
}

/** The value itself is not quoted. */
function mistyped(type: string, value: unknown): TypeError {
  return new TypeError(`a column of the type ${type} cannot hold this ${typeof value}`)
}
