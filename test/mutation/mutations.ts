import { BOOKS_FAULTS } from './faults-books.ts'
import { ENGINE_FAULTS } from './faults-engine.ts'
import { INBOX_FAULTS } from './faults-inbox.ts'
import { POSTGRES_FAULTS } from './faults-postgres.ts'
import { READ_FAULTS } from './faults-read.ts'
import { RUN_FAULTS } from './faults-run.ts'
import { VALUES_FAULTS } from './faults-values.ts'
import type { Mutation } from './mutation.ts'

export const MUTATIONS: readonly Mutation[] = [
  ...RUN_FAULTS,
  ...ENGINE_FAULTS,
  ...VALUES_FAULTS,
  ...READ_FAULTS,
  ...POSTGRES_FAULTS,
  ...BOOKS_FAULTS,
  ...INBOX_FAULTS,
]
