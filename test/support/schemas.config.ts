import { returns } from './two-streams.config.ts'

/** Two streams whose tables have the same names, in schemas of their own. */
export default {
  streams: [
    { ...returns, tablesIn: 'shop' },
    {
      ...returns,
      name: 'repairs',
      settings: { topic: 'REPAIRS_TOPIC', dlqTopic: 'REPAIRS_DLQ_TOPIC', group: 'REPAIRS_GROUP_ID' },
      tablesIn: 'Work Shop',
    },
  ],
}
