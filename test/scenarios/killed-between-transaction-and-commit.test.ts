import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { createRandom } from '#src/engine/values/random.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { differences, fingerprint, generated, modelOf } from '../support/model.ts'
import { ownKafka } from '../support/own-servers.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, type LedgerRow, type Stream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

/** So that the group notices within seconds that a killed member is gone. */
const NOTICED_SOON = { KAFKA_CONFIG: 'session.timeout.ms=2000,heartbeat.interval.ms=500' }
const QUICK = { ...NOTICED_SOON, RETRY_INITIAL_MS: '20', RETRY_MAX_MS: '500' }

it('repeats nothing that was written when it dies before Kafka knows of it', async () => {
  // Given a broker that can be frozen, and a batch that waits in its transaction for a lock of ours
  const kafka = await ownKafka()
  const stream = await aStream({ brokers: kafka.brokers, partitions: 1 })
  // (who hears nothing of the broker for a session gives its partitions up: there must be time for the transaction)
  const env = { ...QUICK, KAFKA_CONFIG: 'session.timeout.ms=8000,heartbeat.interval.ms=500' }
  const service = await startService({ ...stream, env })
  const records = generated(40, { seed: 31, updatesRatio: 0.2 })
  await stream.produce(records.slice(0, 10))
  await eventually(async () => (await stream.committed()) === 10, 'the first ten being committed')
  const lock = await lockOrders(stream)
  await stream.produce(records.slice(10))
  await eventually(() => aTransactionWaits(stream), 'a batch waiting for the lock')
  await eventually(async () => (await service.metric('inflight_records')) === 30, 'the others being fetched')

  // When the broker freezes, the transaction then commits, and both are killed: what the frozen broker was sent is lost
  kafka.kill('SIGSTOP')
  await lock.release()
  await eventually(async () => (await stream.settled()) === records.length, 'Postgres having all of them')
  service.kill('SIGKILL')
  await service.exited
  kafka.kill('SIGKILL')
  await kafka.restart()

  // Then Kafka is behind what Postgres has settled
  expect(await stream.committed()).toBe(10)
  const before = await fingerprint(stream)
  const ledger = await stream.ledger()

  // And a new process goes on where the tables are: Kafka catches up without a record being read
  const second = await startService({ ...stream, env: QUICK })
  await eventually(async () => (await stream.committed()) === records.length, 'Kafka catching up')
  expect(await second.metric('records_total')).toBe(0)
  expect(await stream.ledger()).toEqual(ledger)

  // And with the next order nothing was written again, not even the same
  const next = generated(1, { seed: 32 })
  await stream.produce(next)
  await eventually(async () => (await stream.settled()) === records.length + 1, 'the next order being settled')
  expect(await fingerprint(stream, next[0]?.uid ?? '')).toBe(before)
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 41, records: 41, duplicate: 0, stale: 0 })
  expect(totalOf(ledger)).toMatchObject({ offsets: 40, records: 40, duplicate: 0, stale: 0 })
  expect(await differences(stream, modelOf([...records, ...next]))).toEqual([])
  expect(await stream.findings()).toEqual([])
})

it('ends with the same tables however often it is killed under load', async () => {
  // Given 3,000 orders, a fifth of them updates, some invalid; and a store so slow that every moment can be hit
  const stream = await aStream()
  await stream.query(`CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_sleep(0.06); RETURN NULL; END'`)
  await stream.query('CREATE TRIGGER slow AFTER INSERT ON orders FOR EACH STATEMENT EXECUTE FUNCTION take_time()')
  const records = generated(3_000, { seed: 4, updatesRatio: 0.2, invalidRatio: 0.03 })
  const model = modelOf(records)
  const at = await stream.produce(records)
  const env = { ...QUICK, BATCH_MAX_RECORDS: '20' }

  // When it is killed at five moments, and started again each time
  const random = createRandom([20_240_501, 5, 1])
  const moments = Array.from({ length: 5 }, () => random.between(1, 2_800)).sort((a, b) => a - b)
  let service: Service = await startService({ ...stream, env })
  const reached: number[] = []
  for (const moment of moments) {
    await eventually(async () => (await stream.settled()) >= moment, `${moment} records being settled`, 90_000, 5)
    service.kill('SIGKILL')
    await service.exited
    reached.push(await stream.settled())
    service = await startService({ ...stream, env })
  }
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
  // Every kill must have hit it at work, or this test shows nothing
  expect(Math.max(...reached)).toBeLessThan(records.length)

  // Then the tables are what the input says, and the ledger counts each offset once
  expect(await differences(stream, model)).toEqual([])
  expect(overlaps(await stream.ledger())).toEqual([])
  const total = totalOf(await stream.ledger())
  expect(total).toMatchObject({ offsets: records.length, records: records.length, duplicate: 0, stale: 0 })
  expect(total.dead_lettered).toBe(model.invalid.length)
  expect(total.written + total.superseded).toBe(records.length - model.invalid.length)

  // And the DLQ topic has the invalid ones only; twice at most where a kill fell between it and the transaction
  const invalidIds = records.flatMap((record, i) => {
    return record.uid === null ? [`${stream.topic}-${at[i]?.partition}-${at[i]?.offset}`] : []
  })
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  const ids = letters.map(letter => addedText(letter, 'id'))
  expect([...new Set(ids)].sort()).toEqual(invalidIds.sort())
  await eventually(async () => (await stream.committed()) === records.length, 'the commits')
  expect(await stream.findings()).toEqual([])
})

/** Keeps every transaction from writing an order, until it is released. */
async function lockOrders({ databaseUrl }: Stream): Promise<{ release(): Promise<void> }> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  await client.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
  return { release: async () => void (await client.query('ROLLBACK')) }
}

async function aTransactionWaits(stream: Stream): Promise<boolean> {
  const waiting = await stream.query(
    `SELECT 1 FROM pg_stat_activity WHERE datname = current_database()
       AND application_name LIKE 'holdfast-lanes/%' AND wait_event_type = 'Lock'`,
  )
  return waiting.length > 0
}

/** Ranges that do not begin where the one before them ended. */
function overlaps(ledger: readonly LedgerRow[]): LedgerRow[] {
  return ledger.filter((row, i) => {
    const before = ledger[i - 1]
    return row.from !== (before?.partition === row.partition ? before.to : 0)
  })
}
