import { expect, it } from 'vitest'
import { watchHeldUp } from '../support/held-up.ts'
import { lockOrder, lockOrders, settling } from '../support/locks.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'

streamTools()

// A lock is waited for half as long.
const env = { PG_POOL_MAX: '2', PG_STATEMENT_TIMEOUT_MS: '2000' }

it('goes on with five of six partitions while another session locks one order, names the lock, and ends the wait at once', async () => {
  // Given a service with fewer connections than partitions, and one order that another session holds
  const stream = await aStream({ partitions: 6 })
  const records = generated(300, { seed: 81 }).map((record, i) => ({ ...record, partition: i % 6 }))
  await stream.produce(records)
  const service = await startService({ ...stream, env })
  await eventually(async () => (await stream.committed()) === 300, 'the first versions')
  const [row] = await stream.query<{ uid: string }>(
    'SELECT order_uid AS uid FROM orders WHERE source_partition = 0 ORDER BY source_offset DESC LIMIT 1',
  )
  const lock = await lockOrder(stream, row?.uid ?? '')

  // When all orders come again
  await stream.produce(records)

  // Then five partitions go on, and readiness names the sixth and what to look at
  await eventually(async () => (await stream.committed()) >= 550, 'five partitions being settled')
  const wanted = ['the batch of partition 0 is tried again and again', '55P03', 'pg_blocking_pids']
  await eventually(async () => {
    const { status, body } = await ask(service, '/readyz?verbose')
    return status === 503 && wanted.every(text => body.includes(text))
  }, 'readiness naming it')
  expect(await stream.committed()).toBeLessThan(600)
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })

  // And soon after the lock goes, it is through
  await lock.release()
  const releasedAt = performance.now()
  const heldUpMs = watchHeldUp()
  await eventually(async () => (await stream.committed()) === 600, 'the sixth')
  expect(performance.now() - releasedAt).toBeLessThan(10_000 + heldUpMs())
  await eventually(() => isReady(service), 'its being ready')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await service.stop()).toBe(0)
})

it('condemns no record for processes that are killed while it waits for a lock', async () => {
  // Given orders that no transaction can write, because another session holds the table
  const stream = await aStream({ partitions: 1 })
  const records = generated(6, { seed: 82 })
  await stream.produce(records)
  const lock = await lockOrders(stream)
  const killed = {
    ...env,
    CRASH_LOOP_MAX_STARTS: '2',
    KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1000,group.instance.id=the-one',
  }

  // When a process is killed again and again while it waits
  for (let kills = 0; kills < 3; kills++) await killWhileItWaits(stream, killed)
  await lock.release()

  // Then each of the orders is stored
  const service: Service = await startService({ ...stream, env: killed })
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  expect(await stream.query('SELECT reason FROM holdfast.dead_letters')).toEqual([])
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await service.stop()).toBe(0)
})

async function killWhileItWaits(stream: Stream, killed: Readonly<Record<string, string>>): Promise<void> {
  const service = await startService({ ...stream, env: killed })
  await eventually(async () => (await settling(stream, 'waits for a lock')) > 0, 'its waiting for the lock')
  service.kill('SIGKILL')
  await service.exited
  await eventually(async () => (await settling(stream, 'waits for a lock')) === 0, 'the end of its session')
}
