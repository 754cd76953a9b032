import { describe } from 'vitest'
import { redrivesSuite } from '../../contract/redrives.suite.ts'
import { letterRows } from '../../support/letters.ts'
import { createMemoryLetters, toLetter } from '../../support/memory-letters.ts'
import { createMemoryRedrives } from '../../support/memory-redrives.ts'

describe('the stand-in of redrives', () => {
  redrivesSuite(async () => {
    const letters = createMemoryLetters()
    const passing = new Set<string>()
    const gone = new Set<string>()
    const { port, membersOf } = createMemoryRedrives({
      letters,
      passes: id => (gone.has(id) ? undefined : passing.has(id)),
      topics: ['orders', 'orders.dlq'],
    })
    return {
      redrives: port,
      async insert(...rows) {
        for (const letter of letterRows(rows).map(toLetter)) letters.rows.set(letter.id, letter)
      },
      membersOf: async id => membersOf(id),
      audit: letters.store.audit,
      passing,
      gone,
    }
  })
})
