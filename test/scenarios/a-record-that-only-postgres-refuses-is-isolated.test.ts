import { expect, it } from 'vitest'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, streamTools } from '../support/stream.ts'

streamTools()

const BATCH = 500
/** Large enough a linger that the 500 meet in one batch, however they are fetched. */
const env = { BATCH_MAX_RECORDS: String(BATCH), BATCH_LINGER_MS: '30000' }
/** The schema lets it through; only the constraint of this test does not. */
const POISON = 'forbidden-by-the-column'

it.each([
  { culprits: [311], table: 'orders', column: 'customer_id' },
  { culprits: [0, 1, 250, 377, 499], table: 'items', column: 'brand' },
])('writes all but $culprits.length of a batch of 500 in one transaction', async ({ culprits, table, column }) => {
  // Given a column that refuses what the schema allows, and a whole batch waiting
  const stream = await aStream()
  const rule = 'only_in_this_test'
  await stream.query(`ALTER TABLE ${table} ADD CONSTRAINT ${rule} CHECK (${column} <> '${POISON}')`)
  const records = Array.from({ length: BATCH }, (_, i) => aRecordThat(culprits.includes(i), i))
  await stream.produce(records)

  // When it is read
  const startedMs = Date.now()
  const service = await startService({ ...stream, env })
  await eventually(async () => (await stream.settled()) === BATCH, 'the batch being settled')

  // Then one ledger row covers it, and one transaction wrote everybody else
  expect(await stream.ledger()).toMatchObject([
    { from: 0, to: BATCH, records: BATCH, written: BATCH - culprits.length, dead_lettered: culprits.length },
  ])
  const stored = await stream.query<{ uid: string; xmin: string }>('SELECT order_uid AS uid, xmin FROM orders')
  expect(new Set(stored.map(({ uid }) => uid))).toEqual(new Set(namesOf(i => !culprits.includes(i))))
  expect(new Set(stored.map(({ xmin }) => xmin)).size).toBe(1)
  const [items] = await stream.query<{ orders: string }>('SELECT count(DISTINCT order_uid) AS orders FROM items')
  expect(items?.orders).toBe(String(BATCH - culprits.length))

  // And the culprits stand in the DLQ topic as they were, with what Postgres said and nothing of what they hold
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  expect(letters.map(letter => addedText(letter, 'id')).sort()).toEqual(
    culprits.map(i => `${stream.topic}-0-${i}`).sort(),
  )
  for (const letter of letters) {
    const { key, value, headers } = records[Number(addedText(letter, 'offset'))] ?? {}
    expect(letter.original).toEqual({ key, value: Buffer.from(String(value)), headers })
    expect(addedText(letter, 'reason')).toBe('store_rejected')
    expect(addedText(letter, 'error')).toBe('23514')
    expect(addedText(letter, 'message')).toContain(rule)
    expect(addedText(letter, 'message')).not.toContain(POISON)
    expect(letter.timestampMs).toBeGreaterThanOrEqual(startedMs)
  }
  const index = await stream.query('SELECT reason, error, order_uid FROM dead_letters ORDER BY source_offset')
  expect(index).toEqual(culprits.map(i => ({ reason: 'store_rejected', error: '23514', order_uid: nameOf(i) })))
  expect(JSON.stringify(service.log)).not.toContain(POISON)

  // And the offset passes all of them
  await eventually(async () => (await stream.committed()) === BATCH, 'the commit')
  expect(await stream.findings()).toEqual([])
  expect(await service.metric('retries_total')).toBe(0)
})

function aRecordThat(isRefused: boolean, i: number): ProducedRecord {
  const order = anOrder({ uid: nameOf(i), items: 2 })
  const items = order.items.map(item => (isRefused ? { ...item, brand: POISON } : item))
  const value = JSON.stringify({ ...order, items, customer_id: isRefused ? POISON : 'somebody' })
  return { key: Buffer.from(nameOf(i)), value, headers: [aHeader('trace', `number ${i}`)], partition: 0 }
}

function nameOf(i: number): string {
  return `order-${i}`
}

function namesOf(which: (i: number) => boolean): string[] {
  return Array.from({ length: BATCH }, (_, i) => i)
    .filter(which)
    .map(nameOf)
}
