import { isDeepStrictEqual } from 'node:util'
import type { World } from '../support/faults/world.ts'
import { differences } from '../support/model.ts'
import type { Order } from '../support/order.ts'

/** What a run does with a stream of the service. */
export interface StreamUnderChaos {
  readonly partitions: number
  /** Its records in a second, as a part of the run's rate. */
  readonly rate: number
  /** How its rows differ from these values, by key: a sentence for each that differs. Reads the columns by a query of its own. */
  differences(world: World, values: ReadonlyMap<string, unknown>): Promise<string[]>
}

/** By name: those of test/support/two-streams.config.ts. The second one is slower, and has fewer partitions. */
const STREAMS: Readonly<Record<string, StreamUnderChaos>> = {
  orders: { partitions: 6, rate: 1, differences: orderDifferences },
  returns: { partitions: 3, rate: 0.25, differences: returnDifferences },
}

export const PARTITIONS = Object.fromEntries(
  Object.entries(STREAMS).map(([name, { partitions }]) => [name, partitions]),
)

/** @throws RangeError */
export function underChaos(name: string): StreamUnderChaos {
  const found = STREAMS[name]
  if (found === undefined) throw new RangeError(`the run has no model of the stream ${name}`)
  return found
}

function orderDifferences(world: World, orders: ReadonlyMap<string, Order>): Promise<string[]> {
  return differences(world, { orders }, [...orders.keys()])
}

interface Return {
  readonly return_id: string
  readonly created_at: string
  readonly reason: string
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[]
}

async function returnDifferences({ query }: World, values: ReadonlyMap<string, Return>): Promise<string[]> {
  const rows = await query<{ key: string; micros: string; reason: string; lines: unknown[] | null }>(
    `SELECT return_id AS key, (extract(epoch FROM created_at) * 1000000)::bigint AS micros, reason,
       (SELECT jsonb_agg(jsonb_build_array(position, sku, quantity) ORDER BY position)
        FROM return_lines WHERE return_lines.return_id = returns.return_id) AS lines
     FROM returns WHERE return_id = ANY($1)`,
    [[...values.keys()]],
  )
  const stored = new Map(rows.map(row => [row.key, row]))
  return [...values].flatMap(([key, { created_at, reason, lines }]) => {
    const micros = String(BigInt(Date.parse(created_at)) * 1000n)
    const wanted = { key, micros, reason, lines: lines.map(({ sku, quantity }, position) => [position, sku, quantity]) }
    if (!stored.has(key)) return [`${key} is not stored`]
    return isDeepStrictEqual(stored.get(key), wanted) ? [] : [`${key} is stored otherwise than its newest version`]
  })
}
