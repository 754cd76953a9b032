import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

it('answers from memory after a restart, without traffic and without asking the database', async () => {
  // Given orders that one process wrote before it ended
  const stream = await aStream()
  const records = generated(120, { seed: 7, updatesRatio: 0.2 })
  const model = modelOf(records)
  const first = await startService(stream)
  await stream.produce(records)
  // What is committed is in the cache as well; what is settled may not be there yet.
  await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
  const etags = new Map<string, string | null>()
  for (const uid of model.orders.keys()) {
    etags.set(uid, (await fetch(`${first.url}/order/${uid}`)).headers.get('etag'))
  }
  expect(await first.stop()).toBe(0)

  // When another one starts, and has warmed its cache
  const second = await startService(stream)
  const warmed = await eventually(
    () => second.log.find(({ event }) => event === 'cache_warmed'),
    'the cache being warm',
  )
  expect(warmed.entries).toBe(model.orders.size)

  // Then every order is answered from there, though nobody may read the tables, with the same bytes as before
  const lock = new pg.Client({ connectionString: stream.databaseUrl })
  await lock.connect()
  onTestFinished(() => lock.end())
  await lock.query('BEGIN')
  await lock.query('LOCK TABLE orders, deliveries, payments, items IN ACCESS EXCLUSIVE MODE')
  const answered = (result: string) => second.metric('cache_requests_total', { result })
  async function isAnsweredFromMemory(): Promise<boolean> {
    const before = await answered('hit')
    for (const uid of model.orders.keys()) {
      const response = await fetch(`${second.url}/order/${uid}`)
      expect(response.status).toBe(200)
      expect(response.headers.get('cache-status')).toMatch(/^holdfast; hit/)
      expect(response.headers.get('etag')).toBe(etags.get(uid))
      expect(await response.json()).toMatchObject({ order_uid: uid })
    }
    return (await answered('hit')) - before === model.orders.size
  }
  // (Not the first time where it was not let run for a second: it asks whether what it holds is the latest, and does
  // without an answer.)
  await eventually(isAnsweredFromMemory, 'all of them being answered without a question')
  expect(await answered('miss')).toBe(0)
  await lock.query('ROLLBACK')

  // And the restart kept the orders, and moved nothing
  expect(await differences(stream, model)).toEqual([])
  expect(await stream.settled()).toBe(records.length)
  expect(await stream.findings()).toEqual([])
})
