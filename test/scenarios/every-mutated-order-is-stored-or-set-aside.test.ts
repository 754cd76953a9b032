import fc from 'fast-check'
import { expect, it } from 'vitest'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { differences } from '../support/model.ts'
import { comparable, expectedOf, mutatedOrder } from '../support/mutations.ts'
import type { Order } from '../support/order.ts'
import { aHeader } from '../support/records.ts'
import { ask, eventually, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const RECORDS = 400
/** Any will do; a failure names it, so that it can be set here. */
const SEED = Number(process.env.MUTATION_SEED ?? Date.now() % 1_000_000)

it(`of ${RECORDS} orders mutated from seed ${SEED}, and the process lives`, async () => {
  // Given orders whose structure, text and bytes are changed in some places
  const stream = await aStream({ partitions: 3 })
  const values = Array.from({ length: RECORDS }, (_, i) => {
    const [value] = fc.sample(mutatedOrder(`mutated-${i}`), { numRuns: 1, seed: SEED + i })
    if (value === undefined) throw new Error('a sample of one was asked for')
    return value
  })
  const places = await stream.produce(
    values.map((value, i) => ({
      value,
      key: Buffer.from(String(i)),
      partition: i % 3,
      headers: [aHeader('number', String(i))],
      timestampMs: 1_700_000_000_000 + i,
    })),
  )

  // When the service reads them
  const service = await startService(stream)
  await eventually(async () => (await stream.settled()) === RECORDS, 'all of them being settled')

  // Then a dead letter is what its record was
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  const byId = new Map(letters.map(letter => [addedText(letter, 'id'), letter]))
  expect(byId.size).toBe(letters.length)
  const orders = new Map<string, Order>()
  for (const [i, value] of values.entries()) {
    const { partition, offset } = places[i] ?? { partition: -1, offset: -1n }
    const letter = byId.get(`${stream.topic}-${partition}-${offset}`)
    if (letter === undefined) {
      // Of the same uid (a mutation may well make two alike) the later one counts: its timestamp is later.
      const order = expectedOf(value)
      orders.set(order.order_uid, order)
      continue
    }
    expect(letter.original.value?.equals(value), `record ${i} of seed ${SEED}`).toBe(true)
    expect(letter.original.key).toEqual(Buffer.from(String(i)))
    expect(letter.original.headers).toEqual([aHeader('number', String(i))])
  }

  // And every other record is stored as it stood, in the tables and through the API
  expect(orders.size).toBeGreaterThan(RECORDS / 10)
  expect(letters.length).toBeGreaterThan(RECORDS / 4)
  expect(await differences(stream, { orders }), `seed ${SEED}`).toEqual([])
  for (const [uid, order] of orders) {
    const { status, body } = await ask(service, `/order/${uid}`)
    expect(status, uid).toBe(200)
    expect(comparable(JSON.parse(body)), uid).toEqual(comparable(order))
  }

  // And the process is the same as before
  expect((await ask(service, '/livez')).status).toBe(200)
  await eventually(async () => (await stream.committed()) === RECORDS, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})
