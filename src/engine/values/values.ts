import type { JsonSchema, Pointer } from '../definition.ts'
import type { GeneratorOptions, RecordGenerator } from '../generator.ts'
import { createSampleGenerator } from './generator.ts'
import { createJson } from './json.ts'
import { createMask } from './mask.ts'
import { withoutRefs } from './refs.ts'
import { type ObjectShape, shapeOf } from './shape.ts'
import { createValidator, type Validator } from './validator.ts'

export type { SchemaProblem } from './refs.ts'
export { schemaProblems } from './schema-problems.ts'

export interface ValuesOptions<T> {
  /** One for which `schemaProblems` finds nothing. */
  readonly schema: JsonSchema
  /** Where the key stands: text that the schema requires. */
  readonly key: Pointer
  /** The largest value of a record that is accepted. */
  readonly maxBytes: number
  /** Places whose content names a person. The entries of an array stand under `*`. */
  readonly personal?: readonly Pointer[] | undefined
  /**
   * SQL types of columns that hold numbers, by their pointers in the value; the entries of an array stand under `*`. A number that its
   * column cannot hold as it was sent is a violation: more decimals than `numeric(12,2)` has, a whole number beyond `integer`.
   */
  readonly columns?: Readonly<Record<string, string>>
  /** The definition's own facts about a valid value. */
  readonly unusual?: ((value: T) => readonly string[]) | undefined
}

/** Everything that a schema gives besides SQL. */
export interface Values<T> extends Validator<T> {
  /** Canonical JSON of a value from the validator, or read back from the tables (`createJson`). */
  readonly json: (value: T) => Buffer
  /** JSON with its personal content masked (`createMask`). */
  readonly mask: (value: Buffer) => Buffer | undefined
  /** Sample records (`createSampleGenerator`). */
  readonly createGenerator: (options: GeneratorOptions) => RecordGenerator
}

/** Compiles a schema, once, when the process starts. It does no I/O. */
export function createValues<T>(options: ValuesOptions<T>): Values<T> {
  const { schema } = withoutRefs(options.schema)
  const shape = shapeOf(schema) as ObjectShape
  const { key, maxBytes, columns = {}, unusual, personal = [] } = options
  const validator = createValidator<T>({ schema, shape, key, maxBytes, columns, unusual })
  return {
    ...validator,
    json: createJson<T>(shape),
    mask: createMask(shape, personal),
    createGenerator: options => createSampleGenerator({ ...validator, schema, shape, key, columns }, options),
  }
}
