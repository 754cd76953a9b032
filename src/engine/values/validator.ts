import { isAscii } from 'node:buffer'
import type { Rejection, Violation } from '../dead-letter.ts'
import type { JsonSchema, Pointer } from '../definition.ts'
import type { RecordBytes } from '../stream.ts'
import type { Verdict } from '../verdict.ts'
import { decode } from './decode.ts'
import { isTooDeep, TOO_DEEP } from './depth.ts'
import { type CopyFacts, compileCopy, copiesAnyDepth } from './known.ts'
import { parseRounded } from './numbers.ts'
import { segmentsOf } from './pointer.ts'
import { createRules } from './rules.ts'
import { holds, type ObjectShape } from './shape.ts'
import { isStorable, isSuspicious } from './text.ts'
import { compileRules, MAX_VIOLATIONS, newAjv } from './violations.ts'

export interface ValidatorOptions<T> {
  /** Without `$ref`s. */
  readonly schema: JsonSchema
  readonly shape: ObjectShape
  readonly key: Pointer
  /** The largest value of a record that is accepted. */
  readonly maxBytes: number
  /** SQL types of the columns of numbers, by pointer (`createRules`). */
  readonly columns: Readonly<Record<string, string>>
  /** The definition's own facts about a valid value. */
  readonly unusual: ((value: T) => readonly string[]) | undefined
}

export interface Validator<T> {
  /**
   * Decodes and validates one record: a value, or the reason why not. Nothing that bytes can do makes it throw.
   *
   * After the reasons of `decode` comes `schema_violation`: nesting beyond 32, else at most ten of the rules of the schema, of its key, and
   * of what JSON and Postgres can hold (`createRules`). A valid value is a copy of the known fields, its instants in canonical form and
   * zeros without a sign.
   */
  readonly validate: (record: RecordBytes) => Verdict<T>
  /** Whether this text can be the key of a value. */
  readonly isKey: (text: string) => boolean
}

/** In UTF-16 units: a longer one can stand neither in a URL nor in an index of Postgres. */
export const MAX_KEY = 1_024

const NONE: readonly Violation[] = []

/** Compiles a schema's validator: once, when the process starts. */
export function createValidator<T>(options: ValidatorOptions<T>): Validator<T> {
  const { schema, shape, maxBytes, unusual } = options
  const { accepts, explain } = compileRules(schema, shape)
  const rules = createRules(shape, options.columns)
  const copy = compileCopy<T>(shape, { canonical: true })
  const keyPath = segmentsOf(options.key)
  const isKey = createKeyCheck(schema, keyPath)
  // ajv compares the items of a unique array by recursion.
  const isDepthFirst = copiesAnyDepth(shape) || JSON.stringify(schema).includes('"uniqueItems"')
  const mayBeRounded = holds(shape, ({ kind }) => kind === 'number' || kind === 'any')

  function violationsOf(data: unknown, text: string, facts: CopyFacts): readonly Violation[] {
    if (isDepthFirst && isTooDeep(data)) return [TOO_DEEP]
    const suspicious = isSuspicious(text)
    const violations = accepts(data) && !suspicious ? NONE : isTooDeep(data) ? [TOO_DEEP] : explain(data)
    if (violations.length >= MAX_VIOLATIONS || violations[0] === TOO_DEEP) return violations
    const numbers = rules.numbers?.((mayBeRounded ? parseRounded(text) : undefined) ?? data)
    if (numbers?.precisionLost) facts.precisionLost = true
    const key = valueAt(data, keyPath)
    const own = [
      ...(numbers?.violations ?? NONE),
      ...(suspicious ? rules.texts(data).violations : NONE),
      // The schema requires it, and has reported it if it is missing.
      ...(typeof key === 'string' || violations.length === 0 ? keyViolation(key, options.key) : NONE),
    ]
    if (own.length === 0) return violations
    const named = new Set(violations.map(({ pointer }) => pointer))
    return [...violations, ...own.filter(({ pointer }) => !named.has(pointer))].slice(0, MAX_VIOLATIONS)
  }

  return {
    isKey,
    validate(record) {
      const decoded = decode(record.value, maxBytes)
      if (!decoded.ok) return { ok: false, key: null, rejection: decoded.rejection }
      const { data, text } = decoded
      const facts: CopyFacts = { unknownFields: false, precisionLost: false }
      const violations = violationsOf(data, text, facts)
      if (violations.length > 0) return refuse(violations, valueAt(data, keyPath), isKey)
      const value = copy(data as T, facts)
      // Only what is not known can be deep in a value that fits the schema.
      if (facts.unknownFields && isTooDeep(data)) return refuse([TOO_DEEP], valueAt(data, keyPath), isKey)
      const key = valueAt(value, keyPath) as string
      const found = factsOf(record.key, key, facts)
      const own = unusual?.(value)
      return { ok: true, key, value, unusual: own === undefined || own.length === 0 ? found : [...found, ...own] }
    },
  }
}

