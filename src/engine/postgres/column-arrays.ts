import type { Column } from '../value-sql.ts'
import { OID } from './binary.ts'
import { type CopyData, SIGNATURE_BYTES } from './copy-rows.ts'

/** A column of rows that are encoded for COPY. */
export interface RowColumn {
  readonly type: Column['type']
  /** Place of the table among those of the rows. */
  readonly table: number
  /** Place of the field in each of its rows. */
  readonly field: number
}

const EMPTY_BYTES = 12
const HEAD_BYTES = 20
const LENGTH_BYTES = 4
/** Behind each array: texts are copied four bytes at a time. */
const SLACK_BYTES = 4
/** Up to here a loop is cheaper than a call. */
const LOOP_BYTES = 96

/**
 * Turns rows that are encoded for COPY into the binary arrays of their columns (`encodeColumn`), which hold the same bytes: the length of
 * each element, -1 for NULL, and the element.
 * @param copies the rows of all tables, each with all of its fields
 * @returns one array for each of the columns, in their order
 */
export function columnArrays(columns: readonly RowColumn[], copies: readonly CopyData[]): Buffer[] {
  const arrays = new Array<Buffer>(columns.length)
  for (const [table, copy] of copies.entries()) {
    const wanted = columns.flatMap((column, index) => (column.table === table ? [{ ...column, index }] : []))
    if (wanted.length === 0) continue
    const filled = arraysOf(wanted, copy)
    for (const [at, { index }] of wanted.entries()) arrays[index] = filled[at] as Buffer
  }
  return arrays
}

function arraysOf(columns: readonly RowColumn[], { bytes, rows }: CopyData): Buffer[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const fields = rows === 0 ? 0 : view.getInt16(SIGNATURE_BYTES)
  const sizes = new Int32Array(fields)
  const nulls = new Uint8Array(fields)
  for (let row = 0, at = SIGNATURE_BYTES; row < rows; row++) {
    at += 2
    for (let field = 0; field < fields; field++) {
      const length = view.getInt32(at)
      at += LENGTH_BYTES
      if (length < 0) {
        nulls[field] = 1
        continue
      }
      sizes[field] = (sizes[field] as number) + length
      at += length
    }
  }
  const starts = new Int32Array(columns.length)
  const ends = new Int32Array(columns.length)
  let total = 0
  for (const [index, { field }] of columns.entries()) {
    starts[index] = total
    ends[index] = total + (rows === 0 ? EMPTY_BYTES : HEAD_BYTES + rows * LENGTH_BYTES + (sizes[field] as number))
    total = (ends[index] as number) + SLACK_BYTES
  }
  const output = Buffer.allocUnsafeSlow(total)
  const outputView = new DataView(output.buffer)
  for (const [index, { type, field }] of columns.entries()) {
    const start = starts[index] as number
    outputView.setInt32(start, rows === 0 ? 0 : 1)
    outputView.setInt32(start + 4, rows === 0 ? 0 : (nulls[field] as number))
    outputView.setInt32(start + 8, OID[type])
    if (rows === 0) continue
    outputView.setInt32(start + 12, rows)
    outputView.setInt32(start + 16, 1)
  }
  fill({ columns, bytes, view, rows, fields }, starts, output, outputView)
  return columns.map((_, index) => output.subarray(starts[index], ends[index]))
}

interface Rows {
  readonly columns: readonly RowColumn[]
  readonly bytes: Buffer
  readonly view: DataView
  readonly rows: number
  readonly fields: number
}

function fill({ columns, bytes, view, rows, fields }: Rows, starts: Int32Array, output: Buffer, to: DataView): void {
  /** Where the next element of a field goes; 0: nowhere. */
  const next = new Int32Array(fields)
  for (const [index, { field }] of columns.entries()) next[field] = (starts[index] as number) + HEAD_BYTES
  // Reading four bytes at a time must not go beyond the end.
  const safe = bytes.length - SLACK_BYTES
  for (let row = 0, at = SIGNATURE_BYTES; row < rows; row++) {
    at += 2
    for (let field = 0; field < fields; field++) {
      const length = Math.max(0, view.getInt32(at))
      const end = at + LENGTH_BYTES + length
      const start = next[field] as number
      if (start > 0) {
        if (length > LOOP_BYTES || end > safe) bytes.copy(output, start, at, end)
        else for (let i = 0; i < LENGTH_BYTES + length; i += 4) to.setInt32(start + i, view.getInt32(at + i))
        next[field] = start + LENGTH_BYTES + length
      }
      at = end
    }
  }
}
