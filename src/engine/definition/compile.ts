import type { StreamDefinition } from '../definition.ts'
import { httpNames } from '../http-names.ts'
import { createTables } from '../postgres/tables.ts'
import { createQueries } from '../postgres/tables-select.ts'
import type { Stream } from '../stream.ts'
import { planOf, type StreamPlan } from './plan.ts'
import { rowsOf } from './rows.ts'
import { shapeOf, type ValueShape } from './shape.ts'

/** What a stream is called outside, its settings applied. */
export interface StreamNames {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
}

/** What is made of the schema alone. `json` is of a whole value, known fields in the order of the schema. */
export type ValueCodec<T> = Pick<Stream<T>, 'judge' | 'json' | 'isKey' | 'mask' | 'createGenerator'>

export interface CompileOptions<T> extends StreamNames {
  readonly codec: ValueCodec<T>
}

/** How the value of a stream is given back. */
export interface ReadBack {
  /** `kept`: from the whole value, because the tables do not hold all of it. */
  readonly from: 'tables' | 'kept'
  /** Fields that are not given back, and what is given back otherwise than it came; empty for a stream that loses nothing. */
  readonly dropped: readonly string[]
  readonly merged: readonly string[]
}

/** A definition's tables: what they are, and how a value comes back out of them. */
export interface CompiledTables extends ReadBack {
  readonly plan: StreamPlan
  readonly shape: ValueShape
}

/** @throws RangeError when the definition has mistakes: `checkDefinitions` names them all, and comes first */
export function compileTables(definition: StreamDefinition): CompiledTables {
  const mistakes: string[] = []
  const plan = planOf(definition, (place, what) => mistakes.push(`${place}: ${what}`))
  if (plan === undefined || mistakes.length > 0) {
    throw new RangeError(`the definition of ${definition.name} has mistakes: ${mistakes.join('; ')}`)
  }
  const shape = shapeOf(definition.schema, plan)
  const isWhole = shape.dropped.length === 0 && shape.merged.length === 0
  if (isWhole || plan.keep === undefined) return { plan, shape, from: 'tables', ...shape }
  return { plan, shape, from: 'kept', dropped: [], merged: [] }
}

/** A definition, ready to run. @throws as {@link compileTables} */
export function compileStream<T>(definition: StreamDefinition<T>, { codec, ...names }: CompileOptions<T>): Stream<T> {
  const { plan, shape, from, dropped, merged } = compileTables(definition as StreamDefinition)
  const json = dropped.length === 0 && merged.length === 0 ? codec.json : jsonOfHeld()
  const { name, route = name, http = {}, schema, key, command, unusualKinds = [], batch, retry, storm } = definition
  return {
    ...codec,
    ...names,
    name,
    route,
    http: httpNames(route, http),
    schema,
    key,
    command,
    unusualKinds,
    overrides: {
      ...(batch === undefined ? {} : { batch }),
      ...(retry === undefined ? {} : { retry }),
      ...(storm === undefined ? {} : { storm }),
    },
    json,
    tableNames: [plan.root.name, ...plan.children.map(child => child.name)],
    tables: createTables<T>(plan),
    queries: createQueries({ plan, from, json: value => codec.json(value as T), assemble: shape.assemble }),
  }

  /** What is served from memory must be what is served from the tables: without what they do not hold. */
  function jsonOfHeld(): (value: T) => Buffer {
    const rows = rowsOf(plan)
    return value => codec.json(shape.assemble(rows(value)) as T)
  }
}
