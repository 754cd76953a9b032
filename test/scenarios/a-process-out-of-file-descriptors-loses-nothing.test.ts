import { connect, type Socket } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const orders = generated(300, { seed: 35, updatesRatio: 0.3 })

it('with too few to start, ends with an error, and leaves nothing half done', async () => {
  const stream = await aStream({ partitions: 2 })
  await stream.produce(orders.slice(0, 10))
  await expect(startService({ ...stream, openFiles: 20 })).rejects.toThrow(/the service ended with [1-9]/)
  expect(await stream.settled()).toBe(0)
  expect(await stream.committed()).toBe(0)
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
})

it('with none left, because clients hold them all, waits and goes on when they leave', async () => {
  // Given a service at work, with little room for connections
  const stream = await aStream({ partitions: 2 })
  const service = await startService({ ...stream, openFiles: 110, env: { RETRY_MAX_MS: '1000' } })
  await stream.produce(orders.slice(0, 100))
  await eventually(async () => (await stream.settled()) === 100, 'the first orders being settled')

  // When silent clients take all that is left, again and again, and its connections to Postgres break
  const clients = crowd(service, 300)
  await stream.produce(orders.slice(100, 200))
  await eventually(async () => {
    await stream.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
         AND application_name LIKE 'holdfast-%' AND application_name NOT LIKE 'holdfast-test/%'`,
    )
    await stream.produce([orders[200], orders[201]].flatMap(order => order ?? []))
    return service.log.some(({ error }) => JSON.stringify(error ?? '').includes('EMFILE'))
  }, 'its being out of file descriptors')

  // Then nothing is blamed on a record, and all goes on once they have gone
  clients.leave()
  await stream.produce(orders.slice(200))
  const produced = (await stream.readAll(stream.topic)).length
  await eventually(async () => (await stream.committed()) === produced, 'all of it being committed')
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, modelOf(orders))).toEqual([])
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

/** So many clients that connect and say nothing; who is refused comes again. */
function crowd(service: Service, count: number): { leave(): void } {
  const { port } = new URL(service.url)
  const clients = new Set<Socket>()
  let left = false
  function come(): void {
    if (left) return
    const client = connect(Number(port), '127.0.0.1')
    clients.add(client)
    client.on('error', () => {})
    client.on('close', () => {
      clients.delete(client)
      setTimeout(come, 10)
    })
  }
  for (let i = 0; i < count; i++) come()
  const leave = () => {
    left = true
    for (const client of clients) client.destroy()
  }
  onTestFinished(leave)
  return { leave }
}
