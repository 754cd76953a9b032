import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { VERSION } from '../../version.ts'
import { StoreMisconfiguredError } from '../errors.ts'
import { identifier } from './identifiers.ts'
import { type Ask, hasTable } from './migration-home.ts'
import { type RunningProcess, runningProcesses } from './processes.ts'

/** The first line of a migration that some versions cannot work with. */
const BREAKS = /^-- breaks: versions before (\d+\.\d+\.\d+)\n/

/** A migration, and the versions that it takes the ground from. */
export interface BreakingMigration {
  readonly name: string
  /** Versions before this one cannot work with it. */
  readonly before: string
}

/** @param directory of our own migrations */
export async function breakingMigrations(directory: string): Promise<BreakingMigration[]> {
  const files = (await readdir(directory)).filter(file => file.endsWith('.sql')).sort()
  const texts = await Promise.all(files.map(file => readFile(join(directory, file), 'utf8')))
  return files.flatMap((file, i) => {
    const before = brokenBy(texts[i] ?? '')
    return before === undefined ? [] : [{ name: file.replace(/\.sql$/, ''), before }]
  })
}

/** @param text of a migration. @returns the version before which none can work with it; `undefined`: it breaks none */
export function brokenBy(text: string): string | undefined {
  return BREAKS.exec(text)?.[1]
}

/** A migration, and the processes that keep it from being applied or taken back. */
export interface InTheWay {
  readonly migration: string
  readonly because: string
  readonly processes: readonly RunningProcess[]
}

/** For migrations that are to be applied: which running processes could not work with them. */
export async function brokenProcesses(
  ask: Ask,
  home: string,
  pending: readonly BreakingMigration[],
): Promise<InTheWay[]> {
  if (pending.length === 0) return []
  const running = await runningProcesses(ask, home)
  return pending.flatMap(({ name, before }) => {
    const processes = running.filter(
      ({ version, migration }) => compareVersions(version, before) < 0 && migration < name,
    )
    const because = `versions before ${before} cannot work with it`
    return processes.length === 0 ? [] : [{ migration: name, because, processes }]
  })
}

/** For migrations that are to be taken back: which running processes need them. */
export async function needyProcesses(ask: Ask, home: string, names: readonly string[]): Promise<InTheWay[]> {
  if (names.length === 0) return []
  const running = await runningProcesses(ask, home)
  return names.flatMap(name => {
    const processes = running.filter(({ migration }) => migration >= name)
    return processes.length === 0 ? [] : [{ migration: name, because: 'they need it', processes }]
  })
}

/** For migrations of a project that are to be taken back: any running process may store into their tables. */
export async function processesWithStreams(ask: Ask, home: string, names: readonly string[]): Promise<InTheWay[]> {
  const processes = names.length === 0 ? [] : await runningProcesses(ask, home)
  if (processes.length === 0) return []
  return names.map(migration => ({ migration, because: 'they may store into its tables', processes }))
}

/** @throws StoreMisconfiguredError that names what runs */
export function requireNobodyInTheWay(direction: 'up' | 'down', inTheWay: readonly InTheWay[]): void {
  const [first] = inTheWay
  if (first === undefined) return
  const what = direction === 'up' ? 'applied' : 'taken back'
  const who = namesOf(inTheWay).join('; ')
  const why = direction === 'up' ? `${first.migration} breaks what runs` : `${first.migration} is needed by what runs`
  throw new StoreMisconfiguredError(`no migration was ${what}: ${why} (${first.because}): ${who}`, {
    remedy: 'stop these processes first; --force does it all the same, and they fail',
  })
}

/** Each of the processes once. */
export function namesOf(inTheWay: readonly InTheWay[]): string[] {
  return [...new Set(inTheWay.flatMap(({ processes }) => processes.map(({ what }) => what)))]
}

/**
 * Notes which migrations break which versions: a version that is broken does not have their files. Where the table is missing, a
 * migration that is about to be applied makes it; called again then.
 */
export async function noteBreaking(ask: Ask, home: string, breaking: readonly BreakingMigration[]): Promise<void> {
  if (breaking.length === 0 || !(await hasTable(ask, home, 'breaking_migrations'))) return
  await ask(
    `INSERT INTO ${identifier(home)}.breaking_migrations (name, before) SELECT * FROM unnest($1::text[], $2::text[])
      ON CONFLICT (name) DO UPDATE SET before = excluded.before WHERE breaking_migrations.before <> excluded.before`,
    [breaking.map(({ name }) => name), breaking.map(({ before }) => before)],
  )
}

/**
 * A newer version has migrated the database: this one goes on, unless that took away what it needs.
 * @param known the names of our own migrations
 * @throws StoreMisconfiguredError
 */
export async function requireNotBroken(ask: Ask, home: string, known: readonly string[]): Promise<void> {
  const rows = (await ask(
    `SELECT b.name, b.before FROM ${identifier(home)}.breaking_migrations AS b
        JOIN ${identifier(home)}.pgmigrations AS applied ON applied.name = b.name
      WHERE b.name <> ALL ($1::text[]) ORDER BY b.name`,
    [known],
  )) as BreakingMigration[]
  const [first] = rows
  const least = rows
    .map(({ before }) => before)
    .sort(compareVersions)
    .at(-1)
  if (first === undefined || least === undefined || compareVersions(VERSION, least) >= 0) return
  throw new StoreMisconfiguredError(
    `the database has the migration ${first.name} of a newer version: versions before ${least} cannot work with it, and this is ${VERSION}`,
    { remedy: `run version ${least} or newer, or take the migration back with that version: holdfast migrate down` },
  )
}

/** By their numbers; what follows a hyphen does not count. */
export function compareVersions(one: string, other: string): number {
  const [a, b] = [one, other].map(version => version.split('-')[0]?.split('.').map(Number) ?? [])
  for (const i of [0, 1, 2]) {
    const difference = (a?.[i] ?? 0) - (b?.[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
