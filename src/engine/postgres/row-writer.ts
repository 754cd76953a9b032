import type { ColumnPlan, StreamPlan, TablePlan } from '../definition/plan.ts'
import { SOURCE_COLUMNS } from '../definition/plan.ts'
import { getter } from '../definition/rows.ts'
import type { Column } from '../value-sql.ts'
import { createCopyInput, type Memory } from '../values/scan/memory.ts'
import { instantOf } from '../values/scan/objects.ts'
import type { ArrayPlace, ObjectPlace, Place } from '../values/scan/places.ts'
import { createJsonWriter, type WriteJson } from '../values/scan/written-json.ts'
import { encodeElement } from './binary.ts'
import { toParameter } from './column-values.ts'

/**
 * Writes the rows of the value that a scan has left in the memory to its output, as `EncodedRows` has them.
 * @param value the value itself, for columns that are computed from it
 * @returns the end of what was written
 * @throws what a computed column throws; RangeError where the output is too small
 */
export type WriteRows = (value: unknown) => number

/** Written behind the fields of the root's row by others: the columns of the source, and when the row was stored. */
const LATER_FIELDS = SOURCE_COLUMNS.length + 1

/** What the generated code takes from outside. */
interface Parts {
  readonly json: WriteJson[]
  readonly computed: ((at: number, value: unknown, index: number) => number)[]
}

/**
 * Compiles a plan's rows.
 * @param root the layout of the schema
 */
export function createRowWriter(plan: StreamPlan, root: ObjectPlace, memory: Memory): WriteRows {
  const parts: Parts = { json: [], computed: [] }
  const tables = [plan.root, ...plan.children]
  const key = placeAt(root, plan.key.path).cell
  const put = createPuts(memory)
  const lines = tables.map((table, index) => {
    return `count = 0\n${tableCode(table)}\nview.setInt32(${8 * index}, q)\nview.setInt32(${8 * index + 4}, count)`
  })
  const build = new Function(
    ...['memory', 'put', 'parts'],
    `'use strict'
const { tape, outputView: view } = memory
const { text, instant, int8, int4, bool, float8, numeric, timestamptz, date, uuid } = put
const { json, computed } = parts
return function write(value) {
  let q = ${8 * tables.length}
  let count = 0
  const f = 0
  ${lines.join('\n  ')}
  return q
}`,
  )
  return build(memory, put, parts) as WriteRows

  function tableCode(table: TablePlan): string {
    if (table.kind === 'root') {
      const kept = plan.keep === undefined ? '' : jsonCode(root, '1')
      const count = 1 + table.columns.length + (plan.keep === undefined ? 0 : 1) + LATER_FIELDS
      return `count = 1\n${head(count)}\n${columns(table, root)}\n${kept}`
    }
    const place = placeAt(root, table.path)
    if (table.kind === 'one') {
      const fields = columns(table, place as ObjectPlace)
      return `if (tape[${place.cell}] > 0) {\ncount = 1\n${head(1 + table.columns.length)}\n${fields}\n}`
    }
    const { entries } = place as ArrayPlace
    return `if (tape[${place.cell}] > 0) {
count = tape[${place.cell + 1}]
for (let f = tape[${place.cell}], i = 0; i < count; i++, f = tape[f]) {
${head(2 + table.columns.length)}
view.setInt32(q, 4)
view.setInt32(q + 4, i)
q += 8
${columns(table, entries as ObjectPlace)}
}
}`
  }

  function head(count: number): string {
    return `view.setInt16(q, ${count})\nq = text(q + 2, ${key})`
  }

  function columns(table: TablePlan, row: ObjectPlace): string {
    return table.columns.map(column => columnCode(table, column, row)).join('\n')
  }

  function columnCode(table: TablePlan, column: ColumnPlan, row: ObjectPlace): string {
    const { path, type } = column
    if (path === undefined) {
      const index = table.kind === 'many' ? 'i' : '-1'
      return `q = computed[${parts.computed.push(computedField(table, column, memory)) - 1}](q, value, ${index})`
    }
    const place = placeAt(row, path)
    const cell = `f + ${place.cell}`
    if (type === 'jsonb') return jsonCode(place, `tape[${cell}]`)
    // An instant has its canonical form in a column of text as well.
    if (type === 'text' && place.kind === 'string' && place.format === 'date-time') return `q = instant(q, ${cell})`
    return `q = ${type}(q, ${cell})`
  }

  /** @param there an expression that is above 0 where the place is there and not null */
  function jsonCode(place: Place, there: string): string {
    const writer = parts.json.push(createJsonWriter(place, memory)) - 1
    return `if (${there} > 0) {
  view.setInt8(q + 4, 1)
  const end = json[${writer}](q + 5, f)
  view.setInt32(q, end - q - 4)
  q = end
} else {
  view.setInt32(q, -1)
  q += 4
}`
  }
}

/** @returns the place at the end of the path, whose cells are in the same frame. The definition was checked against the schema. */
export function placeAt(from: Place, path: readonly string[]): Place {
  return path.reduce<Place>((place, name) => {
    const member = place.kind === 'object' ? place.members.find(member => member.name === name) : undefined
    if (member === undefined) throw new RangeError(`the schema does not name ${path.join('/')}`)
    return member.place
  }, from)
}

