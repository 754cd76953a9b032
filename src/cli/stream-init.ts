import { isUtf8 } from 'node:buffer'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { checkDefinitions } from '../engine/definition/check.ts'
import { compileStream, compileTables } from '../engine/definition/compile.ts'
import type { StreamDefinition } from '../engine/definition.ts'
import { UsageError } from '../engine/errors.ts'
import { InferenceError, type Inferred, inferStream } from '../engine/values/infer.ts'
import { findStreamFile } from '../settings/stream-file.ts'
import { bundledTable } from '../settings/streams.ts'
import { VERSION } from '../version.ts'
import { CommandFailed } from './failure.ts'
import { note, print } from './output.ts'
import {
  configSource,
  definitionSource,
  type Extension,
  importLine,
  json,
  packageSource,
  testSource,
  tsconfigSource,
  variableOf,
  withStream,
} from './stream-source.ts'
import { allTables, migrationFile } from './stream-tables.ts'
import { readValues } from './value-file.ts'
import { plural } from './words.ts'

interface InitOptions {
  readonly from: readonly string[]
  readonly tablesIn?: string
  readonly json?: boolean
}

/** By path, relative to the project: its text. */
type Files = ReadonlyMap<string, string>

/**
 * Writes the files of a new stream into the working directory. It asks nothing, overwrites nothing, and reports what it assumed.
 * @throws UsageError when the name or the samples cannot be used; CommandFailed when a file is in the way: then nothing is written
 */
export async function init(name: string, { from, tablesIn, json: asJson }: InitOptions): Promise<void> {
  const project = process.cwd()
  requireName(name)
  const read = (await Promise.all(from.map(readSamples))).flat()
  const samples = read.map(({ value }) => value)
  const inferred = infer(name, samples, tablesIn)
  requireValid(inferred.definition, read)
  const migration = join(
    'migrations',
    `${await nextNumber(join(project, 'migrations'))}_${name.replaceAll('-', '_')}.sql`,
  )
  const manifest = await readPackage(project)
  // Node and the compiler take a plain .ts for CommonJS where the package does not say that its files are modules.
  const extension = manifest === undefined || manifest.type === 'module' ? 'ts' : 'mts'
  const files: Files = new Map([
    [join('streams', `${name}.${extension}`), definitionSource(inferred.definition)],
    [join('streams', `${name}.schema.json`), json(inferred.definition.schema)],
    [join('streams', `${name}.sample.json`), json(samples.length === 1 ? samples[0] : samples)],
    [join('streams', `${name}.test.${extension}`), testSource(name, extension)],
    [migration, migrationFile(allTables(compileTables(inferred.definition).plan))],
  ])
  await requireFree(project, name, files)
  const config = await planConfig(project, name, extension)
  const missing = new Map(
    [
      ['package.json', packageSource(basename(project))],
      ['tsconfig.json', tsconfigSource(extension)],
    ].filter(([path = '']) => !existsSync(join(project, path))) as [string, string][],
  )
  const written = await write(project, new Map([...files, ...missing, ...config.created]))
  if (config.edited !== undefined) await writeFile(join(project, config.file), config.edited)

  const byHand = config.byHand === undefined ? [] : [config.byHand]
  const steps = [...byHand, ...packageSteps(manifest), ...nextSteps(name, extension, migration)]
  const edited = config.edited === undefined ? [] : [config.file]
  const { assumptions } = inferred
  if (asJson) return print(JSON.stringify({ stream: name, written, edited, assumptions, next: steps }))
  for (const path of written) print(`wrote ${path}`)
  for (const path of edited) print(`added the stream to ${path}`)
  note(`\nAssumed, from ${plural(samples.length, 'sample')}:`)
  for (const line of assumptions) note(`  - ${line}`)
  note('\nNext:')
  for (const [index, line] of steps.entries()) note(`  ${index + 1}. ${line}`)
}

