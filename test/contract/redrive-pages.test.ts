import { afterAll, beforeAll, describe } from 'vitest'
import { type MigratedDatabase, migratedDatabase } from '../support/database.ts'
import { memoryRedriveHarness, postgresRedriveHarness } from '../support/redrive-harness.ts'
import { redrivePagesSuite } from './redrive-pages.suite.ts'

describe('pages of a redrive in memory', () => {
  redrivePagesSuite(async () => memoryRedriveHarness())
})

describe.each([
  ['the upsert', Number.POSITIVE_INFINITY],
  ['COPY', 1],
])('pages of a redrive in Postgres, by %s', (_, copyFrom) => {
  let database: MigratedDatabase
  beforeAll(async () => {
    database = await migratedDatabase()
  })
  afterAll(() => database[Symbol.asyncDispose]())

  redrivePagesSuite(() => postgresRedriveHarness(database.pool, copyFrom))
})
