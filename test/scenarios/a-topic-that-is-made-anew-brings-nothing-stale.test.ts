import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { createTopic, deleteTopic } from '../support/kafka-tools.ts'
import { anOrder } from '../support/orders.ts'
import { letterCounts } from '../support/redrives.ts'
import { ask, eventually, type Service, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools } from '../support/stream.ts'

streamTools()

/** A version of the service whose schema has a mistake: it wants zips of digits. */
const STRICTER = fileURLToPath(new URL('../support/stricter-schema.mjs', import.meta.url))

/** The order's version, valid but for the schema that has the mistake. */
function version(uid: string, amount: number, zip = 'SW1A 1AA'): ProducedRecord {
  const order = anOrder({ uid, amount })
  const value = JSON.stringify({ ...order, delivery: { ...order.delivery, zip } })
  return { key: Buffer.from(uid), value, partition: 0 }
}

it('compares what it had from a topic that was deleted with the new one by time, and redrives old letters behind it', async () => {
  // Given orders of a topic, at high offsets: one is stored, and of three others the older version is a dead letter
  const stream = await aStream({ partitions: 1 })
  await stream.produce(Array.from({ length: 40 }, (_, n) => version(`filler-${n}`, 1, '12345')))
  await stream.produce([
    version('stored', 1, '12345'),
    version('into-store', 1),
    version('to-topic', 1),
    version('failing', 1),
  ])
  const strict = await startService({ ...stream, env: { NODE_OPTIONS: `--import=${STRICTER}` } })
  await eventually(async () => (await stream.committed()) === 44, 'all of them being committed')
  expect(await letterCounts(stream)).toEqual({ 'open 0': 3 })
  expect(await strict.stop()).toBe(0)

  // When the topic is deleted and made anew, with a later version of each at a lower offset
  await makeAnew(stream)
  await stream.produce(['stored', 'into-store', 'to-topic', 'failing'].map(uid => version(uid, 2)))
  const service = await startService(stream)
  await eventually(async () => service.log.some(({ event }) => event === 'partition_halted'), 'the partition halting')
  expect(await amountOf(service, 'stored')).toBe(1)
  const { stderr } = await holdfast(stream, 'seek', '--partition', '0', '--to', 'earliest', '--because', 'made anew')

  // Then the operator is told what of the former topic there is
  expect(stderr).toMatch(/41 values .* were read of a topic that was deleted/)
  expect(stderr).toMatch(/3 of its dead letters wait/)

  // And the later version replaces what is stored, in the cache as well
  await eventually(async () => (await stream.settled()) === 4, 'the new topic being settled')
  await eventually(async () => (await amountOf(service, 'stored')) === 2, 'the later version being served')
  expect(await amounts(stream)).toEqual({ stored: 2, 'into-store': 2, 'to-topic': 2, failing: 2 })

  // When the old letters are redriven, into the store and to the topic
  await holdfast(stream, 'dlq', 'redrive', 'uid:into-store', '--yes')
  await holdfast(stream, 'dlq', 'redrive', 'uid:to-topic', '--to', 'topic', '--yes')

  // Then both are resolved as stale, and nothing goes back
  await eventually(async () => (await letterCounts(stream))['resolved 1'] === 2, 'both letters being resolved')
  expect(await endsOf(stream)).toEqual(['stale', 'stale'])
  expect(await amounts(stream)).toEqual({ stored: 2, 'into-store': 2, 'to-topic': 2, failing: 2 })
  expect(await service.metric('unusual_records_total', { kind: 'foreign_provenance' })).toBe(0)

  // And a later version of each is stored, whatever was redriven before it
  await stream.produce(['stored', 'into-store', 'to-topic', 'failing'].map(uid => version(uid, 3)))
  await eventually(async () => (await stream.committed()) === 9, 'the last versions being committed')
  expect(await amounts(stream)).toEqual({ stored: 3, 'into-store': 3, 'to-topic': 3, failing: 3 })
  expect(await stream.findings({ deep: true })).toEqual([])
})

async function makeAnew({ brokers, topic }: Stream): Promise<void> {
  await deleteTopic(brokers, topic)
  const create = () =>
    createTopic(brokers, topic, 1)
      .then(() => true)
      .catch(() => false)
  await eventually(create, 'the topic being made anew')
}

async function amountOf(service: Service, uid: string): Promise<number> {
  return JSON.parse((await ask(service, `/order/${uid}`)).body).payment.amount
}

async function amounts({ query }: Stream): Promise<Record<string, number>> {
  const rows = await query<{ uid: string; amount: number }>(
    `SELECT order_uid AS uid, amount::int AS amount FROM payments WHERE order_uid IN ('stored', 'into-store', 'to-topic', 'failing')`,
  )
  return Object.fromEntries(rows.map(({ uid, amount }) => [uid, amount]))
}

async function endsOf({ query }: Stream): Promise<string[]> {
  const rows = await query<{ outcome: string }>('SELECT outcome FROM holdfast.replay_items')
  return rows.map(({ outcome }) => outcome)
}
