import { randomUUID } from 'node:crypto'
import kafka from '@confluentinc/kafka-javascript'
import { onTestFinished } from 'vitest'

type End = 'commit' | 'abort'

interface Sent {
  readonly topic: string
  readonly partition: number
  readonly value: Buffer
  readonly key?: Buffer
  readonly timestampMs?: number
}

/** A producer that writes in transactions, as some users' do and the product never does. Goes with the test. */
export interface TransactionalProducer {
  /** One transaction. */
  send(how: End, records: readonly Sent[]): Promise<void>
  /** One that stays open, its records in the topic, until what is returned is called. */
  begin(records: readonly Sent[]): Promise<(how: End) => Promise<void>>
}

/** Bounds that only end a broken test; the broker aborts a transaction that stays open for longer than the second. */
const TIMEOUT_MS = 60_000
const OPEN_AT_MOST_MS = 300_000

export async function transactionalProducer(brokers: string): Promise<TransactionalProducer> {
  const producer = new kafka.Producer({
    'metadata.broker.list': brokers,
    'transactional.id': `test-${randomUUID()}`,
    'transaction.timeout.ms': OPEN_AT_MOST_MS,
    'linger.ms': 0,
  })
  producer.on('event.error', () => {})
  await asked(done => producer.connect({ timeout: TIMEOUT_MS }, done))
  onTestFinished(() => asked(done => producer.disconnect(TIMEOUT_MS, done)))
  producer.setPollInBackground(true)
  await asked(done => producer.initTransactions(TIMEOUT_MS, done))

  const end = (how: End) =>
    asked(done => {
      if (how === 'commit') producer.commitTransaction(TIMEOUT_MS, done)
      else producer.abortTransaction(TIMEOUT_MS, done)
    })

  async function begin(records: readonly Sent[]): Promise<(how: End) => Promise<void>> {
    await asked(done => producer.beginTransaction(done))
    for (const { topic, partition, value, key = null, timestampMs = Date.now() } of records) {
      producer.produce(topic, partition, value, key, timestampMs)
    }
    await asked(done => producer.flush(TIMEOUT_MS, done))
    return end
  }

  return {
    begin,
    async send(how, records) {
      const finish = await begin(records)
      await finish(how)
    },
  }
}

function asked(start: (done: (error: unknown) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => start(error => (error ? reject(error) : resolve())))
}
