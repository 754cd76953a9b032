import { setTimeout as interval } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { parsePage } from '../support/metrics-page.ts'
import { generated } from '../support/model.ts'
import { anOrder } from '../support/orders.ts'
import { ask, eventually, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const BACKLOG = 12_000
const ALONE = 30
/** A machine that is busy with others is so for seconds: one quiet round shows what the service does by itself. */
const ROUNDS = 8
const BATCH_MAX_RECORDS = 500

/** Both bounds are loose, so that a busy machine passes; `make bench` measures how full and how soon. */
it('batches are full while the topic holds enough, and a record alone is committed at once', async () => {
  // Given a topic with eight full batches for each of its three partitions
  const stream = await aStream({ partitions: 3 })
  const orders = generated(BACKLOG, { seed: 57 })
  await stream.produce(orders.map(({ key, value }, i) => ({ key, value, partition: i % 3 })))

  // When the service works it off
  const service = await startService({ ...stream, env: { BATCH_MAX_RECORDS: String(BATCH_MAX_RECORDS) } })
  await eventually(async () => (await stream.settled()) === BACKLOG, 'the backlog being settled')

  // Then its batches were nearly full
  expect(BACKLOG / (await stream.ledger()).length).toBeGreaterThan(0.75 * BATCH_MAX_RECORDS)

  // When records come one by one, each while the service has nothing to do
  await eventually(async () => (await stream.committed()) === BACKLOG, 'the commits')
  let soon = 0
  for (let round = 0; round < ROUNDS && soon <= ALONE / 2; round++) {
    const before = await committedWithin(service, '0.1')
    for (let i = round * ALONE + 1; i <= (round + 1) * ALONE; i++) {
      await stream.produce([{ value: JSON.stringify(anOrder({ uid: `alone-${i}` })), partition: i % 3 }])
      await eventually(async () => (await stream.committed()) === BACKLOG + i, 'its commit')
      await interval(20)
    }
    soon = (await committedWithin(service, '0.1')) - before
  }

  // Then half of them and more were committed within 0.1 s: none waited for company, or for the end of a poll
  expect(soon).toBeGreaterThan(ALONE / 2)
  expect(await service.stop()).toBe(0)
})

/** Batches that were committed so soon after the timestamp of their oldest record. */
async function committedWithin(service: Service, seconds: string): Promise<number> {
  const { samples } = parsePage((await ask(service, '/metrics')).body)
  const name = 'holdfast_end_to_end_latency_seconds_bucket'
  return samples.find(sample => sample.name === name && sample.labels.le === seconds)?.value ?? 0
}
