import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

const MODEL = JSON.parse(readFileSync(new URL('../../data/model.json', import.meta.url), 'utf8'))
const JSON_TYPE = { 'Content-Type': 'application/json' }

streamTools()

it('is stored by the consumer, whichever process took it, and the answer to its sender means so', async () => {
  const stream = await aStream()
  const consumer = await startService({ ...stream, roles: ['consumer', 'api'] })
  const api = await startService({ ...stream, roles: ['api'] })
  await eventually(async () => (await isReady(consumer)) && (await isReady(api)), 'both being ready')

  // Given an order that the API process has just been asked for in vain
  const uid = 'sent-to-the-api'
  expect((await fetch(`${api.url}/order/${uid}`)).status).toBe(404)
  // When it is sent there
  const create = (order: object, headers: Record<string, string> = {}) =>
    fetch(`${api.url}/orders/create`, {
      method: 'POST',
      body: JSON.stringify(order),
      headers: { ...JSON_TYPE, ...headers },
    })
  // (What is not settled within five seconds is answered 202: on a busy machine it is sent again.)
  const createInTime = (order: object) =>
    eventually(async () => {
      const answer = await create(order)
      return answer.status !== 202 && answer
    }, 'an answer that says what became of it')
  const created = await createInTime({ ...MODEL, order_uid: uid })
  expect(created.status).toBe(201)
  // Then it is in the table, and where the answer says
  expect(await stream.query('SELECT track_number FROM orders WHERE order_uid = $1', [uid])).toHaveLength(1)
  const location = created.headers.get('location') ?? ''
  expect(await (await fetch(api.url + location)).json()).toEqual({ ...MODEL, order_uid: uid })

  // And a newer version is what is read once its own answer has come, from the same process at once
  const newer = { ...MODEL, order_uid: uid, track_number: 'NEWER' }
  expect((await createInTime(newer)).status).toBe(201)
  expect(await (await fetch(api.url + location)).json()).toEqual(newer)

  // And one that a newer version has overtaken is not called stored
  const shift = (by: number) => stream.query('UPDATE orders SET source_offset = source_offset + $1', [by])
  await shift(1_000_000)
  const overtaken = await createInTime({ ...newer, track_number: 'OVERTAKEN' })
  expect([overtaken.status, await overtaken.json()]).toMatchObject([409, { code: 'newer_version_stored' }])
  await shift(-1_000_000)

  // And what is no order never gets as far as the topic
  const published = (await stream.readAll(stream.topic)).length
  expect(published).toBeGreaterThanOrEqual(3)
  const invalid = await create({ ...MODEL, order_uid: 'not an uid' })
  expect(invalid.status).toBe(422)
  expect(await stream.readAll(stream.topic)).toHaveLength(published)

  // And what is taken fits: into a record with its key and headers, and into every index
  const padded = (bytes: number) => {
    const order = { ...newer, padding: '' }
    return { ...order, padding: 'x'.repeat(bytes - Buffer.byteLength(JSON.stringify(order))) }
  }
  const largest = 1_047_564
  expect((await createInTime(padded(largest))).status).toBe(201)
  expect((await create(padded(largest + 1))).status).toBe(413)
  const customer_id = Array.from({ length: 1_024 }, (_, n) =>
    String.fromCodePoint(0x20000 + ((n * 7919) % 42_000)),
  ).join('')
  expect((await createInTime({ ...newer, customer_id })).status).toBe(201)
  const ofCustomer = await fetch(`${api.url}/orders?${new URLSearchParams({ customer_id })}`)
  expect(await ofCustomer.json()).toEqual({ orders: [{ ...newer, customer_id }], next: null })
  expect((await createInTime(newer)).status).toBe(201)

  // And with the consumer gone it is accepted, and stored when a consumer is back
  expect(await consumer.stop()).toBe(0)
  const accepted = await create({ ...MODEL, order_uid: 'waits' }, { Prefer: 'respond-async' })
  expect(accepted.status).toBe(202)
  const page = async () => (await (await fetch(`${api.url}/orders?limit=100`)).json()) as { orders: object[] }
  expect((await page()).orders).toEqual([newer])
  await startService({ ...stream })
  await eventually(async () => (await page()).orders.length === 2, 'the order being stored')
  expect(await stream.findings()).toEqual([])
})
