import { StreamError } from '../engine/errors.ts'
import { loadConfig } from '../settings/config.ts'
import { loadStreams, streamNamed } from '../settings/streams.ts'
import { CommandFailed } from './failure.ts'
import { note, print } from './output.ts'
import { allTables, compareTables, joined, migrationFile } from './stream-tables.ts'

interface MigrationOptions {
  readonly down?: boolean
  readonly offline?: boolean
}

/**
 * Prints the SQL that makes the tables of a stream, or what is missing where the database has some of them.
 * @throws CommandFailed (4) when the database could not be asked which it has
 */
export async function migration(name: string, { down, offline }: MigrationOptions): Promise<void> {
  const config = loadConfig(process.env)
  const { plan } = streamNamed(await loadStreams(config, process.env), name)
  const compared = offline ? undefined : await compareTables(config.postgres, plan)
  if (compared instanceof StreamError) {
    throw new CommandFailed('the database could not be asked which tables it has; --offline prints the SQL of all', {
      exitCode: 4,
      cause: compared,
    })
  }
  if (compared?.exist && compared.differences.length === 0) {
    return note(`nothing to do: the tables of ${name} are as the definition needs them`)
  }
  const sql = compared?.exist ? joined(compared.differences.map(difference => difference.sql)) : allTables(plan)
  if (compared?.exist) for (const { what } of compared.differences) note(what)
  print(down ? sql.down : migrationFile(sql).trimEnd())
}
