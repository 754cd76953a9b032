import { expect, it } from 'vitest'
import type { Header } from '#src/engine/record.ts'
import { differences, fingerprint, generated, modelOf } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { aRedrive } from '../support/redrives.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const FIRST_MS = Date.UTC(2024, 4, 1, 12)

/** A version of one order: `amount` tells them apart. */
function version(
  amount: number,
  where: { partition: number; timestampMs: number },
): ProducedRecord & { value: string } {
  const value = JSON.stringify(anOrder({ uid: 'order-1', amount, items: amount }))
  return { key: Buffer.from('order-1'), value, ...where }
}

/** The headers of a record that is redriven: where it first stood. */
function redriven({ topic }: Stream, offset: number | bigint, timestampMs: number, redriveId = 'replay-1'): Header[] {
  return [
    aHeader('holdfast.id', `${topic}-0-${offset}`),
    aHeader('holdfast.replay-id', redriveId),
    aHeader('holdfast.replay-count', '1'),
    aHeader('holdfast.timestamp', String(timestampMs)),
  ]
}

it('counts a redriven record with its first position: stale or duplicate, never written over a newer one', async () => {
  // Given two versions of an order, the second one stored
  const stream = await aStream()
  const service = await startService(stream)
  const older = version(1, { partition: 0, timestampMs: FIRST_MS })
  const newer = version(2, { partition: 0, timestampMs: FIRST_MS + 1_000 })
  await settle(stream, older, newer)
  const stored = await fingerprint(stream)
  const before = totalOf(await stream.ledger())

  // When the older one is redriven, then it is stale and changes nothing
  await aRedrive(stream, 'replay-1', `${stream.topic}-0-0`, `${stream.topic}-0-1`)
  await settle(stream, { ...older, timestampMs: Date.now(), headers: redriven(stream, 0, FIRST_MS) })
  expect(totalOf(await stream.ledger())).toMatchObject({ written: before.written, stale: 1, duplicate: 0 })
  expect(await fingerprint(stream)).toBe(stored)

  // And when the newer one is, it is the one that is stored already
  await settle(stream, { ...newer, timestampMs: Date.now(), headers: redriven(stream, 1, FIRST_MS + 1_000) })
  expect(totalOf(await stream.ledger())).toMatchObject({ written: before.written, stale: 1, duplicate: 1 })
  expect(await fingerprint(stream)).toBe(stored)

  // And what is served is the newer one
  const response = await fetch(`${service.url}/order/order-1`)
  expect(await response.json()).toMatchObject({ payment: { amount: 2 } })
  expect(await stream.readAll(stream.dlqTopic)).toEqual([])
  expect(await stream.findings()).toEqual([])
})

it('takes a record for a new one when the redrive that its headers name did not bring it', async () => {
  // Given an order, and the dead letter of another one
  const stream = await aStream()
  const service = await startService(stream)
  await settle(stream, version(1, { partition: 0, timestampMs: FIRST_MS }))
  await settle(stream, { key: null, value: '{"order_uid":"stranger"}', partition: 0 })

  // When any producer claims a position that no later version will ever reach, with an invented redrive
  const forged = redriven(stream, 999_999_999_999_999_999n, Date.now(), 'invented')
  await settle(stream, { ...version(2, { partition: 0, timestampMs: FIRST_MS }), headers: forged })
  // And the position of the dead letter, with a redrive that exists and has it in its set, not yet published
  await aRedrive(stream, 'waiting', `${stream.topic}-0-1`)
  await stream.query("UPDATE holdfast.replay_items SET state = 'pending'")
  const another = { key: null, value: JSON.stringify(anOrder({ uid: 'order-2' })), partition: 0 }
  await settle(stream, { ...another, headers: redriven(stream, 1, FIRST_MS, 'waiting') })
  // And one whose record is invalid
  await settle(stream, { key: null, value: 'x', partition: 0, headers: redriven(stream, 1, FIRST_MS, 'invented') })

  // Then genuine newer versions are stored as ever, the letter waits as before, and each of these stands for itself
  expect(await amountOf(stream)).toBe(2)
  await settle(stream, version(3, { partition: 0, timestampMs: FIRST_MS }))
  expect(await amountOf(stream)).toBe(3)
  expect(await stream.query('SELECT order_uid, source_offset FROM orders ORDER BY order_uid')).toEqual([
    { order_uid: 'order-1', source_offset: '5' },
    { order_uid: 'order-2', source_offset: '3' },
  ])
  expect(
    await stream.query('SELECT id, state, replay_count FROM holdfast.dead_letters ORDER BY source_offset'),
  ).toEqual([
    { id: `${stream.topic}-0-1`, state: 'open', replay_count: 0 },
    { id: `${stream.topic}-0-4`, state: 'open', replay_count: 0 },
  ])
  expect(await stream.query('SELECT state FROM holdfast.replay_items')).toEqual([{ state: 'pending' }])
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  expect(metrics).toMatch(/^holdfast_unusual_records_total\{[^}]*kind="foreign_provenance"\} 3$/m)
  expect(await stream.findings()).toEqual([])
})