/**
 * `key_mismatch`: the record's key is not the value's key, so Kafka does not keep the order of the records of this value.
 * `unknown_field`: fields that the schema does not know were dropped. `precision`: digits were cut off, of an instant finer than a
 * microsecond or of a number that no double holds.
 */
export function factsOf(recordKey: Buffer | null, key: string, { unknownFields, precisionLost }: CopyFacts): string[] {
  const facts: string[] = []
  if (recordKey === null || !isText(recordKey, key)) facts.push('key_mismatch')
  if (unknownFields) facts.push('unknown_field')
  if (precisionLost) facts.push('precision')
  return facts
}

/** Whether the bytes are this text; an ASCII text, which nearly all keys are, without encoding it. */
function isText(bytes: Buffer, text: string): boolean {
  if (bytes.length === text.length) return bytes.toString('latin1') === text && isAscii(bytes)
  return bytes.length > text.length && bytes.equals(Buffer.from(text))
}

function refuse(violations: readonly Violation[], key: unknown, isKey: (text: string) => boolean): Verdict<never> {
  const [first] = violations
  const rejection: Rejection = {
    reason: 'schema_violation',
    error: first?.keyword ?? '',
    pointer: first?.pointer ?? '',
    message: summaryOf(violations),
    violations,
  }
  // For the index of dead letters: an invalid value is still found by its key when it has a proper one.
  return { ok: false, key: typeof key === 'string' && isKey(key) ? key : null, rejection }
}

function summaryOf(violations: readonly Violation[]): string {
  const [first] = violations
  const more = violations.length - 1
  const howMany = `${more}${violations.length === MAX_VIOLATIONS ? ' or more' : ''}`
  const others = more <= 0 ? '' : ` (and ${howMany} other violation${more === 1 ? '' : 's'})`
  return `${first?.pointer || 'the value'} ${first?.message}${others}`
}

function valueAt(data: unknown, path: readonly string[]): unknown {
  let value = data
  for (const name of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined
    value = (value as Readonly<Record<string, unknown>>)[name]
  }
  return value
}

/** The rules for every key, whether the schema contains them or not. */
function keyViolation(key: unknown, pointer: Pointer): readonly Violation[] {
  if (typeof key !== 'string') return [{ pointer, keyword: 'type', message: 'must be text, because it is the key' }]
  if (key === '') return [{ pointer, keyword: 'minLength', message: 'must not be empty, because it is the key' }]
  if (key.length <= MAX_KEY) return NONE
  return [{ pointer, keyword: 'maxLength', message: `must have at most ${MAX_KEY} characters, because it is the key` }]
}

/** The rules of the schema for the place of the key, and those for every key. */
function createKeyCheck(schema: JsonSchema, path: readonly string[]): (text: string) => boolean {
  const place = path.reduce<unknown>((node, name) => {
    const properties = (node as { readonly properties?: Readonly<Record<string, unknown>> } | undefined)?.properties
    return properties?.[name]
  }, schema)
  const fits = newAjv({}).compile((place ?? false) as JsonSchema)
  return text => text.length > 0 && text.length <= MAX_KEY && isStorable(text) && fits(text)
}
