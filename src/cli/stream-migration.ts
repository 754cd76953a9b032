import type { StreamPlan } from '../engine/definition/plan.ts'
import { StreamError } from '../engine/errors.ts'
import { foundElsewhere } from '../engine/postgres/live-tables.ts'
import type { MigrationSql } from '../engine/postgres/wanted-tables.ts'
import { loadConfig } from '../settings/config.ts'
import { loadStreams, streamNamed } from '../settings/streams.ts'
import { CommandFailed } from './failure.ts'
import { note, print } from './output.ts'
import { allTables, type ComparedTables, compareTables, dividedTables, joined, migrationFile } from './stream-tables.ts'

interface MigrationOptions {
  readonly down?: boolean
  readonly offline?: boolean
  readonly partitions?: number
}

/**
 * Prints the SQL that makes the tables of a stream, or what is missing where the database has some of them.
 * @throws CommandFailed (4) when the database could not be asked which it has
 */
export async function migration(name: string, { down, offline, partitions }: MigrationOptions): Promise<void> {
  const config = loadConfig(process.env)
  const { plan } = streamNamed(await loadStreams(config, process.env), name)
  const compared = offline ? undefined : await compareTables(config.postgres, plan)
  if (compared instanceof StreamError) {
    throw new CommandFailed('the database could not be asked which tables it has; --offline prints the SQL of all', {
      exitCode: 4,
      cause: compared,
    })
  }
  if (compared?.exist === false) for (const clause of foundElsewhere(compared.live)) note(clause)
  const sql = compared?.exist ? changeOf(name, plan, compared, partitions) : allTables(plan, partitions)
  if (sql !== undefined) print(down ? sql.down : migrationFile(sql).trimEnd())
}

/** SQL for tables that are there. `undefined`: there is nothing to do, which was said. */
function changeOf(
  name: string,
  plan: StreamPlan,
  { differences, live }: ComparedTables,
  partitions: number | undefined,
): MigrationSql | undefined {
  if (partitions === undefined) {
    if (differences.length === 0) {
      note(`nothing to do: the tables of ${name} are as the definition needs them`)
      return undefined
    }
    for (const { what } of differences) note(what)
    return joined(differences.map(difference => difference.sql))
  }
  if (differences.length > 0) {
    throw new CommandFailed(
      `the tables of ${name} are not as the definition needs them: apply "holdfast stream migration ${name}" first, without --partitions`,
    )
  }
  const sql = dividedTables(plan, live, partitions)
  if (sql === undefined) note(`nothing to do: the tables of ${name} are partitioned`)
  else
    note(
      'apply it while no service runs: each table is copied, and neither read nor written meanwhile; rights and triggers are not copied',
    )
  return sql
}