/** @returns writes the field; `index` is that of an array's entry */
function computedField({ kind, path, optional }: TablePlan, { type, from }: ColumnPlan, memory: Memory) {
  const { output, outputView: view } = memory
  const convert = toParameter(type) ?? ((value: unknown) => value ?? null)
  const at = getter(path)
  const partOf = (value: unknown, index: number) => {
    if (kind === 'many') return (at(value) as readonly unknown[])[index]
    return optional ? at(value) : undefined
  }
  return (to: number, value: unknown, index: number): number => {
    const parameter = convert(from?.(value, partOf(value, index))) as Column['values'][number]
    if (parameter === null) {
      view.setInt32(to, -1)
      return to + 4
    }
    const element = encodeElement(type, parameter)
    view.setInt32(to, element.length)
    return to + 4 + element.copy(output, to + 4)
  }
}

const TWO_TO_32 = 0x1_0000_0000
/** 2000-01-01T00:00:00Z, from which PostgreSQL counts, in seconds since the Unix epoch. */
const POSTGRES_EPOCH_SECONDS = 946_684_800
const MINUS = 0x2d
const DOT = 0x2e
const HYPHEN = 0x2d
const ZERO = 0x30

/** Each writes the field of a cell, and returns the place behind it. */
type Put = (at: number, cell: number) => number

function createPuts(memory: Memory) {
  const { input, tape, numbers, texts, output, outputView: view } = memory
  const copy = createCopyInput(memory)

  function nothing(at: number): number {
    view.setInt32(at, -1)
    return at + 4
  }

  const text: Put = (at, cell) => {
    const start = tape[cell] as number
    if (start <= 0) return nothing(at)
    const end = tape[cell + 1] as number
    if (end < 0) {
      const bytes = output.write(texts[-end - 1] as string, at + 4)
      view.setInt32(at, bytes)
      return at + 4 + bytes
    }
    view.setInt32(at, end - start)
    return copy(at + 4, start, end)
  }

  const instant: Put = (at, cell) => {
    if ((tape[cell] as number) <= 0) return nothing(at)
    const bytes = output.write(instantOf(numbers, cell), at + 4)
    view.setInt32(at, bytes)
    return at + 4 + bytes
  }

  /** @param at of the length */
  function int64(at: number, value: number): number {
    const high = Math.floor(value / TWO_TO_32)
    view.setInt32(at, 8)
    view.setInt32(at + 4, high)
    view.setUint32(at + 8, value - high * TWO_TO_32)
    return at + 12
  }

  const int8: Put = (at, cell) => ((tape[cell] as number) > 0 ? int64(at, numbers[cell] as number) : nothing(at))

  const timestamptz: Put = (at, cell) => {
    if ((tape[cell] as number) <= 0) return nothing(at)
    return int64(at, ((numbers[cell] as number) - POSTGRES_EPOCH_SECONDS) * 1_000_000 + (numbers[cell + 1] as number))
  }

  const int4: Put = (at, cell) => {
    if ((tape[cell] as number) <= 0) return nothing(at)
    view.setInt32(at, 4)
    view.setInt32(at + 4, numbers[cell] as number)
    return at + 8
  }

  const bool: Put = (at, cell) => {
    if ((tape[cell] as number) <= 0) return nothing(at)
    view.setInt32(at, 1)
    output[at + 4] = numbers[cell] as number
    return at + 5
  }

  const float8: Put = (at, cell) => {
    if ((tape[cell] as number) <= 0) return nothing(at)
    view.setInt32(at, 8)
    view.setFloat64(at + 4, numbers[cell] as number)
    return at + 12
  }

  const uuid: Put = (at, cell) => {
    const start = tape[cell] as number
    if (start <= 0) return nothing(at)
    view.setInt32(at, 16)
    let to = at + 4
    let high = -1
    for (let from = start; from < start + 36; from++) {
      const code = input[from] as number
      if (code === HYPHEN) continue
      const digit = code <= 0x39 ? code - ZERO : (code | 0x20) - 0x57
      if (high < 0) {
        high = digit
        continue
      }
      output[to] = high * 16 + digit
      to += 1
      high = -1
    }
    return to
  }

  /** As `numeric` of `binary.ts`, from the digits of the record: at most 15, no exponent. */
  const numeric: Put = (at, cell) => {
    const start = tape[cell] as number
    if (start <= 0) return nothing(at)
    let end = tape[cell + 1] as number
    const isNegative = input[start] === MINUS
    const first = isNegative ? start + 1 : start
    let point = first
    while (point < end && input[point] !== DOT) point += 1
    if (point < end) while (input[end - 1] === ZERO) end -= 1
    const scale = Math.max(0, end - point - 1)
    // The first group of four begins up to three digits before the first digit.
    const whole = point - first
    let digit = first - ((4 - (whole % 4)) % 4)
    let weight = Math.ceil(whole / 4) - 1
    let to = at + 12
    let groups = 0
    let last = to
    for (;;) {
      // The point lies between two groups.
      if (digit === point) digit += 1
      if (digit >= end) break
      let group = 0
      for (let i = 0; i < 4; i++) {
        const code = digit < first || digit >= end ? ZERO : (input[digit] as number)
        group = group * 10 + code - ZERO
        digit += 1
      }
      if (groups === 0 && group === 0) {
        weight -= 1
        continue
      }
      groups += 1
      view.setInt16(to, group)
      to += 2
      if (group !== 0) last = to
    }
    const kept = groups === 0 ? 0 : (last - at - 12) / 2
    view.setInt32(at, 8 + kept * 2)
    view.setInt16(at + 4, kept)
    view.setInt16(at + 6, kept === 0 ? 0 : weight)
    view.setInt16(at + 8, isNegative ? 0x4000 : 0)
    view.setInt16(at + 10, scale)
    return at + 12 + kept * 2
  }

  const date: Put = int4

  return { text, instant, int8, int4, bool, float8, numeric, timestamptz, date, uuid }
}
