/** The shape `hash-partitions`: the tables of orders in parts, by a hash of the key. */
import { identifier } from '#src/engine/postgres/identifiers.ts'
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
      for (const { name: table } of [orderPlan.root, ...orderPlan.children]) await ask(databaseUrl, partition(table))
    },
    work: async (databaseUrl, run) =>
      (await work(databaseUrl, run)).map(done => ({ ...done, contender: `${done.contender}${suffix}` })),
  }
}

/** The table is empty: one like it, in parts, takes its place, with its columns, primary key and indexes. */
function partition(table: string): string {
  const name = identifier(table)
  const whole = identifier(`${table}_whole`)
  const parts = Array.from(
    { length: PARTS },
    (_, part) =>
      `CREATE TABLE ${identifier(`${table}_${part}`)} PARTITION OF ${name} FOR VALUES WITH (MODULUS ${PARTS}, REMAINDER ${part});`,
  )
  return `ALTER TABLE ${name} RENAME TO ${whole};
    CREATE TABLE ${name} (LIKE ${whole} INCLUDING ALL) PARTITION BY HASH (${identifier(orderPlan.key.column)});
    ${parts.join('\n')}
    DROP TABLE ${whole};`
}
