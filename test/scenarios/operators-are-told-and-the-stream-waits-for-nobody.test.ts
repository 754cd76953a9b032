import { expect, it } from 'vitest'
import { anOrder } from '../support/orders.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools } from '../support/stream.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'

streamTools()

/** Personal, and in the payload: in no message. */
const NAME = 'Grace Brewster Hopper'

it('of a new cause, once and with a link, after the receiver was away and then said nothing, while records are settled', async () => {
  // Given a service whose receiver of messages is away
  await using receiver = await startWebhookReceiver()
  await receiver.away()
  const stream = await aStream()
  const service = await startService({
    ...stream,
    env: { NOTIFY_WEBHOOK_URL: receiver.url, CONSOLE_URL: 'https://holdfast.example.com/' },
  })

  // When invalid records come, and with them valid ones
  const some = (from: number): ProducedRecord[] =>
    Array.from({ length: 40 }, (_, n) => {
      const order = anOrder({ uid: `order-${from + n}` })
      const delivery = { ...order.delivery, name: NAME }
      const payment = n % 4 === 0 ? { ...order.payment, amount: 'much' } : order.payment
      return { value: JSON.stringify({ ...order, delivery, payment }) }
    })
  await stream.produce(some(0))
  await eventually(async () => (await stream.settled()) === 40, 'all being settled')

  // Then the message is tried, and waits in the database
  const failed = () => service.metric('notifications_total', { kind: 'cause_new', result: 'failed' })
  await eventually(async () => (await failed()) > 0, 'a first attempt')
  expect(await stream.query('SELECT subject FROM holdfast.notices WHERE due_at IS NOT NULL')).toHaveLength(1)

  // When the receiver takes connections and says nothing, the stream goes on
  receiver.reacts('silence')
  await receiver.back()
  const before = await failed()
  await stream.query('UPDATE holdfast.notices SET due_at = now() WHERE due_at IS NOT NULL')
  await eventually(() => receiver.asked.length > 0, 'being asked')
  await stream.produce(some(100))
  await eventually(async () => (await stream.settled()) === 80, 'all being settled beside it')
  expect(receiver.taken).toEqual([])
  await eventually(async () => (await failed()) > before, 'the silence being given up')

  // When it answers, the message arrives, once, with a link and without anything of the records
  receiver.reacts({ status: 200 })
  await eventually(async () => {
    await stream.query('UPDATE holdfast.notices SET due_at = now() WHERE due_at IS NOT NULL')
    return receiver.taken.length > 0
  }, 'the message')
  await stream.produce(some(200))
  await eventually(async () => (await stream.settled()) === 120, 'all being settled')
  const sent = () => service.metric('notifications_total', { kind: 'cause_new', result: 'sent' })
  await eventually(async () => (await sent()) === 1, 'its being counted')
  expect(receiver.taken).toHaveLength(1)
  const message = JSON.parse(receiver.taken[0] ?? '')
  expect(message).toMatchObject({
    ...{ kind: 'cause_new', stream: 'orders', title: 'Dead letters with a new cause in the stream orders' },
    facts: { reason: 'schema_violation', error: 'type', pointer: '/payment/amount' },
  })
  expect(message.link).toMatch(/^https:\/\/holdfast\.example\.com\/admin\?stream=orders&q=state%3Aopen/)
  const all = receiver.asked.map(({ body }) => body).join()
  for (const secret of [NAME, 'Hopper', 'much', 'order-0']) expect(all).not.toContain(secret)
  expect(await stream.findings()).toEqual([])

  // And neither log nor metrics name the receiver's address
  expect(service.output.join()).not.toContain('secret-part')
})
