import { describe } from 'vitest'
import { recordSourceSuite } from '../../contract/record-source.suite.ts'
import { createMemorySource } from '../../support/memory-source.ts'

describe('the stand-in of the group consumer', () => {
  recordSourceSuite(async () => {
    const source = createMemorySource()
    source.give(0, 1)
    return {
      topic: 'orders',
      source,
      append: async (partition, ...texts) => source.append(partition, ...texts),
      async another() {
        void source.takeAway(1)
        return { leave: async () => source.give(1) }
      },
      async lose() {
        source.lose(0, 1)
        source.give(0, 1)
      },
    }
  })
})
