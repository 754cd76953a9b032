import { describe } from 'vitest'
import { settlementFaultsSuite } from './settlement-faults.suite.ts'

describe.each([
  ['the upsert', Number.POSITIVE_INFINITY],
  ['COPY', 1],
])('by %s', (_, copyFrom) => settlementFaultsSuite(copyFrom))
