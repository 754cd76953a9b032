import pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import type { Header, SourceRecord } from '#src/core/record.ts'
import { ensureTopics } from '#src/kafka/admin.ts'
import { startInspector } from '#src/kafka/inspector.ts'
import { type KafkaProducer, startProducer } from '#src/kafka/producer.ts'
import { migrate } from '#src/postgres/migrate.ts'
import { type FreshTopics, freshDatabase, freshTopics, kafkaBrokers } from './stack.ts'

/** A topic, its dead-letter topic and a migrated database, for one test; and the tools to look at them. */
export interface Stream extends FreshTopics {
  readonly databaseUrl: string
  readonly brokers: string
  produce(records: readonly ProducedRecord[]): Promise<void>
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** Sum of the progress rows minus where they began: records that are settled. */
  settled(): Promise<number>
  /** Everything in a topic, in order of partition and offset. */
  readAll(topic: string): Promise<SourceRecord[]>
  /** What the broker holds as committed by the group, summed over the partitions. */
  committed(): Promise<number>
}

export interface ProducedRecord {
  readonly key?: Buffer | null
  readonly value: Buffer | string | null
  readonly headers?: readonly Header[]
  readonly partition?: number
  readonly timestampMs?: number
}

export interface StreamOptions {
  readonly partitions?: number
  readonly brokers?: string
  readonly databaseUrl?: string
  readonly migrated?: boolean
}

const open: (() => Promise<void>)[] = []
let producers: Map<string, Promise<KafkaProducer>>

/** Call it once in a test file that uses {@link aStream}. */
export function streamTools(): void {
  beforeAll(() => {
    producers = new Map()
  })
  afterAll(async () => {
    for (const close of open.splice(0)) await close()
    for (const producer of producers.values()) await (await producer).close()
  })
}

export async function aStream(options: StreamOptions = {}): Promise<Stream> {
  const brokers = options.brokers ?? kafkaBrokers()
  const connection = { brokers: [brokers], security: {}, extra: {} }
  const names = freshTopics('orders')
  const databaseUrl = options.databaseUrl ?? (await freshDatabase())
  if (options.migrated ?? true) await migrate(databaseUrl, 'up')
  const started = producers.get(brokers) ?? startProducer({ connection })
  producers.set(brokers, started)
  const producer = await started
  const partitions = options.partitions ?? 3
  await ensureTopics(connection, producer, { ...names, partitions, replication: 1 })
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 })
  pool.on('error', () => {})
  open.push(() => pool.end())

  async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await pool.query<Row>(text, values)).rows
  }

  return {
    ...names,
    databaseUrl,
    brokers,
    query,
    async produce(records) {
      await Promise.all(
        records.map(({ key = null, value, headers = [], ...where }) =>
          producer.produce({
            topic: names.topic,
            key,
            value: typeof value === 'string' ? Buffer.from(value) : value,
            headers,
            ...where,
          }),
        ),
      )
    },
    async settled() {
      const [row] = await query<{ settled: string | null }>(
        'SELECT sum(next_offset - first_offset) AS settled FROM stream_progress WHERE topic = $1',
        [names.topic],
      )
      return Number(row?.settled ?? 0)
    },
    async readAll(topic) {
      await using inspector = await startInspector({ connection, groupId: names.groupId })
      return await Array.fromAsync(inspector.read(topic))
    },
    async committed() {
      await using inspector = await startInspector({ connection, groupId: names.groupId })
      const positions = await inspector.committed(await inspector.partitions(names.topic))
      return positions.reduce((sum, { nextOffset }) => sum + Number(nextOffset), 0)
    },
  }
}
