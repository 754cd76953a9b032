import { urlsOfHosts } from '../engine/postgres/database-url.ts'
import { toStoreError } from '../engine/postgres/errors.ts'
import { askHosts, hostName } from '../engine/postgres/hosts.ts'
import { identifier } from '../engine/postgres/identifiers.ts'
import { missingMigrations, projectMigrations, requireFitDatabase } from '../engine/postgres/migrate.ts'
import { createPool, query } from '../engine/postgres/pool.ts'
import { type Pooling, requireSupportedPooling } from '../engine/postgres/pooling.ts'
import { requireTables } from '../engine/postgres/required-tables.ts'
import { type ServerFacts, serverFacts } from '../engine/postgres/table-rights.ts'
import type { Stream } from '../engine/stream.ts'
import { queueSchemaOf, requireQueueSchema } from '../inbox/jobs/queue-schema.ts'
import type { Config } from '../settings/config.ts'
import { type Finding, messageOf, remedyOf } from './doctor-finding.ts'

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
    yield {
      name,
      ok: missing.length === 0,
      detail: missing.length === 0 ? 'up to date' : `missing: ${missing.join(', ')}`,
      ...(missing.length === 0 ? {} : { fix: 'run: holdfast migrate up' }),
    }
    if (missing.length > 0) return
    yield rightsFinding(facts)
    for (const stream of streams) {
      name = `tables of ${stream.name}`
      await requireTables(pool, stream.name, stream.plan)
      yield { name, ok: true, detail: `${stream.tableNames.join(', ')} are as its definition needs them` }
    }
    name = 'jobs'
    await requireQueueSchema(
      (text, values) => query(pool, { text, values: [...values] }),
      queueSchemaOf(settings.schema),
    )
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
