import type { JsonSchema } from '../definition.ts'
import { createRowWriter, placeAt } from '../postgres/row-writer.ts'
import type { RecordBytes } from '../stream.ts'
import { type Reads, restrict } from '../values/reads.ts'
import { withoutRefs } from '../values/refs.ts'
import { type Memory, sharedMemory } from '../values/scan/memory.ts'
import { createObjects } from '../values/scan/objects.ts'
import { layOut } from '../values/scan/places.ts'
import { createScanner } from '../values/scan/scanner.ts'
import { createTexts } from '../values/scan/texts.ts'
import { createJsonWriter } from '../values/scan/written-json.ts'
import { factsOf, MAX_KEY } from '../values/validator.ts'
import type { EncodedRows, ValidVerdict } from '../verdict.ts'
import { placeOf } from './column-rules.ts'
import type { StreamPlan } from './plan.ts'

export interface OnePassOptions<T> {
  readonly plan: StreamPlan
  readonly schema: JsonSchema
  /** The largest value of a record that is accepted. */
  readonly maxBytes: number
  /** The definition's own facts about a value, and the places that it reads. */
  readonly unusual: { find(value: T): readonly string[]; readonly reads: Reads } | undefined
  /** Whether the value's canonical JSON is what is served. */
  readonly servesWhole: boolean
}

/**
 * The verdict on a record that is certainly valid: its bytes are held against the schema and made rows in one pass, and no object is made.
 * @returns `undefined` where that is not certain; the validator decides, and gives the reasons
 */
export type OnePass<T> = (record: RecordBytes) => ValidVerdict<T> | undefined

/**
 * Compiles a stream's single pass over the bytes, once, when the process starts.
 * @returns a sentence about the place of the schema for which there is none
 */
export function createOnePass<T>(options: OnePassOptions<T>): OnePass<T> | string {
  const { plan, maxBytes, unusual } = options
  const layout = layOut(withoutRefs(options.schema).schema, columnTypes(plan))
  if (typeof layout === 'string') return layout
  const { root } = layout
  const key = placeAt(root, plan.key.path)
  // It would be another text than the record's.
  if (key.kind !== 'string' || key.format === 'date-time') return 'the key is an instant'
  const memory = sharedMemory()
  const scanner = createScanner(layout, memory)
  const writeRows = createRowWriter(plan, root, memory)
  const writeJson = createJsonWriter(root, memory)
  const objectOf = createObjects<T>(root, memory)
  const isComputed = [plan.root, ...plan.children].some(table => table.columns.some(({ from }) => from !== undefined))
  const readOf = unusual && createObjects<T>(restrict(root, unusual.reads), memory)
  const { text } = createTexts(memory)
  const store = createRowStore(memory)

  /** The value of a record that was scanned before. */
  function scanAgain(value: Buffer): void {
    if (!scanner.scan(value)) throw new Error('the bytes of a record have changed since it was validated')
  }

  const source: Source<T> = {
    valueOf(bytes) {
      scanAgain(bytes)
      return objectOf()
    },
    jsonOf(bytes) {
      if (!options.servesWhole) return undefined
      scanAgain(bytes)
      return Buffer.from(memory.output.subarray(0, writeJson(0, 0)))
    },
  }

  return ({ key: recordKey, value }) => {
    if (value === null || value.length > maxBytes || !scanner.scan(value)) return undefined
    try {
      const found = text(key.cell)
      if (found.length === 0 || found.length > MAX_KEY) return undefined
      const end = writeRows(isComputed ? objectOf() : undefined)
      if (end > memory.output.length / 2) return undefined
      const facts = factsOf(recordKey, found, { unknownFields: scanner.hasUnknown(), precisionLost: false })
      const own = readOf === undefined ? undefined : unusual?.find(readOf())
      return new Scanned(
        source,
        value,
        found,
        store(end),
        own === undefined || own.length === 0 ? facts : [...facts, ...own],
      )
    } catch {
      // A column or a fact that is computed has failed: the validator meets the same error.
      return undefined
    }
  }
}

interface Source<T> {
  valueOf(bytes: Buffer): T
  jsonOf(bytes: Buffer): Buffer | undefined
}

/** A class, so that a verdict is small: a batch holds one for each record. */
class Scanned<T> implements ValidVerdict<T> {
  readonly ok = true
  readonly key: string
  readonly rows: EncodedRows
  readonly unusual: readonly string[]
  readonly #source: Source<T>
  readonly #bytes: Buffer
  #value: T | undefined

  constructor(source: Source<T>, bytes: Buffer, key: string, rows: EncodedRows, unusual: readonly string[]) {
    this.#source = source
    this.#bytes = bytes
    this.key = key
    this.rows = rows
    this.unusual = unusual
  }

  get value(): T {
    this.#value ??= this.#source.valueOf(this.#bytes)
    return this.#value
  }

  json(): Buffer | undefined {
    return this.#source.jsonOf(this.#bytes)
  }
}

/** SQL types of all columns, by the pointers of their places. */
function columnTypes(plan: StreamPlan): Map<string, string[]> {
  const types = new Map<string, string[]>()
  for (const table of [plan.root, ...plan.children]) {
    for (const { path, ddl } of table.columns) {
      if (path === undefined) continue
      const place = placeOf(table, path)
      types.set(place, [...(types.get(place) ?? []), ddl])
    }
  }
  return types
}

/** Rows of this many bytes share a buffer: one for each record would weigh as much as what it holds. */
const STORE_BYTES = 1 << 18

/** @returns a function that copies the first bytes of the output to where they stay */
function createRowStore({ output }: Memory): (bytes: number) => EncodedRows {
  let buffer = Buffer.alloc(0)
  let used = 0
  return bytes => {
    if (used + bytes > buffer.length) {
      buffer = Buffer.allocUnsafeSlow(Math.max(STORE_BYTES, bytes))
      used = 0
    }
    const at = used
    output.copy(buffer, at, 0, bytes)
    used += bytes
    return { bytes: buffer, at }
  }
}
