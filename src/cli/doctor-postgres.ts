import { urlsOfHosts } from '../engine/postgres/database-url.ts'
import { toStoreError } from '../engine/postgres/errors.ts'
import { dropViews, type FormerViews, formerViews } from '../engine/postgres/former-views.ts'
import { askHosts, hostName } from '../engine/postgres/hosts.ts'
import { identifier } from '../engine/postgres/identifiers.ts'
import { otherInstallations, otherwiseInstalled } from '../engine/postgres/installations.ts'
import type { Ask } from '../engine/postgres/migration-home.ts'
import { missingMigrations, projectMigrations, requireFitDatabase } from '../engine/postgres/migration-status.ts'
import { createPool, query } from '../engine/postgres/pool.ts'
import { type Pooling, requireSupportedPooling } from '../engine/postgres/pooling.ts'
import { requireTables } from '../engine/postgres/required-tables.ts'
import { type ServerFacts, serverFacts } from '../engine/postgres/table-rights.ts'
import type { Stream } from '../engine/stream.ts'
import { queueSchemaOf, requireQueueSchema } from '../inbox/jobs/queue-schema.ts'
import type { Config } from '../settings/config.ts'
import { type Finding, messageOf, remedyOf } from './doctor-finding.ts'
import { plural } from './words.ts'

const POOLERS = {
  none: 'none in front of Postgres',
  session: 'one that lends sessions by the connection, which needs no settings',
  transaction: 'one that lends sessions by the transaction, with the settings that it needs',
} as const satisfies Record<Pooling['lends'], string>

/** The server, its migrations, the rights on its tables, and whether the tables of each stream are as it needs them. */
export async function* postgresFindings(
  { postgres: settings }: Config,
  streams: readonly Stream[],
): AsyncGenerator<Finding> {
  await using parts = new AsyncDisposableStack()
  const pool = createPool({ ...settings, max: 1, name: 'doctor' })
  parts.defer(() => pool.end())
  const urls = urlsOfHosts(settings.url)
  if (urls.length > 1) yield await hostsFinding(urls)
  const ask: Ask = (text, values) => query(pool, { text, values: [...values] })
  // The check that is under way: its finding has this name when it fails.
  let name = 'postgres'
  try {
    const facts = await serverFacts(pool, streams)
    const { version, readOnly } = facts
    yield {
      name,
      ok: !readOnly,
      detail: `PostgreSQL ${version}${readOnly ? ', read-only' : ''}`,
      ...(readOnly ? { fix: 'name the primary in DATABASE_URL: this server takes no writes' } : {}),
    }
    name = 'pooler'
    yield { name, ok: true, detail: POOLERS[(await requireSupportedPooling(settings)).lends] }
    name = 'version and encoding'
    await requireFitDatabase(pool)
    name = 'migrations'
    const missing = await missingMigrations(pool, projectMigrations(process.cwd()))
    // Not advised where it would fail.
    await requireFitDatabase(pool, missing)
    yield { name, ...(await migrationsFound(ask, settings.schema, missing)) }
    if (missing.length > 0) return
    yield* formerViewsFound(await formerViews(ask, settings.schema))
    yield rightsFinding(facts)
    for (const stream of streams) {
      name = `tables of ${stream.name}`
      const others = await requireTables(pool, stream.name, stream.plan)
      const detail = [`${stream.tableNames.join(', ')} are as its definition needs them`, ...others].join('; ')
      yield { name, ok: true, detail }
    }
    name = 'jobs'
    await requireQueueSchema(ask, queueSchemaOf(settings.schema))
    yield { name, ok: true, detail: 'may use their queue' }
  } catch (error) {
    yield {
      name,
      ok: false,
      detail: messageOf(error),
      fix: remedyOf(error) ?? 'check DATABASE_URL; "holdfast demo" or "docker compose up" start a server',
    }
  }
}

function rightsFinding({ schemas, barred, forbidden }: ServerFacts): Finding {
  if (barred.length === 0 && forbidden.length === 0) {
    return { name: 'table rights', ok: true, detail: 'may read and write' }
  }
  const lacking = [
    ...(barred.length === 0 ? [] : [`use the schema ${barred.join(', ')}`]),
    ...(forbidden.length === 0 ? [] : [`read and write ${forbidden.join(', ')}`]),
  ]
  const all = schemas.map(identifier).join(', ')
  return {
    name: 'table rights',
    ok: false,
    detail: `this user may not ${lacking.join(', and not ')}`,
    fix: `GRANT USAGE ON SCHEMA ${all} TO it; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${all} TO it`,
  }
}

/** Nothing where none are left. */
function formerViewsFound({ views, neededBy }: FormerViews): Finding[] {
  if (views.length === 0) return []
  const what = `${plural(views.length, 'view')} left for the version before by migration 0022`
  if (neededBy.length > 0) {
    const who = neededBy.map(process => process.what).join('; ')
    return [{ name: 'views in public', ok: true, detail: `${what}, which still runs: ${who}` }]
  }
  return [
    {
      name: 'views in public',
      ok: true,
      detail: `${what}, which does not run; where you will not go back to it, they may be dropped`,
      fix: dropViews(views),
    },
  ]
}

async function migrationsFound(ask: Ask, schema: string, missing: readonly string[]): Promise<Omit<Finding, 'name'>> {
  const elsewhere = missing.length === 0 ? undefined : await otherwiseInstalled(ask, schema)
  if (elsewhere !== undefined) return { ok: false, detail: elsewhere.what, fix: elsewhere.remedy }
  if (missing.length > 0)
    return { ok: false, detail: `missing: ${missing.join(', ')}`, fix: 'run: holdfast migrate up' }
  const others = (await otherInstallations(ask, schema)).map(other => identifier(other.schema))
  const beside = others.length === 0 ? '' : `; this database has other installations, in ${others.join(', ')}`
  return { ok: true, detail: `up to date in the schema ${identifier(schema)}${beside}` }
}

/** What each of several servers is: one takes writes, the others are its standbys. */
async function hostsFinding(urls: readonly string[]): Promise<Finding> {
  const answers = await askHosts(urls)
  const states = answers.map(answer => (answer.status === 'fulfilled' ? answer.value : undefined))
  const names = urls.map(hostName)
  const told = answers.map((answer, at) => {
    if (answer.status === 'rejected') return `${names[at]} cannot be asked (${messageOf(toStoreError(answer.reason))})`
    const { takesWrites, timeline } = answer.value
    if (!takesWrites) return `${names[at]} is a standby, or read-only`
    return `${names[at]} takes writes${timeline > 0 ? ` (timeline ${timeline})` : ''}`
  })
  const writers = states.filter(state => state?.takesWrites === true)
  const newest = Math.max(...writers.map(state => state?.timeline ?? 0))
  const old = names.filter((_, at) => states[at]?.takesWrites === true && (states[at]?.timeline ?? 0) < newest)
  const ok = writers.length === 1
  const fix =
    writers.length === 0
      ? 'promote a standby, or start the primary'
      : `stop ${old.length > 0 ? old.join(', ') : 'all but one'}: what is written there is missing in the other database; pg_rewind makes a standby of it`
  return { name: 'servers', ok, detail: told.join(', '), ...(ok ? {} : { fix }) }
}
