import { expect, it } from 'vitest'
import { lockOrders, settling } from '../support/locks.ts'
import { differences, fingerprint, generated, modelOf } from '../support/model.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { watchForStepsBack } from '../support/steps-back.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const PARTITIONS = 2
const env = {
  // The least that a broker allows: so long it takes until a frozen member is given up.
  KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1000',
  // Also how long Postgres lets a transaction wait for a process that says nothing; half of it, how long that waits for our lock: longer
  // than this test may be held up between seeing both wait and freezing them.
  PG_STATEMENT_TIMEOUT_MS: '14000',
}

it('frozen inside a transaction beyond its session: nothing goes back, and it finds its way', async () => {
  // Given a process that settles, and newer versions of its orders that wait in its transactions for a lock of ours
  const stream = await aStream({ partitions: PARTITIONS })
  const records = generated(300, { seed: 41, updatesRatio: 0.6 })
  const [first, second, third] = [records.slice(0, 100), records.slice(100, 200), records.slice(200)]
  const zombie = await startService({ ...stream, env })
  await stream.produce(first)
  await eventually(async () => (await stream.committed()) === 100, 'the first orders being committed')
  const watch = await watchForStepsBack(stream)
  const lock = await lockOrders(stream)
  await stream.produce(second)
  await eventually(
    async () => (await settling(stream, 'waits for a lock')) === PARTITIONS,
    'both lanes in transactions',
  )

  // When it is frozen there: its orders are written, and nobody comes to commit them
  zombie.kill('SIGSTOP')
  await lock.release()
  await eventually(
    async () => (await settling(stream, 'idle')) === PARTITIONS,
    'transactions waiting for their process',
  )
  expect(await stream.settled()).toBe(100)

  // Then another process takes over: it is not held up by what the frozen one had locked, and goes on to newer versions
  const heir = await startService({ ...stream, env })
  await stream.produce(third)
  await eventually(async () => (await stream.committed()) === 300, 'the other one having settled and committed all')
  expect(await stream.settled()).toBe(300)
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 300, duplicate: 0, stale: 0 })
  const taken = await fingerprint(stream)

  // And when the frozen one wakes, it learns that it has lost all, gets a share again as any newcomer
  zombie.kill('SIGCONT')
  await eventually(() => zombie.log.some(({ event, lost }) => event === 'revoked' && lost === true), 'its losing all')
  await eventually(() => heir.log.some(({ event }) => event === 'revoked'), 'the other one handing a share over')
  await eventually(() => isReady(zombie), 'its being ready again')

  // And not a byte in the tables was touched, nor an offset moved
  expect(await fingerprint(stream)).toBe(taken)
  expect(await stream.committed()).toBe(300)
  await stream.produce(generated(100, { seed: 42 }))
  await eventually(async () => (await stream.settled()) === 400, 'both working on')
  expect(await watch.end()).toEqual([])
  expect(watch.looks).toBeGreaterThan(10)
  expect(await differences(stream, modelOf([...records, ...generated(100, { seed: 42 })]))).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await zombie.stop()).toBe(0)
  expect(await heir.stop()).toBe(0)
})
