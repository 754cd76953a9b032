import type { FromSchema, JSONSchema } from 'json-schema-to-ts'
import type { GeneratorOptions, RecordGenerator } from './generator.ts'
import type { HttpDefinition } from './http-names.ts'

/** A JSON Schema, 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>

/** A JSON Pointer (RFC 6901) into a value: `/customer/email`; within a table of an array, from the entry on. */
export type Pointer = `/${string}`

/**
 * A column: where its value stands, or how it is computed. Without `as` its name is the last segment of the pointer; without `type` the
 * schema gives it. `from` gets the value and, in a table of an array, the entry. (Written as a method, so that a definition of a known type
 * is also one of `unknown`.)
 */
export type ColumnDefinition<T = unknown> =
  | Pointer
  | { readonly at: Pointer; readonly as?: string; readonly type?: string }
  | { readonly as: string; readonly type: string; from(value: T, entry?: unknown): unknown }

/**
 * A table. Without `at` and `each` it is the root table: it holds the key and the position of the record. `at`: one row for the object there;
 * `each`: one row for each entry of the array there, in order.
 */
export interface TableDefinition<T = unknown> {
  readonly at?: Pointer
  readonly each?: Pointer
  /** `scalars` (default): each known field of the object or entry that is no object or array. */
  readonly columns?: 'scalars' | readonly ColumnDefinition<T>[]
  /** Name of the column with an entry's place in its array, from 0. Default: `position`. */
  readonly position?: string
}

/** What a team writes to bring its own topic, schema and tables (`defineStream`). */
export interface StreamDefinition<T = unknown, S = JsonSchema> {
  /** Also the topic, the route, and with `.dlq` the dead-letter topic, unless they are set. */
  readonly name: string
  readonly topic?: string
  readonly dlqTopic?: string
  /** Default: `KAFKA_GROUP_ID-name`. */
  readonly group?: string
  readonly route?: string
  /** Names and addresses over HTTP that differ from what the route gives. */
  readonly http?: HttpDefinition
  /** Names of settings (environment variables) that give topic, dead-letter topic and group. */
  readonly settings?: { readonly topic?: string; readonly dlqTopic?: string; readonly group?: string }
  readonly schema: S
  /** A word of the command line: `WORD get KEY` is then `get KEY --stream NAME`. */
  readonly command?: string
  /** Sample records. Default: made from the schema. */
  readonly generator?: (options: GeneratorOptions) => RecordGenerator
  /** Where the key stands. Required by the schema, and a string. */
  readonly key: Pointer
  /** The schema of Postgres in which all of its tables stand. Default: `public`. */
  readonly tablesIn?: string
  /** By name; exactly one of them is the root table. */
  readonly tables: Readonly<Record<string, TableDefinition<T>>>
  /** Keep the whole value as `jsonb` in the root table, in a column of this name. */
  readonly keep?: 'value'
  /** Order of the values, newest first, and what a page of them can be restricted by. Columns of the root table. */
  readonly list?: { readonly newest: Pointer; readonly by?: readonly Pointer[] }
  /** Places whose content names a person: masked wherever a dead letter is shown. */
  readonly personal?: readonly Pointer[]
  /** Facts about a valid value worth a metric, out of `unusualKinds`. */
  unusual?(value: T): readonly string[]
  readonly unusualKinds?: readonly string[]
  /**
   * The places that `unusual` reads; the entries of an array stand under `*`. It is given a value of these alone, so that the others need
   * not be made. Default: all.
   */
  readonly unusualReads?: readonly Pointer[]
  readonly batch?: { readonly maxRecords?: number; readonly maxBytes?: number; readonly lingerMs?: number }
  readonly retry?: { readonly initialMs?: number; readonly maxMs?: number; readonly maxAttempts?: number }
  readonly storm?: { readonly maxConsecutive?: number; readonly ratio?: number }
}

/** Only what is named, and read-only: FromSchema leaves an index signature where unknown properties are allowed. */
export type Known<T> = T extends readonly (infer E)[]
  ? readonly Known<E>[]
  : T extends object
    ? { readonly [K in keyof T as string extends K ? never : K]: Known<T[K]> }
    : T

/** The type of the values of a schema: exact when it is a const object; a JSON file has lost its literals, and gives a record. */
export type ValueOf<S> = S extends JSONSchema ? Known<FromSchema<S>> : Readonly<Record<string, unknown>>

/** A stream as a value. Returns the definition as it stands: it is checked when it is compiled, with all others, at the start. */
export function defineStream<const S extends JsonSchema>(
  definition: StreamDefinition<ValueOf<S>, S>,
): StreamDefinition<ValueOf<S>> {
  return definition
}

/** What `holdfast.config.ts` exports. */
export interface HoldfastConfig {
  readonly streams: readonly StreamDefinition[]
}

/** The streams of a process. Without such a file there is one: orders. */
export function defineConfig(config: HoldfastConfig): HoldfastConfig {
  return config
}
