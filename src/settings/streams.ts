import { checkDefinitions, isWellFormed } from '../engine/definition/check.ts'
import { compileStream } from '../engine/definition/compile.ts'
import { DEFAULT_TABLES_IN } from '../engine/definition/plan.ts'
import type { StreamDefinition } from '../engine/definition.ts'
import { ConfigError, UsageError } from '../engine/errors.ts'
import { nearest } from '../engine/nearest.ts'
import type { Stream } from '../engine/stream.ts'
import { queueSchemaOf } from '../inbox/jobs/queue-schema.ts'
import { orders } from '../streams/orders/definition.ts'
import type { Config } from './config.ts'
import type { Environment } from './origins.ts'
import { Mismatch, type Setting } from './setting.ts'
import { SETTINGS } from './settings.ts'
import { findStreamFile, readStreamFile } from './stream-file.ts'

/** At least one. */
export type Streams = readonly [Stream, ...Stream[]]

export interface LoadOptions {
  /** Names of the streams to run, as `--streams a,b` has them. Default: all. */
  readonly only?: readonly string[] | undefined
  /** Where a relative path of HOLDFAST_CONFIG begins. Default: the working directory. */
  readonly cwd?: string
}

/**
 * The streams of this project, ready to run: those that its `holdfast.config.ts` lists, or orders alone where there is no such file.
 * This is the only module that knows a domain.
 * @throws ConfigError with every mistake of every definition
 * @throws UsageError when the file cannot be loaded, or `only` names a stream that does not exist
 */
export async function loadStreams(config: Config, env: Environment, options: LoadOptions = {}): Promise<Streams> {
  return prepareStreams(await loadDefinitions(config, options.cwd), config, env, options)
}

/**
 * These definitions, ready to run: checked, with the settings applied that they name.
 * @throws ConfigError with every mistake of every definition
 * @throws UsageError when there is none of them, or `only` names a stream that does not exist
 */
export function prepareStreams(
  definitions: readonly StreamDefinition[],
  config: Config,
  env: Environment,
  options: Pick<LoadOptions, 'only'> = {},
): Streams {
  // A project in JavaScript may give anything.
  if (!Array.isArray(definitions)) throw new ConfigError(['streams must be a list of definitions'])
  const problems = checkDefinitions(definitions)
  const named = definitions
    .filter(definition => typeof definition?.name === 'string' && isWellFormed(definition))
    .map(definition => ({ definition, names: namesOf(definition, env, problems) }))
  for (const { definition } of named) {
    checkNumbers(definition, config, problems)
    checkTablesIn(definition, config, problems)
  }
  problems.push(...clashes(named.map(({ definition, names }) => ({ name: definition.name, ...names }))))
  if (problems.length > 0) throw new ConfigError(problems, 'mistakes in the streams')
  const streams = named.map(({ definition, names }) =>
    compileStream(definition, { ...names, maxBytes: config.recordMaxBytes }),
  )
  const picked = (options.only ?? streams.map(({ name }) => name)).map(name => streamNamed(streams, name))
  const [first, ...others] = new Set(picked)
  if (first === undefined) throw new UsageError('there is no stream to run: name at least one')
  return [first, ...others]
}

/**
 * The definitions of this project as they are written, not checked.
 * @param cwd as {@link LoadOptions.cwd}
 * @throws UsageError when the file cannot be loaded
 */
export async function loadDefinitions(config: Config, cwd = process.cwd()): Promise<readonly StreamDefinition[]> {
  const path = findStreamFile(config.streamFile, cwd)
  return path === undefined ? [orders] : await readStreamFile(path)
}

/** Tables of streams and our own are kept apart, so that neither is in the way of the other, whatever its names will be. */
function checkTablesIn({ name, tablesIn }: StreamDefinition, { postgres }: Config, problems: string[]): void {
  const ours = new Map([
    [postgres.schema, "Holdfast's own tables (PG_SCHEMA)"],
    [queueSchemaOf(postgres.schema), 'the queues of jobs'],
  ])
  const holds = tablesIn === undefined ? undefined : ours.get(tablesIn)
  if (holds === undefined) return
  problems.push(`stream ${name}: tablesIn: the schema ${JSON.stringify(tablesIn)} holds ${holds}; choose another`)
}

/** @returns a table of this definition that the migrations of Holdfast create in each database for a stream of its own; else `undefined` */
export function bundledTable({ tablesIn = DEFAULT_TABLES_IN, tables }: StreamDefinition): string | undefined {
  if (tablesIn !== DEFAULT_TABLES_IN) return undefined
  return Object.keys(tables).find(table => Object.hasOwn(orders.tables, table))
}