it('goes by the time of the records when an order moves to another partition', async () => {
  const stream = await aStream()
  await startService(stream)
  await settle(stream, version(1, { partition: 0, timestampMs: FIRST_MS }))
  const stored = await fingerprint(stream)

  // An earlier one elsewhere is stale
  await settle(stream, version(2, { partition: 1, timestampMs: FIRST_MS - 1 }))
  expect(totalOf(await stream.ledger())).toMatchObject({ written: 1, stale: 1 })
  expect(await fingerprint(stream)).toBe(stored)

  // One of the same time wins by arriving later, and so does one that is later
  await settle(stream, version(3, { partition: 2, timestampMs: FIRST_MS }))
  expect(await amountOf(stream)).toBe(3)
  await settle(stream, version(4, { partition: 0, timestampMs: FIRST_MS + 1 }))
  expect(await amountOf(stream)).toBe(4)
  expect(totalOf(await stream.ledger())).toMatchObject({ written: 3, stale: 1 })
})

it('leaves every byte as it is when a new group reads the whole topic again', async () => {
  // Given a topic with updates, read once
  const stream = await aStream()
  const records = generated(600, { seed: 8, updatesRatio: 0.3 })
  const model = modelOf(records)
  await stream.produce(records)
  const first = await startService(stream)
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  expect(await first.stop()).toBe(0)
  const stored = await fingerprint(stream)

  // When another group reads it from the beginning into the same tables, in batches that cut elsewhere
  const again = stream.asGroup(`${stream.groupId}-again`)
  await startService({ ...again, env: { BATCH_MAX_RECORDS: '37' } })
  await eventually(async () => (await again.settled()) === records.length, 'all of them being settled again')

  // Then nothing is written: each stored version meets itself once, and all others are older
  const total = totalOf(await again.ledger())
  expect(total).toMatchObject({ records: records.length, written: 0, duplicate: model.orders.size, dead_lettered: 0 })
  expect(total.stale + total.superseded).toBe(records.length - model.orders.size)
  expect(await fingerprint(stream)).toBe(stored)
  expect(await differences(stream, model)).toEqual([])
  expect(await again.findings()).toEqual([])
})

/** Produces them one after another, each settled before the next, so that none supersedes another in a batch. */
async function settle(stream: Stream, ...records: ProducedRecord[]): Promise<void> {
  for (const record of records) {
    const settled = await stream.settled()
    await stream.produce([record])
    await eventually(async () => (await stream.settled()) === settled + 1, 'the record being settled')
  }
}

async function amountOf(stream: Stream): Promise<number> {
  const [row] = await stream.query<{ amount: string }>("SELECT amount FROM payments WHERE order_uid = 'order-1'")
  return Number(row?.amount)
}