/** A name is also a topic, a route, a table and a file. */
const NAME = /^[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*$/
const MAX_NAME = 40

function requireName(name: string): void {
  if (NAME.test(name) && name.length <= MAX_NAME) return
  throw new UsageError(
    `${JSON.stringify(name)} cannot name a stream: it must be at most ${MAX_NAME} of a-z 0-9 with single - or _ between them, and begin with a letter, as in returns`,
  )
}

/** A value of a file that `--from` names. */
interface Sample {
  /** The file, and which of its values. */
  readonly place: string
  readonly bytes: Buffer
  readonly value: unknown
}

/** @throws UsageError that names the file, and the sample in it */
async function readSamples(path: string): Promise<Sample[]> {
  const values = await readValues(path, '--from')
  return values.map((bytes, index) => {
    const place = `--from ${path}${values.length === 1 ? '' : `, sample ${index + 1}`}`
    if (!isUtf8(bytes)) throw new UsageError(`${place} is not UTF-8 text`)
    try {
      return { place, bytes, value: JSON.parse(bytes.toString('utf8').replace(/^\ufeff/, '')) }
    } catch (error) {
      throw new UsageError(`${place} is not JSON: ${error instanceof Error ? error.message : error}`)
    }
  })
}

/** A value that no schema makes valid (an integer that JSON rounds, NUL in a text) is no sample. @throws UsageError */
function requireValid(definition: StreamDefinition, samples: readonly Sample[]): void {
  const { name } = definition
  const names = { topic: name, dlqTopic: name, groupId: name, maxBytes: Number.MAX_SAFE_INTEGER }
  const { judge } = compileStream(definition, names)
  const problems = samples.flatMap(({ place, bytes }) => {
    const verdict = judge({ key: null, value: bytes })
    return verdict.ok ? [] : [`${place} would be a dead letter: ${verdict.rejection.message}`]
  })
  if (problems.length > 0) throw new UsageError(problems.join('; '))
}

function infer(name: string, samples: readonly unknown[], tablesIn: string | undefined): Inferred {
  try {
    const inferred = inferStream(name, samples)
    const { tables, ...rest } = inferred.definition
    const definition = tablesIn === undefined ? inferred.definition : { ...rest, tablesIn, tables }
    requireUsable(definition)
    return { ...inferred, definition }
  } catch (error) {
    if (error instanceof InferenceError) throw new UsageError(`--from: ${error.message}`)
    throw error
  }
}

/** A definition that the start or `migrate up` would refuse is refused before its files are there. @throws UsageError */
function requireUsable(definition: StreamDefinition): void {
  const table = bundledTable(definition)
  const problems = [
    ...checkDefinitions([definition]),
    ...(table === undefined ? [] : [`the migrations of Holdfast create a table ${table} in each database`]),
  ]
  if (problems.length === 0) return
  throw new UsageError(`${definition.name} cannot name a stream here: ${problems.join('; ')}. Choose another name`)
}

/** The number after the last migration of the folder: `0002`. */
async function nextNumber(folder: string): Promise<string> {
  const files = existsSync(folder) ? await readdir(folder) : []
  const last = Math.max(0, ...files.map(file => Number(/^(\d+)_.*\.sql$/.exec(file)?.[1] ?? 0)))
  return String(last + 1).padStart(4, '0')
}

/** @throws CommandFailed naming each file that is in the way */
async function requireFree(project: string, name: string, files: Files): Promise<void> {
  const folder = join(project, 'migrations')
  const migrations = existsSync(folder) ? await readdir(folder) : []
  const taken = [
    ...[...files.keys()].filter(path => existsSync(join(project, path))),
    ...migrations
      .filter(file => file.replace(/^\d+_/, '') === `${name.replaceAll('-', '_')}.sql`)
      .map(file => join('migrations', file)),
  ]
  if (taken.length === 0) return
  throw new CommandFailed(
    `${taken.join(', ')} ${taken.length === 1 ? 'is' : 'are'} there already; nothing was written. Choose another name, or remove ${taken.length === 1 ? 'it' : 'them'} first`,
  )
}

/** What becomes of holdfast.config.ts, or of the file that stands for it: created, edited, or left to the reader with the lines to add. */
async function planConfig(project: string, name: string, extension: Extension) {
  const found = findStreamFile(undefined, project)
  if (found === undefined) {
    const file = `holdfast.config.${extension}`
    return { file, created: new Map([[file, configSource(name, extension)]]), edited: undefined, byHand: undefined }
  }
  const file = basename(found)
  const edited = withStream(await readFile(found, 'utf8'), name, extension)
  const byHand =
    edited === undefined
      ? `add to ${file}: ${importLine(name, extension)} and ${variableOf(name)} in the list "streams"`
      : undefined
  return { file, created: new Map<string, string>(), edited, byHand }
}

/** @returns the paths, in the order of the map */
async function write(project: string, files: Files): Promise<string[]> {
  for (const [path, text] of files) {
    await mkdir(dirname(join(project, path)), { recursive: true })
    // Fails on a file that another process has made since.
    await writeFile(join(project, path), text, { flag: 'wx' })
  }
  return [...files.keys()]
}

/**
 * What is missing for the files to be compiled and run, as commands that add it. A package.json that was there before is not edited.
 * @param manifest `undefined`: it is written with the files
 */
function packageSteps(manifest: Package | undefined): string[] {
  const install = `npm install PATH/holdfast-${VERSION}.tgz (the file that "make package" writes in a checkout of Holdfast)`
  if (manifest === undefined) return [install]
  const names = { ...manifest.dependencies, ...manifest.devDependencies }
  return [
    ...('holdfast' in names ? [] : [install]),
    ...('typescript' in names ? [] : ['npm install --save-dev typescript']),
  ]
}

interface Package {
  readonly type?: unknown
  readonly dependencies?: object
  readonly devDependencies?: object
}

/** `undefined`: there is none. */
async function readPackage(project: string): Promise<Package | undefined> {
  const path = join(project, 'package.json')
  if (!existsSync(path)) return undefined
  try {
    return JSON.parse(await readFile(path, 'utf8')) ?? {}
  } catch {
    // npm reports the mistake as soon as one of the steps runs.
    return {}
  }
}

function nextSteps(name: string, extension: Extension, migration: string): string[] {
  return [
    `read streams/${name}.schema.json and streams/${name}.${extension}, and correct what was assumed; then: npx holdfast stream check ${name} --offline`,
    `where columns or tables changed with that: npx holdfast stream migration ${name} --offline > ${migration}`,
    `npx tsc && node --test "streams/*.test.${extension}"`,
    'npx holdfast migrate up, and: npx holdfast stream check',
    `npx holdfast serve, and beside it: npx holdfast produce --stream ${name} --count 100`,
    `npx holdfast verify --stream ${name}`,
  ]
}
