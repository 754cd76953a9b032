import { expect, it } from 'vitest'
import { createOwnedPartition } from '#src/engine/run/partition.ts'
import { createReception } from '#src/engine/run/receive.ts'
import { createViews } from '#src/engine/watch/view.ts'
import { createMemorySource } from '../../../support/memory-source.ts'
import { aRecord } from '../../../support/records.ts'

const never = new Promise<never>(() => {})
const records = [0n, 1n, 2n].map(offset => aRecord({ offset }))

function aReception() {
  return createReception({
    views: createViews(),
    source: createMemorySource(),
    startRun: () => ({ wake() {}, stop() {}, ended: never, left: never }),
    observer: { observe() {} },
    maxRecords: 3,
    maxBytes: 1_000_000,
    storeAway: () => false,
    overfull: () => false,
  })
}

it('does not count what a partition holds that waits: the others flow on', () => {
  const reception = aReception()
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 0n })
  reception.add(partition)
  reception.route(records, 0)
  expect(reception.full()).toBe(true)
  partition.waitsForOperator = { reason: 'storm_guard', because: 'too many' }
  reception.applyPauses(0)
  expect(reception.full()).toBe(false)
})

it('drops records of a partition whose position is not known', () => {
  const reception = aReception()
  const unlocated = new Error('no leader')
  const partition = createOwnedPartition({ topic: 'orders', partition: 0, nextOffset: 0n, unlocated })
  reception.add(partition)
  reception.route(records, 0)
  expect(partition.bufferedRecords).toBe(0)
})
