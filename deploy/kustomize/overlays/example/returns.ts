import { defineStream } from 'holdfast'

const schema = {
  type: 'object',
  required: ['return_id', 'created_at'],
  properties: {
    return_id: { type: 'string', pattern: '^[A-Za-z0-9-]{1,64}$' },
    created_at: { type: 'string', format: 'date-time' },
    reason: { type: 'string', maxLength: 200 },
  },
} as const

export default defineStream({
  name: 'returns',
  schema,
  key: '/return_id',
  tables: { returns: {} },
  list: { newest: '/created_at' },
})
