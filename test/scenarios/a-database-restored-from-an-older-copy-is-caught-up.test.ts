import { execFileSync } from 'node:child_process'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const orders = generated(200, { seed: 77, updatesRatio: 0.4 })

it('reads again what the copy lacks, though nothing new comes, and what it has in memory does not hide it', async () => {
  // Given a service, and a copy of its database that was made half way
  const postgres = await ownPostgres()
  const stream = await aStream({ partitions: 2, databaseUrl: postgres.url })
  const service = await startService({ ...stream, env: { RETRY_MAX_MS: '1000' } })
  await stream.produce([...orders.slice(0, 100), ...brokenOrders(2, { prefix: 'before', partitions: 2 })])
  await eventually(async () => (await stream.committed()) === 102, 'the first half being committed')
  const data = join(postgres.dir, 'data')
  await postgres.stop()
  // (with its owner, who is not root)
  execFileSync('cp', ['-a', data, `${data}.copy`])
  await postgres.restart()
  await eventually(() => isReady(service), 'readiness after the copy')
  await stream.produce([...orders.slice(100), ...brokenOrders(2, { prefix: 'after', partitions: 2 })])
  await eventually(async () => (await stream.committed()) === 204, 'the second half being committed')

  // When that copy takes the place of the database
  await postgres.stop()
  renameSync(data, `${data}.lost`)
  renameSync(`${data}.copy`, data)
  await postgres.restart()

  // Then progress, which went back with it, comes forward again, without a record more in the topic
  await eventually(async () => (await stream.settled()) === 204, 'the second half being settled once more')
  expect(service.log.filter(({ event }) => event === 'progress_set_back').length).toBeGreaterThan(0)
  await eventually(() => isReady(service), 'readiness')
  expect(await differences(stream, modelOf(orders))).toEqual([])
  for (const { uid, value } of orders.slice(-20)) {
    const newest = orders.findLast(order => order.uid === uid)
    if (newest?.value !== value) continue
    const { body } = await ask(service, `/order/${uid}`)
    expect(JSON.parse(body).payment).toEqual(JSON.parse(String(value)).payment)
  }

  // And those dead letters stand twice in their topic, with the same id, and once in the index
  const ids = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter).map(letter => addedText(letter, 'id'))
  expect(ids.length).toBe(6)
  expect(new Set(ids).size).toBe(4)
  const [letters] = await stream.query<{ n: number }>('SELECT count(*)::int AS n FROM dead_letters')
  expect(letters?.n).toBe(4)
  await eventually(async () => (await stream.committed()) === 204, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})
