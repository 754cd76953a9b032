import { expect, it } from 'vitest'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { anOrder } from '../support/orders.ts'
import { aHeader } from '../support/records.ts'
import { eventually, isReady, startService } from '../support/service.ts'
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
  const index = await stream.query('SELECT reason, error, key FROM holdfast.dead_letters ORDER BY source_offset')
  expect(index).toEqual(culprits.map(i => ({ reason: 'store_rejected', error: '23514', key: nameOf(i) })))
  expect(JSON.stringify(service.log)).not.toContain(POISON)

  // And the offset passes all of them
  await eventually(async () => (await stream.committed()) === BATCH, 'the commit')
  expect(await stream.findings()).toEqual([])
  expect(await service.metric('retries_total')).toBe(0)
})

it('sets aside the one record of 50 for which a trigger raises an exception, in a batch with others and alone', async () => {
  // Given a trigger as an administrator writes it, whose text quotes the row
  const stream = await aStream()
  await stream.query(`
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
      BEGIN IF NEW.customer_id = '${POISON}' THEN RAISE EXCEPTION 'no % here', NEW.customer_id; END IF; RETURN NEW; END $$;
    CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse()`)
  await stream.produce(Array.from({ length: 50 }, (_, i) => aRecordThat(i === 17, i)))

  // When it is read, and then one more of that customer arrives by itself
  const service = await startService({ ...stream, env: { BATCH_MAX_RECORDS: '50', BATCH_LINGER_MS: '50' } })
  await eventually(async () => (await stream.settled()) === 50, 'the batch being settled')
  await stream.produce([aRecordThat(true, 50)])
  await eventually(async () => (await stream.settled()) === 51, 'the one that comes alone')
  await stream.produce([aRecordThat(false, 51)])
  await eventually(async () => (await stream.settled()) === 52, 'the next one')

  // Then the others are written, these two are dead letters with what Postgres said, and nothing quotes the row
  const [stored] = await stream.query<{ count: string }>('SELECT count(*) FROM orders')
  expect(stored?.count).toBe('50')
  const index = await stream.query('SELECT reason, error, key FROM holdfast.dead_letters ORDER BY source_offset')
  expect(index).toEqual([17, 50].map(i => ({ reason: 'store_rejected', error: 'P0001', key: nameOf(i) })))
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  for (const letter of letters) expect(addedText(letter, 'message')).toMatch(/function refuse \(SQLSTATE P0001\)$/)
  expect(JSON.stringify(service.log)).not.toContain(POISON)
  await eventually(() => isReady(service), 'readiness')
  expect(await stream.findings()).toEqual([])
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
