import { describe } from 'vitest'
import { deadLetterStoreSuite } from '../../contract/dead-letter-store.suite.ts'
import { letterRows } from '../../support/letters.ts'
import { createMemoryLetters, toLetter } from '../../support/memory-letters.ts'

describe('the stand-in of the index of dead letters', () => {
  deadLetterStoreSuite(async () => {
    const { store, rows, now } = createMemoryLetters()
    return {
      store,
      async insert(...letters) {
        for (const letter of letterRows(letters).map(toLetter)) rows.set(letter.id, letter)
      },
      states: async () => Object.fromEntries([...rows.values()].map(({ id, state }) => [id, state])),
      nowMs: now,
    }
  })
})
