import { createGeneratorSync, type JsonSchema as SampleSchema } from 'json-schema-faker'
import type { JsonSchema, Pointer } from '../definition.ts'
import { UsageError } from '../errors.ts'
import type { GeneratedRecord, GeneratorOptions, RecordGenerator } from '../generator.ts'
import { faultsOf } from './faults.ts'
import { numberColumn } from './numbers.ts'
import { segmentsOf } from './pointer.ts'
import { createRandom, hex32, type Random, scramble } from './random.ts'
import { isSchema } from './refs.ts'
import type { ObjectShape, Shape } from './shape.ts'
import type { Validator } from './validator.ts'

export interface SamplesOptions extends Pick<Validator<unknown>, 'validate' | 'isKey'> {
  /** Without `$ref`s. */
  readonly schema: JsonSchema
  readonly shape: ObjectShape
  readonly key: Pointer
  /** SQL types of the columns of numbers (`ValuesOptions`). */
  readonly columns: Readonly<Record<string, string>>
}

/** Updates reach back this far, so that a demo shows them on values that are still in sight. */
const UPDATE_WINDOW = 10_000

/** A sample of a strange schema may be invalid; another one may be better. */
const ATTEMPTS = 30

/** Which of the independent streams of a seed. */
const STREAM = { course: 1, contents: 2, key: 3 } as const

/**
 * Sample records of any stream, from its schema, without end and without memory: each is a function of seed, index and version.
 * The samples are those of json-schema-faker, which depends on its seed alone and reads no clock; each is held against the validator.
 * @throws UsageError from `next()` when no valid sample is found; it names the rule that none of them fits
 */
export function createSampleGenerator(
  { schema, shape, key, columns, validate, isKey }: SamplesOptions,
  { seed, invalidRatio, updatesRatio }: GeneratorOptions,
): RecordGenerator {
  const root = scramble(seed) ^ scramble(Math.floor(seed / 0x1_0000_0000) + 0x9e3779b9)
  const stream = (kind: number, index: number, version = 0) =>
    createRandom([root ^ kind, index, scramble(version ^ (kind << 28))])
  const sampleSchema = toSampleSchema(schema) as SampleSchema
  const keyPath = segmentsOf(key)
  const faults = faultsOf(shape)
  let position = 0
  let values = 0

  function sample(random: Random): Record<string, unknown> {
    const options = { seed: random.between(0, 2 ** 31 - 1), optionalsProbability: 0.8, maxDefaultItems: 4 }
    return rounded(createGeneratorSync(options).generate(sampleSchema), shape, '', columns) as Record<string, unknown>
  }

  /** A valid value and its key: a text that is one-to-one with the index, where the schema allows one. */
  function build(index: number, version: number): { readonly value: Record<string, unknown>; readonly key: string } {
    const random = stream(STREAM.contents, index, version)
    const own = keyOf(root, index, isKey)
    let why = ''
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const value = sample(attempt === 0 && own === undefined ? stream(STREAM.key, index) : random)
      if (own !== undefined) put(value, keyPath, own)
      const verdict = validate({ key: null, value: Buffer.from(JSON.stringify(value)) })
      if (verdict.ok) return { value, key: verdict.key }
      why = verdict.rejection.message
    }
    throw new UsageError(
      `no sample value can be generated from the schema: ${why}; give the definition a "generator", or produce a file`,
    )
  }

  function spoil(course: Random): Omit<GeneratedRecord, 'kind'> {
    // Its key comes from the far end of the indices: it must not be that of a value that is looked for.
    const { value, key: text } = build(0xffff_ffff - position, 0)
    const bytes = Buffer.from(text)
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const spoiled = course.pick(faults).spoil(value, course)
      const verdict = spoiled === undefined ? undefined : validate({ key: bytes, value: spoiled })
      if (spoiled !== undefined && verdict?.ok === false) {
        return { key: bytes, value: spoiled, expect: verdict.rejection.reason }
      }
    }
    return { key: bytes, value: null, expect: 'empty_value' }
  }

  return {
    next() {
      position += 1
      const course = stream(STREAM.course, position)
      if (course.chance(invalidRatio)) return { ...spoil(course), kind: 'invalid' }
      const isUpdate = values > 0 && course.chance(updatesRatio)
      const index = isUpdate ? values - course.between(1, Math.min(values, UPDATE_WINDOW)) : values
      if (!isUpdate) values += 1
      const { value, key: text } = build(index, isUpdate ? position : 0)
      const bytes = Buffer.from(JSON.stringify(value))
      return { key: Buffer.from(text), value: bytes, kind: isUpdate ? 'update' : 'new', expect: null }
    },
  }
}

