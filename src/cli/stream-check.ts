import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, StreamError } from '../engine/errors.ts'
import { foundElsewhere, perhapsMeant } from '../engine/postgres/live-tables.ts'
import type { Stream } from '../engine/stream.ts'
import { visible } from '../engine/visible.ts'
import { type Config, loadConfig } from '../settings/config.ts'
import { loadStreams, streamNamed } from '../settings/streams.ts'
import { CommandFailed } from './failure.ts'
import { note, paint, paintData, print } from './output.ts'
import { compareTables } from './stream-tables.ts'
import { readValues } from './value-file.ts'
import { plural } from './words.ts'

interface CheckOptions {
  readonly json?: boolean
  readonly offline?: boolean
}

/** What one comparison found. */
interface Finding {
  readonly check: 'definition' | 'samples' | 'tables'
  /** `undefined`: it could not be asked. */
  readonly ok: boolean | undefined
  /** A sentence, or a few words where it is ok. */
  readonly what: string
  readonly fix?: string
}

/**
 * Compares the definition of each stream with its schema, its samples and the tables of the database.
 * @throws CommandFailed when anything differs (1), or the database could not be asked (4)
 */
export async function check(name: string | undefined, options: CheckOptions): Promise<void> {
  const config = loadConfig(process.env)
  const streams = await streamsOrMistakes(config)
  if (streams instanceof ConfigError) {
    for (const what of streams.problems) show(undefined, { check: 'definition', ok: false, what }, options)
    throw new CommandFailed(`${plural(streams.problems.length, 'mistake')} in the definitions`)
  }
  const findings: Finding[] = []
  for (const stream of name === undefined ? streams : [streamNamed(streams, name)]) {
    for await (const finding of examine(config, stream, options)) {
      findings.push(finding)
      show(stream.name, finding, options)
    }
  }
  conclude(findings)
}

async function streamsOrMistakes(config: Config): Promise<readonly Stream[] | ConfigError> {
  try {
    return await loadStreams(config, process.env)
  } catch (error) {
    if (error instanceof ConfigError) return error
    throw error
  }
}

async function* examine(config: Config, stream: Stream, { offline }: CheckOptions): AsyncGenerator<Finding> {
  const { plan, readBack, onePass } = stream
  const { from, dropped, merged } = readBack
  const source = from === 'kept' ? `the kept value (column ${plan.keep})` : 'the tables'
  yield { check: 'definition', ok: true, what: `fits its schema; GET rebuilds values from ${source}` }
  if (dropped.length > 0) {
    const what = `not stored, so GET leaves it out: ${dropped.join(', ')} (a column for each, or keep: 'value', keeps them)`
    yield { check: 'definition', ok: true, what }
  }
  if (merged.length > 0) {
    const what = `the tables do not distinguish absent, null and empty: ${merged.join(', ')} (keep: 'value' does)`
    yield { check: 'definition', ok: true, what }
  }
  if (onePass !== undefined) {
    const what = `${onePass}: each record is parsed and then validated, which takes more CPU than one pass over its bytes`
    yield { check: 'definition', ok: true, what }
  }
  yield* examineSamples(stream)
  if (offline) return note(`${stream.name}: the tables were not compared (--offline)`)
  const compared = await compareTables(config.postgres, plan)
  if (compared instanceof StreamError) {
    yield { check: 'tables', ok: undefined, what: compared.message }
  } else if (!compared.exist) {
    const fix = `holdfast migrate up (the SQL: holdfast stream migration ${stream.name})`
    const what = [`the database has none of ${stream.tableNames.join(', ')}`, ...foundElsewhere(compared.live)].join(
      '; ',
    )
    yield { check: 'tables', ok: false, what, fix }
  } else if (compared.differences.length === 0) {
    const what = `${stream.tableNames.join(', ')} are as the definition needs them`
    yield { check: 'tables', ok: true, what: [what, ...perhapsMeant(plan, compared.live)].join('; ') }
  } else {
    for (const { what, sql } of compared.differences) yield { check: 'tables', ok: false, what, fix: sql.up }
    note(`${stream.name}: all of that as a migration, up and down: holdfast stream migration ${stream.name}`)
  }
}

/** Every sample beside the definition must be valid, and come back whole. */
async function* examineSamples({ name, judge, json }: Stream): AsyncGenerator<Finding> {
  const path = join('streams', `${name}.sample.json`)
  if (!existsSync(path)) return
  const samples = await readValues(path, 'sample')
  let valid = 0
  const unknown = new Set<string>()
  for (const [index, value] of samples.entries()) {
    const verdict = judge({ key: null, value })
    if (verdict.ok) {
      valid += 1
      for (const place of missing(JSON.parse(value.toString('utf8')), JSON.parse(json(verdict.value).toString()))) {
        unknown.add(place)
      }
      continue
    }
    const { rejection } = verdict
    const violations = rejection.violations.map(({ pointer, message }) => `${pointer || 'the value'} ${message}`)
    const what = `${path}, sample ${index + 1}: ${violations.length === 0 ? rejection.message : violations.join('; ')}`
    yield { check: 'samples', ok: false, what, fix: `correct the sample, or streams/${name}.schema.json` }
  }
  if (valid === samples.length) yield { check: 'samples', ok: true, what: `${plural(valid, 'sample')} valid` }
  if (unknown.size > 0) {
    const what = `in the samples, and not given back: ${[...unknown].join(', ')}`
    yield { check: 'samples', ok: true, what }
  }
}

/** Places of the sent value that the served one lacks. Entries of arrays count as one place: `/lines/*`. */
function missing(sent: unknown, served: unknown, pointer = ''): string[] {
  if (Array.isArray(sent)) {
    const others = Array.isArray(served) ? served : []
    return sent.flatMap((entry, index) => missing(entry, others[index], `${pointer}/*`))
  }
  if (typeof sent !== 'object' || sent === null) return []
  const known = typeof served === 'object' && served !== null ? served : {}
  return Object.entries(sent).flatMap(([name, value]) => {
    const place = `${pointer}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    return Object.hasOwn(known, name) ? missing(value, Reflect.get(known, name), place) : [place]
  })
}

function show(stream: string | undefined, { check, ok, what, fix }: Finding, { json }: CheckOptions): void {
  if (json) {
    print(JSON.stringify({ stream: stream ?? null, check, ok: ok ?? null, what, fix: fix ?? null }))
    return
  }
  const sign = ok === undefined ? paintData('yellow', '?') : ok ? paintData('green', '✓') : paintData('red', '✗')
  print(`${sign} ${[stream, check].filter(part => part !== undefined).join(' ')}: ${visible(what)}`)
  for (const line of fix?.split('\n') ?? []) print(`    ${visible(line)}`)
}

function conclude(findings: readonly Finding[]): void {
  const differing = findings.filter(({ ok }) => ok === false).length
  if (differing > 0) throw new CommandFailed(`${plural(differing, 'difference')}`)
  if (findings.some(({ ok }) => ok === undefined)) {
    throw new CommandFailed('the database could not be asked; --offline compares without it', { exitCode: 4 })
  }
  note(paint('green', 'no differences'))
}
