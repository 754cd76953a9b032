import { defineStream } from '#src/engine/definition.ts'
import { orders } from '#src/streams/orders/definition.ts'

/** A stream beside orders, of the smallest useful kind. Its topics and its group come from the environment, as those of orders do. */
export const returns = defineStream({
  name: 'returns',
  settings: { topic: 'RETURNS_TOPIC', dlqTopic: 'RETURNS_DLQ_TOPIC', group: 'RETURNS_GROUP_ID' },
  schema: {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    type: 'object',
    required: ['return_id', 'created_at', 'reason', 'lines'],
    properties: {
      return_id: { type: 'string', minLength: 1, maxLength: 64 },
      created_at: { type: 'string', format: 'date-time' },
      reason: { type: 'string' },
      lines: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['sku', 'quantity'],
          properties: { sku: { type: 'string' }, quantity: { type: 'integer', minimum: 1 } },
        },
      },
    },
  },
  key: '/return_id',
  tables: { returns: {}, return_lines: { each: '/lines' } },
  list: { newest: '/created_at' },
})

export default { streams: [orders, returns] }
