import type { StreamPlan } from './definition/plan.ts'
import type { JsonSchema, Pointer, StreamDefinition } from './definition.ts'
import type { GeneratorOptions, RecordGenerator } from './generator.ts'
import type { HttpNames } from './http-names.ts'
import type { Tables, ValueQueries } from './value-sql.ts'
import type { Verdict } from './verdict.ts'

/** The bytes of a record that decide what it is. */
export interface RecordBytes {
  readonly key: Buffer | null
  readonly value: Buffer | null
}

/** How the value of a stream is given back. */
export interface ReadBack {
  /** `kept`: from the whole value, because the tables do not hold all of it. */
  readonly from: 'tables' | 'kept'
  /** Fields that are not given back, and what is given back otherwise than it came; empty for a stream that loses nothing. */
  readonly dropped: readonly string[]
  readonly merged: readonly string[]
}

/**
 * A stream that is ready to run: a definition, checked and compiled, with its names settled. The engine, the inbox, the read side and the
 * commands use a stream through this interface alone. `T` is a decoded and valid value.
 */
export interface Stream<T = unknown> {
  /** Unique in a process and in a database: `orders`. Also the value of the metric label `stream`. */
  readonly name: string
  /** Unique in a process. */
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
  /** First segment of its routes: `/ROUTE/KEY`, `/ROUTE?…`. */
  readonly route: string
  /** Its addresses and the words of its answers over HTTP. */
  readonly http: HttpNames
  readonly schema: JsonSchema
  /** Where a value holds its key. */
  readonly key: Pointer
  /** Decodes and validates one record. Pure; throws nothing that is foreseen. */
  readonly judge: (record: RecordBytes) => Verdict<T>
  /** The same by the parser of JSON and ajv alone, which `judge` asks where one pass over the bytes does not settle it. */
  readonly validate: (record: RecordBytes) => Verdict<T>
  /** Why no record of this stream is settled in one pass: a sentence about a place of its schema. `undefined` where they are. */
  readonly onePass: string | undefined
  /**
   * Canonical JSON: the bytes that are cached and served. A value from the judge and one read back from the tables give the same bytes.
   * (A method, so that a stream of any type is a `Stream`; it needs no `this`.)
   */
  json(value: T): Buffer
  /** A word of the command line that the definition brings: `WORD get KEY` is `get KEY --stream NAME`. */
  readonly command?: string | undefined
  /** Sample records, for `holdfast produce`, demos and tests. */
  readonly createGenerator: (options: GeneratorOptions) => RecordGenerator
  /** What its verdicts call unusual, besides what the engine finds (`UNUSUAL`): all values there can be. */
  readonly unusualKinds: readonly string[]
  /** Where it differs from the settings of the process. */
  readonly overrides: Pick<StreamDefinition, 'batch' | 'retry' | 'storm'>
  /** Whether this text can be the key of a value. */
  readonly isKey: (text: string) => boolean
  /** What its tables are: all SQL about them is made from this. */
  readonly plan: StreamPlan
  readonly readBack: ReadBack
  /** Its tables as messages name them, the root table first. */
  readonly tableNames: readonly string[]
  readonly tables: Tables<T>
  readonly queries: ValueQueries
  /**
   * The value's JSON as it stands in these bytes, with whatever may name a person masked.
   * @returns `undefined` when it is no JSON: what of it is personal cannot be known
   */
  readonly mask: (value: Buffer) => Buffer | undefined
}