/** @throws UsageError when none has this name: it names those that exist, and the nearest */
export function streamNamed<S extends { readonly name: string }>(streams: readonly S[], name: string): S {
  const found = streams.find(stream => stream.name === name)
  if (found !== undefined) return found
  const names = streams.map(stream => stream.name)
  const meant = nearest(name, names)
  const hint = meant === undefined ? '' : `; did you mean ${meant}?`
  throw new UsageError(`there is no stream ${JSON.stringify(name)}: the streams are ${names.join(', ')}${hint}`)
}

/** How a stream is called outside: what its definition says, which a setting that the definition names overrides. */
export interface StreamNames {
  readonly topic: string
  readonly dlqTopic: string
  readonly groupId: string
}

function namesOf(
  { name, topic = name, dlqTopic = `${topic}.dlq`, group, settings = {} }: StreamDefinition,
  env: Environment,
  problems: string[],
): StreamNames {
  const given = (setting: string) => env[setting]?.trim() || defaultOf(setting)

  function settled(what: string, setting: string | undefined, fallback: string, rule: Setting<string>): string {
    const set = setting === undefined ? undefined : given(setting)
    const text = set ?? fallback
    const value = rule.parse(text)
    if (!(value instanceof Mismatch)) return value
    const place = set === undefined ? `stream ${name}: ${what}` : `stream ${name}: ${what} (${setting})`
    problems.push(`${place} is ${JSON.stringify(text)}: it must be ${value.expected}`)
    return text
  }
  return {
    topic: settled('topic', settings.topic, topic, SETTINGS.KAFKA_TOPIC),
    dlqTopic: settled('dlqTopic', settings.dlqTopic, dlqTopic, SETTINGS.KAFKA_DLQ_TOPIC),
    groupId: settled('group', settings.group, group ?? `${given('KAFKA_GROUP_ID')}-${name}`, SETTINGS.KAFKA_GROUP_ID),
  }
}

/** Members of a definition that stand for settings, which say what they may be. */
const NUMBERS = {
  batch: { maxRecords: 'BATCH_MAX_RECORDS', maxBytes: 'BATCH_MAX_BYTES', lingerMs: 'BATCH_LINGER_MS' },
  retry: { initialMs: 'RETRY_INITIAL_MS', maxMs: 'RETRY_MAX_MS', maxAttempts: 'RETRY_MAX_ATTEMPTS' },
  storm: { maxConsecutive: 'DLQ_STORM_MAX_CONSECUTIVE', ratio: 'DLQ_STORM_RATIO' },
} as const

function checkNumbers(definition: StreamDefinition, { retry }: Config, problems: string[]): void {
  for (const [group, settings] of Object.entries(NUMBERS)) {
    const given: Readonly<Record<string, number | undefined>> = definition[group as keyof typeof NUMBERS] ?? {}
    for (const [member, setting] of Object.entries(settings)) {
      const value = given[member]
      const parsed = value === undefined ? undefined : SETTINGS[setting as keyof typeof SETTINGS].parse(String(value))
      if (!(parsed instanceof Mismatch)) continue
      problems.push(`stream ${definition.name}: ${group}.${member} is ${value}: it must be ${parsed.expected}`)
    }
  }
  const { initialMs = retry.initialMs, maxMs = retry.maxMs } = definition.retry ?? {}
  if (maxMs < initialMs) {
    problems.push(
      `stream ${definition.name}: retry.maxMs is ${maxMs}: it must be at least retry.initialMs (${initialMs})`,
    )
  }
}

function defaultOf(setting: string): string | undefined {
  return setting in SETTINGS ? SETTINGS[setting as keyof typeof SETTINGS].default : undefined
}

/** Two streams must not share a name, a topic or a group: each is the identity of one of them somewhere. */
function clashes(streams: readonly ({ readonly name: string } & StreamNames)[]): string[] {
  const problems: string[] = []
  const topics = new Map<string, string>()
  const groups = new Map<string, string>()
  const names = new Set<string>()
  for (const { name, topic, dlqTopic, groupId } of streams) {
    if (names.has(name)) problems.push(`two streams are called ${JSON.stringify(name)}: give one of them another name`)
    names.add(name)
    for (const [what, value, taken] of [
      ['topic', topic, topics],
      ['dead-letter topic', dlqTopic, topics],
      ['group', groupId, groups],
    ] as const) {
      const use = `${what} of ${name}`
      const other = taken.get(value)
      if (other !== undefined) problems.push(`${value} is the ${other} and the ${use}: it must be one of them only`)
      taken.set(value, other ?? use)
    }
  }
  return problems
}
