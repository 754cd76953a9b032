import { RecordRefusedError, StoreMisconfiguredError, StoreRejectedError } from '../errors.ts'
import type { Tables } from '../value-sql.ts'
import { encodeColumn } from './binary.ts'
import { pipelined, transaction } from './pool.ts'

/**
 * Writes no row, in a transaction that is rolled back: the server checks tables, columns, types and rights all the same.
 * @throws StoreMisconfiguredError naming what is missing; StoreUnavailableError, StoreContendedError
 */
export async function tryEmptyWrite<T>(
  pool: Parameters<typeof transaction>[0],
  tables: Pick<Tables<T>, 'upsert'>,
): Promise<void> {
  const { text, columns } = tables.upsert([])
  try {
    await transaction(pool, client => pipelined(client, ['BEGIN', { text, values: columns.map(encodeColumn) }]))
  } catch (error) {
    if (!(error instanceof RecordRefusedError || error instanceof StoreRejectedError)) throw error
    throw new StoreMisconfiguredError(`Postgres rejects a write without rows: ${error.what}`, {
      cause: error,
      remedy: error.remedy,
    })
  }
}
