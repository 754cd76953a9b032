import { expect, it } from 'vitest'
import { lockOrder, settling } from '../support/locks.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { watchForStepsBack } from '../support/steps-back.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

/** How long a partition that is taken away may go on settling (`DRAIN_TIMEOUT_MS` of the service). */
const DRAIN_BOUND_MS = 10_000
const env = {
  // It hears of the rebalance soon, and does not lose its membership by a pause of the machine: it is to let go by itself.
  KAFKA_CONFIG: 'session.timeout.ms=30000,heartbeat.interval.ms=500',
  // A lock is waited for half as long: longer than the drain, so that it is the drain that gives up.
  PG_STATEMENT_TIMEOUT_MS: '60000',
}

it('gives the partition up uncommitted when a batch cannot end, and the next owner settles it once', async () => {
  // Given a process with two partitions, one of which has a batch that waits for the lock of one row
  const stream = await aStream({ partitions: 2 })
  const first = generated(50, { seed: 71 })
  const owner = await startService({ ...stream, env })
  await stream.produce(first)
  await eventually(async () => (await stream.committed()) === 50, 'the first orders being committed')
  const watch = await watchForStepsBack(stream)
  const locks = await Promise.all(
    // Of each partition, as nobody knows which of them the group will take away; and its first, so that no batch goes before
    [0, 1].map(async partition => {
      const [row] = await stream.query<{ uid: string }>(
        'SELECT order_uid AS uid FROM orders WHERE source_partition = $1 ORDER BY source_offset LIMIT 1',
        [partition],
      )
      return await lockOrder(stream, row?.uid ?? '')
    }),
  )
  await stream.produce(first)
  await eventually(async () => (await settling(stream, 'waits for a lock')) === 2, 'both lanes waiting')

  // When a second process joins, then the first one lets go after its bound: undrained, and without a commit
  const joinedAt = performance.now()
  const heir = await startService({ ...stream, env })
  const revoked = await eventually(() => owner.log.find(({ event }) => event === 'revoked'), 'its letting go')
  expect(performance.now() - joinedAt).toBeGreaterThan(DRAIN_BOUND_MS - 1_000)
  expect(revoked).toMatchObject({ drained: false, lost: false })
  expect(await stream.committed()).toBe(50)

  // And when the lock goes, both old and new owner could write that batch: it is settled once
  await eventually(
    () => heir.log.some(({ event, positions }) => event === 'assigned' && (positions as unknown[]).length > 0),
    'its heir',
  )
  for (const lock of locks) await lock.release()
  await eventually(async () => (await stream.committed()) === 100, 'all of them being committed')
  const ledger = await stream.ledger()
  expect(totalOf(ledger)).toMatchObject({ offsets: 100, records: 100, written: 100, duplicate: 0 })
  expect(await watch.end()).toEqual([])
  expect(await differences(stream, modelOf(first))).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await owner.stop()).toBe(0)
  expect(await heir.stop()).toBe(0)
})