/** The first form that the schema takes for a key. The first eight digits are one-to-one with the index. */
function keyOf(root: number, index: number, isKey: (text: string) => boolean): string | undefined {
  const unique = scramble(index ^ root)
  const digits = `${hex32(unique)}${hex32(scramble(unique ^ root))}${hex32(scramble(unique + 1))}${hex32(scramble(unique + 2))}`
  const uuid = `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-a${digits.slice(17, 20)}-${digits.slice(20, 32)}`
  const number = String(unique).padStart(10, '0')
  const forms = [uuid, digits.slice(0, 16), digits.slice(0, 8), digits.slice(0, 8).toUpperCase(), number]
  return [...forms, `${number}@example.org`, `https://example.org/${number}`].find(isKey)
}

function put(value: Record<string, unknown>, [name = '', ...path]: readonly string[], key: string): void {
  if (path.length === 0) value[name] = key
  else if (typeof value[name] === 'object' && value[name] !== null)
    put(value[name] as Record<string, unknown>, path, key)
}

/** Formats of which json-schema-faker has no samples, or seldom valid ones, as ones that it has. */
const SAMPLED_AS: ReadonlyMap<unknown, { readonly format?: string; readonly pattern?: string }> = new Map([
  ['url', { pattern: '^https://[a-z]{3,9}\\.example\\.org/[a-z]{1,8}$' }],
  ['byte', { pattern: '^([A-Za-z0-9+/]{4}){1,5}$' }],
  ['json-pointer-uri-fragment', { pattern: '^#(/[a-z]{1,8}){0,3}$' }],
  ['iso-time', { format: 'time' }],
  ['iso-date-time', { format: 'date-time' }],
])

/** The schema with limits where it has none, so that samples are of a size that people like to look at. */
function toSampleSchema(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(toSampleSchema)
  if (!isSchema(schema)) return schema
  const { type, properties, items, format, pattern } = schema
  const sampledAs = pattern === undefined ? SAMPLED_AS.get(format) : undefined
  const types = [type].flat()
  const isFree = ['format', 'pattern', 'enum', 'const', 'minLength', 'maxLength'].every(
    name => schema[name] === undefined,
  )
  return {
    ...schema,
    ...((types.includes('integer') || types.includes('number')) && limits(schema)),
    ...(sampledAs !== undefined && { format: undefined, ...sampledAs }),
    ...(types.includes('string') && isFree && { minLength: 3, maxLength: 20 }),
    ...(isSchema(properties) && {
      properties: Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, toSampleSchema(inner)])),
    }),
    ...(isSchema(items) && { items: toSampleSchema(items) }),
  }
}

function limits({ minimum, exclusiveMinimum, maximum, exclusiveMaximum, const: only, enum: some }: JsonSchema): object {
  if (only !== undefined || some !== undefined) return {}
  const least = [minimum, exclusiveMinimum].filter(value => typeof value === 'number')
  const most = [maximum, exclusiveMaximum].filter(value => typeof value === 'number')
  const from = Math.max(...least, most.length === 0 ? 0 : Math.min(0, ...most))
  const to = Math.min(...most, from + 10_000)
  return { ...(least.length === 0 && { minimum: from }), maximum: to }
}

/** Numbers with as many decimals as their column has, else with two: `json-schema-faker` gives all that a double has. */
function rounded(value: unknown, shape: Shape, pointer: string, columns: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'number' && shape.kind === 'number') {
    const column = numberColumn(columns[pointer] ?? '')
    return Number(value.toFixed(column?.type === 'decimal' ? Math.min(column.scale, 2) : 2))
  }
  if (Array.isArray(value)) {
    return shape.kind === 'array' ? value.map(entry => rounded(entry, shape.entries, `${pointer}/*`, columns)) : value
  }
  if (typeof value !== 'object' || value === null || shape.kind !== 'object') return value
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => {
      const member = shape.members.get(name)?.shape
      return [name, member === undefined ? inner : rounded(inner, member, `${pointer}/${name}`, columns)]
    }),
  )
}
