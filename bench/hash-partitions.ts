/** The shape `hash-partitions`: the tables of orders in parts, by a hash of the key. */
import { compareTables, dividedTables } from '#src/cli/stream-tables.ts'
import { orderPlan } from '../test/support/order-stream.ts'
import type { Backlog } from './backlog.ts'
import { DRAIN, limitContenders, serviceContender } from './contenders.ts'
import { ask, migrated } from './database.ts'
import type { ShapeResult } from './figures.ts'
import { median, quotients } from './measurement.ts'
import { type Bench, type Contender, takeTurns } from './rounds.ts'

export const PARTS = 8
const suffix = `, ${PARTS} parts`

/** The service and PostgreSQL alone, on whole tables and on partitioned ones. */
export async function measureHashPartitions(
  bench: Bench,
  backlog: Backlog,
): Promise<Omit<ShapeResult, 'shape' | 'orders'>> {
  const whole = [...limitContenders(bench, backlog), serviceContender(bench, backlog, { name: DRAIN })]
  const measurements = await takeTurns(bench, 'hash-partitions', [...whole, ...whole.map(onParts)])
  const further = Object.fromEntries(
    whole.map(({ name }) => [
      `${name.replaceAll(' ', '_')}_on_parts`,
      median(quotients(measurements, `${name}${suffix}`, name)),
    ]),
  )
  return { bases: [DRAIN], measurements, further, failures: [] }
}

function onParts({ name, work }: Contender): Contender {
  return {
    name: `${name}${suffix}`,
    async prepare(databaseUrl) {
      await migrated(databaseUrl)
      const compared = await compareTables(
        { url: databaseUrl, schema: 'holdfast', statementTimeoutMs: 10_000 },
        orderPlan,
      )
      const sql = compared instanceof Error ? undefined : dividedTables(orderPlan, compared.live, PARTS)
      if (sql === undefined) throw new Error('the tables of orders cannot be divided', { cause: compared })
      await ask(databaseUrl, sql.up)
    },
    work: async (databaseUrl, run) =>
      (await work(databaseUrl, run)).map(done => ({ ...done, contender: `${done.contender}${suffix}` })),
  }
}
