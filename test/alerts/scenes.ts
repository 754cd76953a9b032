import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTopic, deleteTopic, removeBelow } from '../support/kafka-tools.ts'
import { generated } from '../support/model.ts'
import { eventually } from '../support/service.ts'
import { someReturns } from '../support/two-streams.ts'
import { PARTITIONS, STORM_LIMIT, type Stage, TOPIC } from './stage.ts'

export interface Expected {
  readonly name: string
  /** Labels that the alert must have, among others. */
  readonly labels?: Readonly<Record<string, string>>
  /** Its expression looks back for too long to wait in sequence: that it has resolved is checked after all other scenes. */
  readonly looksFarBack?: boolean
}

export interface Scene {
  readonly what: string
  readonly alerts: readonly Expected[]
  /** @returns what ends it */
  begin(stage: Stage): Promise<() => Promise<void>>
}

const MINUTE_MS = 60_000

/** Ordered so that what takes long to be over comes early, and what spoils the stream for the rest comes late. */
export const scenes: readonly Scene[] = [
  {
    what: 'no replica runs',
    alerts: [{ name: 'HoldfastAbsent' }, { name: 'HoldfastScrapeGone' }],
    async begin(stage) {
      stage.quiet = true
      await Promise.all(stage.replicas.map(replica => replica.terminate()))
      return async () => {
        await startAll(stage)
        stage.quiet = false
      }
    },
  },
  {
    what: 'retention removes records while no replica runs',
    alerts: [{ name: 'HoldfastRecordsExpired', labels: { partition: '0' }, looksFarBack: true }],
    async begin(stage) {
      stage.quiet = true
      await Promise.all(stage.replicas.map(replica => replica.terminate()))
      const answers = await produceOrders(stage, 40, 0)
      await removeBelow(stage.kafka.brokers, TOPIC, 0, Number(answers.at(-1)?.offset))
      await startAll(stage)
      stage.quiet = false
      return async () => {}
    },
  },
  {
    what: 'somebody locks the progress of a partition, and what waits in it is ten minutes old',
    alerts: [
      { name: 'HoldfastNoProgress', labels: { partition: '1' } },
      { name: 'HoldfastLagHigh', labels: { partition: '1' } },
    ],
    async begin(stage) {
      stage.quiet = true
      await sleep(2_000)
      const session = await stage.session()
      await session.query('BEGIN')
      await session.query('SELECT FROM holdfast.stream_progress WHERE partition = 1 FOR UPDATE')
      await produceOrders(stage, 20, 1, Date.now() - 10 * MINUTE_MS)
      stage.quiet = false
      return async () => {
        await session.query('ROLLBACK')
        await session.end()
      }
    },
  },
  {
    what: 'a producer sends something else',
    alerts: [
      { name: 'HoldfastStormGuard', labels: { partition: '1' } },
      { name: 'HoldfastDeadLettersArriving', labels: { reason: 'malformed_json' } },
      { name: 'HoldfastDeadLetterRatioHigh' },
      { name: 'HoldfastNotReady', labels: { check: 'partitions' } },
    ],
    async begin(stage) {
      const sending = new AbortController()
      // Among the orders of partition 0, where no storm guard minds, and by itself in partition 1.
      const letters = (async () => {
        stage.quiet = true
        await Promise.all(Array.from({ length: STORM_LIMIT + 10 }, () => produceBroken(stage, 1)))
        stage.quiet = false
        while (!sending.signal.aborted) {
          await produceBroken(stage, 0)
          await sleep(100)
        }
      })()
      return async () => {
        sending.abort()
        await letters
        await stage.holdfast('resume', '--partition', '1')
      }
    },
  },
  {
    what: 'nobody decides about them for more than a day',
    alerts: [{ name: 'HoldfastDeadLettersUntouched' }],
    async begin(stage) {
      const session = await stage.session()
      await session.query(
        "UPDATE holdfast.dead_letters SET failed_at = now() - interval '25 hours' WHERE state = 'open'",
      )
      await session.end()
      return async () => {
        await stage.holdfast('dlq', 'discard', 'state:open age:>24h', '--because', 'sent again', '--yes')
      }
    },
  },
  {
    what: 'the topic of offsets takes no record any more',
    alerts: [{ name: 'HoldfastCommitsFailing' }],
    async begin(stage) {
      const entity = ['--alter', '--entity-type', 'topics', '--entity-name', '__consumer_offsets']
      await stage.kafkaTool('kafka.admin.ConfigCommand', ...entity, '--add-config', 'max.message.bytes=10')
      return async () => {
        await stage.kafkaTool('kafka.admin.ConfigCommand', ...entity, '--delete-config', 'max.message.bytes')
      }
    },
  },
  {
    what: 'Postgres is away',
    alerts: [{ name: 'HoldfastBreakerOpen', labels: { dependency: 'postgres' } }],
    async begin(stage) {
      await stage.postgres.stop('fast')
      return () => stage.postgres.restart()
    },
  },
  {
    what: 'Postgres is away, and the replicas are started anew',
    alerts: [{ name: 'HoldfastNotStarted' }, { name: 'HoldfastNotReady', labels: { check: 'start' } }],
    async begin(stage) {
      await stage.postgres.stop('fast')
      await Promise.all(stage.replicas.map(replica => replica.terminate()))
      await startAll(stage)
      return () => stage.postgres.restart()
    },
  },
  {
    what: 'the topic of dead letters takes no record, not even one without its value',
    alerts: [{ name: 'HoldfastBreakerOpen', labels: { dependency: 'dlq' } }],
    async begin(stage) {
      const entity = ['--alter', '--entity-type', 'topics', '--entity-name', 'orders.dlq']
      await stage.kafkaTool('kafka.admin.ConfigCommand', ...entity, '--add-config', 'max.message.bytes=100')
      await produceBroken(stage, 0)
      return async () => {
        await stage.kafkaTool('kafka.admin.ConfigCommand', ...entity, '--delete-config', 'max.message.bytes')
      }
    },
  },
  {
    what: 'a lock keeps the connections of the API busy',
    alerts: [{ name: 'HoldfastPoolWaits', labels: { pool: 'read' } }],
    async begin(stage) {
      const session = await stage.session()
      const ending = new AbortController()
      const locking = (async () => {
        while (!ending.signal.aborted) {
          await session.query('BEGIN')
          await session.query('LOCK TABLE orders IN ACCESS EXCLUSIVE MODE')
          const reads = Array.from({ length: 20 }, () =>
            fetch(`${stage.replicas[0]?.target}/order/nobody-${randomUUID()}`).then(answer => answer.text()),
          )
          await sleep(1_500)
          await session.query('ROLLBACK')
          await Promise.all(reads)
        }
      })()
      return async () => {
        ending.abort()
        await locking
        await session.end()
      }
    },
  },
  {
    what: 'one replica is killed, and its port answers nobody',
    alerts: [{ name: 'HoldfastScrapeGone' }],
    async begin(stage) {
      const [, second] = stage.replicas
      await second?.kill()
      return async () => {
        await second?.start()
        await stage.ready()
      }
    },
  },
  {
    what: 'a replica dies again and again',
    alerts: [{ name: 'HoldfastRestarting', looksFarBack: true }],
    async begin(stage) {
      const [first] = stage.replicas
      for (let n = 0; n < 4; n++) {
        await first?.kill()
        await first?.start()
        await sleep(1_500)
      }
      return () => stage.ready()
    },
  },
  {
    what: 'a table of one of two streams loses a column',
    alerts: [{ name: 'HoldfastStreamHalted', labels: { stream: 'returns' } }],
    async begin(stage) {
      const session = await stage.session()
      await session.query('ALTER TABLE returns RENAME COLUMN reason TO elsewhere')
      for (const { key, value } of someReturns(0, 10)) {
        await stage.producer.produce({ topic: 'returns', key, value: Buffer.from(value), headers: [] })
      }
      return async () => {
        await session.query('ALTER TABLE returns RENAME COLUMN elsewhere TO reason')
        await session.end()
        await stage.ready()
      }
    },
  },
  {
    what: 'the topic is recreated',
    alerts: [{ name: 'HoldfastPartitionHalted' }],
    async begin(stage) {
      stage.quiet = true
      await Promise.all(stage.replicas.map(replica => replica.terminate()))
      await deleteTopic(stage.kafka.brokers, TOPIC)
      await eventually(
        () =>
          createTopic(stage.kafka.brokers, TOPIC, PARTITIONS).then(
            () => true,
            () => false,
          ),
        'the topic being there again',
      )
      await Promise.all(stage.replicas.map(replica => replica.start()))
      return async () => {
        await Promise.all(stage.replicas.map(replica => replica.terminate()))
        for (let partition = 0; partition < PARTITIONS; partition++) {
          await stage.holdfast(
            'seek',
            '--partition',
            String(partition),
            '--to',
            'earliest',
            '--because',
            'the topic was recreated',
          )
        }
        await startAll(stage)
        stage.quiet = false
        await stage.ready()
      }
    },
  },
]

async function startAll(stage: Stage): Promise<void> {
  await Promise.all(stage.replicas.map(replica => replica.start()))
}

let seed = 1_000

async function produceOrders(stage: Stage, count: number, partition: number, timestampMs = Date.now()) {
  const orders = generated(count, { seed: seed++ })
  return await Promise.all(
    orders.map(({ key, value }) =>
      stage.producer.produce({
        topic: TOPIC,
        key: key ?? null,
        value: typeof value === 'string' ? Buffer.from(value) : value,
        headers: [],
        partition,
        timestampMs,
      }),
    ),
  )
}

async function produceBroken(stage: Stage, partition: number): Promise<void> {
  await stage.producer.produce({
    topic: TOPIC,
    key: null,
    value: Buffer.from('x'),
    headers: [],
    partition,
  })
}
