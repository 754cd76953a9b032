import type { StreamDefinition } from '../definition.ts'
import { httpNames, wordFor } from '../http-names.ts'
import { createTables } from '../postgres/tables.ts'
import { createQueries } from '../postgres/tables-select.ts'
import type { ReadBack, Stream } from '../stream.ts'
import { pick, readsOf } from '../values/reads.ts'
import { createValues } from '../values/values.ts'
import { numberColumns, withColumnRules } from './column-rules.ts'
import { createOnePass } from './one-pass.ts'
import { planOf, type StreamPlan } from './plan.ts'
import { rowsOf } from './rows.ts'
import { shapeOf, type ValueShape } from './shape.ts'

/** What a stream is called outside, its settings applied. */
export interface StreamNames {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
}

export interface CompileOptions extends StreamNames {
  /** The largest value of a record that is accepted. */
  readonly maxBytes: number
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
export function compileStream<T>(definition: StreamDefinition<T>, { maxBytes, ...names }: CompileOptions): Stream<T> {
  const tables = compileTables(definition as StreamDefinition)
  const { plan, shape, from, dropped, merged } = tables
  const {
    name,
    route = name,
    http = {},
    schema,
    key,
    command,
    personal,
    unusualKinds = [],
    batch,
    retry,
    storm,
  } = definition
  const reads = definition.unusualReads === undefined ? true : readsOf(definition.unusualReads)
  const find = definition.unusual?.bind(definition)
  const values = createValues<T>({
    ...{ schema, key, maxBytes, personal },
    columns: numberColumns(plan),
    unusual: find && (value => find(pick(value, reads) as T)),
  })
  const servesWhole = dropped.length === 0 && merged.length === 0
  const json = servesWhole ? values.json : jsonOfHeld()
  const validate = withColumnRules(plan, values.validate)
  const onePass = createOnePass<T>({ plan, schema, maxBytes, unusual: find && { find, reads }, servesWhole })
  return {
    ...names,
    ...{ name, route, schema, key, command, unusualKinds, json },
    http: httpNames(route, http, wordFor(command, schema.title)),
    createGenerator: definition.generator ?? values.createGenerator,
    overrides: {
      ...(batch === undefined ? {} : { batch }),
      ...(retry === undefined ? {} : { retry }),
      ...(storm === undefined ? {} : { storm }),
    },
    judge: typeof onePass === 'string' ? validate : record => onePass(record) ?? validate(record),
    validate,
    onePass: typeof onePass === 'string' ? onePass : undefined,
    isKey: values.isKey,
    mask: values.mask,
    plan,
    readBack: { from, dropped, merged },
    tableNames: [plan.root, ...plan.children].map(({ title }) => title),
    tables: createTables<T>(plan),
    queries: createQueries({ plan, from, json: value => values.json(value as T), assemble: shape.assemble }),
  }

  /** What is served from memory must be what is served from the tables: without what they do not hold. */
  function jsonOfHeld(): (value: T) => Buffer {
    const rows = rowsOf(plan)
    return value => values.json(shape.assemble(rows(value)) as T)
  }
}
