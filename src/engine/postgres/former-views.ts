import { identifier } from './identifiers.ts'
import { type Ask, FORMER_SCHEMA } from './migration-home.ts'
import { type RunningProcess, runningProcesses } from './processes.ts'

/** The first that finds its tables in a schema of their own. */
const OWN_SCHEMA = '0022_own_schema'

/** What migration 0022 has left in `public` for processes of the version before. */
export interface FormerViews {
  /** Those that lead to tables of this installation, quoted where they have to be. */
  readonly views: readonly string[]
  /** Processes that need them. */
  readonly neededBy: readonly RunningProcess[]
}

/** @param home the schema of our own tables */
export async function formerViews(ask: Ask, home: string): Promise<FormerViews> {
  const views = (await ask(
    `SELECT DISTINCT view.relname::text AS name FROM pg_class AS view
        JOIN pg_rewrite ON ev_class = view.oid
        JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid AND refclassid = 'pg_class'::regclass
        JOIN pg_class AS moved ON moved.oid = refobjid AND moved.relnamespace = to_regnamespace(quote_ident($1))
      WHERE view.relnamespace = to_regnamespace($2) AND view.relkind = 'v'
        AND obj_description(view.oid, 'pg_class') LIKE 'Holdfast: %'
      ORDER BY name`,
    [home, FORMER_SCHEMA],
  )) as { name: string }[]
  if (views.length === 0) return { views: [], neededBy: [] }
  const neededBy = (await runningProcesses(ask, home)).filter(({ migration }) => migration < OWN_SCHEMA)
  return { views: views.map(({ name }) => identifier(name)), neededBy }
}

/** Takes them away; the tables that they lead to stay. */
export function dropViews(views: readonly string[]): string {
  return `DROP VIEW ${views.map(name => `${FORMER_SCHEMA}.${name}`).join(', ')};`
}
