import { MIGRATION_TABLES, SHARED_TABLES } from '../postgres/schema.ts'

/** Tables of the engine and of the inbox, and of the library that runs migrations: no stream may have one of these names. */
export const ENGINE_TABLES: ReadonlySet<string> = new Set([...SHARED_TABLES, ...Object.values(MIGRATION_TABLES)])

/** Parts of the statements that write a value (`postgres/tables.ts`): a table of such a name would be taken for the part. */
export const STATEMENT_NAMES: ReadonlySet<string> = new Set(['excluded', 'kept', 'written'])
