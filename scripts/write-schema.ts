import { writeFileSync } from 'node:fs'
import { orderSchema } from '../src/streams/orders/schema.ts'

/**
 * Writes the schema for readers that are not TypeScript: `node scripts/write-schema.ts`. A test fails when the file and
 * the module drift apart.
 */
writeFileSync(
  new URL('../schemas/order.schema.json', import.meta.url),
  `${JSON.stringify(orderSchema, undefined, 2)}\n`,
)
