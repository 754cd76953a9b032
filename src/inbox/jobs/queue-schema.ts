import manifest from 'pg-boss/package.json' with { type: 'json' }
import { StoreMisconfiguredError } from '../../engine/errors.ts'
import { DEFAULT_SCHEMA } from '../../engine/postgres/schema.ts'

/**
 * Where pg-boss keeps the queues of jobs: each installation has its own, because a queue is named after its stream alone.
 * @param schema of our own tables
 */
export function queueSchemaOf(schema: string): string {
  return schema === DEFAULT_SCHEMA ? 'pgboss' : `${schema}_jobs`
}

/** Names of queues stand in databases, and stay as they are. */
const KINDS = ['replay', 'automatic-redrive', 'retention', 'ledger-merge'] as const

/** The queue of a stream for a kind of job: `orders.replay`. */
export function queueName(stream: string, kind: (typeof KINDS)[number]): string {
  return `${stream}.${kind}`
}

/** Before there were several streams, a queue had the name of its kind alone; their schedules would go on for ever. */
export const FORMER_QUEUES: readonly string[] = KINDS

function isOurs(queue: string): boolean {
  return queue.startsWith('__') || KINDS.some(kind => queue === kind || queue.endsWith(`.${kind}`))
}

interface Found {
  readonly login: string
  readonly database: string
  readonly there: boolean
  readonly may_use: boolean
  readonly may_make: boolean
  readonly may_fill: boolean
  readonly is_empty: boolean
  readonly tables: readonly string[]
}

/**
 * The schema of the queues may belong to another application of the same database: one that uses pg-boss as well, in another
 * version, or one that only has a schema of that name. pg-boss would bring the tables of the former up to date unasked.
 * @returns whether it is there
 * @throws StoreMisconfiguredError with what to do, when the jobs cannot or must not work there
 */
export async function requireQueueSchema(
  ask: (text: string, values: readonly unknown[]) => Promise<readonly unknown[]>,
  queueSchema: string,
): Promise<boolean> {
  const [found] = (await ask(
    `SELECT current_user AS login, current_database() AS database, oid IS NOT NULL AS there,
        coalesce(has_schema_privilege(oid, 'USAGE'), false) AS may_use,
        has_database_privilege(current_database(), 'CREATE') AS may_make,
        coalesce(has_schema_privilege(oid, 'CREATE'), false) AS may_fill,
        NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = oid.oid) AS is_empty,
        coalesce((SELECT array_agg(relname::text) FROM pg_class WHERE relnamespace = oid.oid
          AND relkind IN ('r', 'p') AND has_table_privilege(pg_class.oid, 'SELECT')), '{}') AS tables
      FROM (SELECT to_regnamespace($1)::oid AS oid) AS oid`,
    [queueSchema],
  )) as Found[]
  if (found === undefined) return false
  const user = `"${found.login.replaceAll('"', '""')}"`
  if (!found.there) {
    if (found.may_make) return false
    throw new StoreMisconfiguredError(
      `the user ${user} may not create the schema of the queue of jobs (${queueSchema})`,
      {
        remedy: `let the owner of the database run: GRANT CREATE ON DATABASE "${found.database}" TO ${user}; or: CREATE SCHEMA ${queueSchema} AUTHORIZATION ${user}; or run the service without jobs: --roles consumer,api`,
      },
    )
  }
  if (!found.may_use) {
    throw new StoreMisconfiguredError(
      `the schema ${queueSchema} belongs to another program: the user ${user} may not use it`,
      {
        remedy: `give Holdfast a database of its own, or run: GRANT USAGE, CREATE ON SCHEMA ${queueSchema} TO ${user}`,
      },
    )
  }
  if (found.is_empty && found.may_fill) return true
  const wanted = ['version', 'queue', 'job'].filter(table => !found.tables.includes(table))
  if (wanted.length > 0) {
    throw new StoreMisconfiguredError(
      `the schema ${queueSchema} is there, and is no queue that this user can work with: ${wanted.join(', ')} cannot be read in it`,
      { remedy: 'give Holdfast a database of its own: the schema belongs to another application' },
    )
  }
  const [version] = (await ask(`SELECT version FROM ${queueSchema}.version`, [])) as { version: number }[]
  if (version === undefined || Number(version.version) >= manifest.pgboss.schema) return true
  const queues = (await ask(`SELECT name FROM ${queueSchema}.queue ORDER BY name`, [])) as { name: string }[]
  const foreign = queues.map(({ name }) => name).filter(name => !isOurs(name))
  if (foreign.length === 0) return true
  throw new StoreMisconfiguredError(
    `another application keeps its queues in the schema ${queueSchema} (${foreign.slice(0, 5).join(', ')}), in version ${version.version} of pg-boss; ours needs ${manifest.pgboss.schema}, and would change its tables`,
    { remedy: 'give Holdfast a database of its own, or bring that application up to date first' },
  )
}
