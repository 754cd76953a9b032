import type pg from 'pg'
import { afterAll, beforeAll } from 'vitest'
import { verifyStream } from '#src/cli/proof.ts'
import { BrokerUnavailableError } from '#src/engine/errors.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startInspector } from '#src/engine/kafka/inspector.ts'
import { type KafkaProducer, startProducer } from '#src/engine/kafka/producer.ts'
import { migrate } from '#src/engine/postgres/migrate.ts'
import { createPool } from '#src/engine/postgres/pool.ts'
import type { Header, SourceRecord } from '#src/engine/record.ts'
import { loadConfig } from '#src/settings/config.ts'
import { eventually } from './service.ts'
import { type FreshTopics, freshDatabase, freshTopics, kafkaBrokers } from './stack.ts'
import { orderStream } from './streams.ts'

/** A topic, its dead-letter topic and a migrated database, for one test; and the tools to look at them. */
export interface Stream extends FreshTopics {
  readonly databaseUrl: string
  readonly brokers: string
  /** In this order, as far as a partition knows one. @returns where each of them stands. */
  produce(records: readonly ProducedRecord[]): Promise<ProducedAt[]>
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<Row[]>
  /** Sum of the progress rows minus where they began: records that are settled. */
  settled(): Promise<number>
  /** Everything in a topic, in order of partition and offset. */
  readAll(topic: string): Promise<SourceRecord[]>
  /** What the broker holds as committed by the group, summed over the partitions. */
  committed(): Promise<number>
  /** The ledger's rows, by partition and offset. */
  ledger(): Promise<LedgerRow[]>
  /** What `holdfast verify` finds amiss in ledger, tables, commits and dead letters, or could not ask; `deep`: and the rows, value for value. None is good. */
  findings(options?: { readonly deep?: boolean }): Promise<string[]>
  /** The same topics and tables, seen as another consumer group. */
  asGroup(groupId: string): Stream
}

export interface ProducedAt {
  readonly partition: number
  readonly offset: bigint
}

/** One settled batch: what became of the offsets `[from, to)` of its partition. */
export interface LedgerRow {
  readonly partition: number
  readonly from: number
  readonly to: number
  readonly records: number
  readonly written: number
  readonly duplicate: number
  readonly stale: number
  readonly superseded: number
  readonly dead_lettered: number
  readonly gaps: number
  readonly expired: number
  readonly skipped: number
}

/** The ledger's rows added up. `from` and `to` become the number of offsets that they cover. */
export function totalOf(
  rows: readonly LedgerRow[],
): Omit<LedgerRow, 'partition' | 'from' | 'to'> & { offsets: number } {
  const sum = (of: (row: LedgerRow) => number) => rows.reduce((total, row) => total + of(row), 0)
  return {
    offsets: sum(row => row.to - row.from),
    records: sum(row => row.records),
    written: sum(row => row.written),
    duplicate: sum(row => row.duplicate),
    stale: sum(row => row.stale),
    superseded: sum(row => row.superseded),
    dead_lettered: sum(row => row.dead_lettered),
    gaps: sum(row => row.gaps),
    expired: sum(row => row.expired),
    skipped: sum(row => row.skipped),
  }
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
  /** Brokers that hold each record. Default: one. */
  readonly replication?: number
  readonly brokers?: string
  readonly databaseUrl?: string
  readonly migrated?: boolean
  /** Default: names that no other test uses. */
  readonly names?: FreshTopics
  /** Where our own tables stand just now, for what this looks up. Default: `holdfast`; before migration 0022 it is `public`. */
  readonly home?: () => string
}

/** Bounds of what the tests themselves ask of a broker: on a machine that is busy with others it may be silent for many seconds. */
const PATIENT = { connectTimeoutMs: 60_000, deliveryTimeoutMs: 60_000 }

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
  const names = options.names ?? freshTopics('orders')
  const { migrated = true } = options
  const databaseUrl = options.databaseUrl ?? (await freshDatabase({ migrated }))
  if (migrated && options.databaseUrl !== undefined) await migrate(databaseUrl, 'up')
  const started = producers.get(brokers) ?? startProducer({ connection, ...PATIENT })
  producers.set(brokers, started)
  const producer = await started
  const partitions = options.partitions ?? 3
  await ensureTopics(connection, producer, { ...names, partitions, replication: options.replication ?? 1 })
  // As the service reaches it: the URL may name several servers.
  const pool = createPool({ url: databaseUrl, schema: 'holdfast', max: 2, statementTimeoutMs: 60_000, name: 'test' })
  open.push(() => pool.end())

  async function query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    const placed = options.home === undefined ? text : text.replaceAll('holdfast.', `${options.home()}.`)
    return (await pool.query<Row>(placed, values)).rows
  }

  const seenAs = (groupId: string): Stream => ({
    ...names,
    groupId,
    databaseUrl,
    brokers,
    query,
    asGroup: seenAs,
    async produce(records) {
      return await Promise.all(
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
        'SELECT sum(next_offset - first_offset) AS settled FROM holdfast.stream_progress WHERE topic = $1 AND group_id = $2',
        [names.topic, groupId],
      )
      return Number(row?.settled ?? 0)
    },
    async readAll(topic) {
      const read = async () => {
        await using inspector = await startInspector({ connection, groupId })
        return await Array.fromAsync(inspector.read(topic))
      }
      // A broker that is silent for seconds, as on a busy machine, is asked again.
      return await eventually(() => read().catch(unlessAway), 'the topic being read')
    },
    async committed() {
      const ask = async () => {
        await using inspector = await startInspector({ connection, groupId })
        return await inspector.committed(await inspector.partitions(names.topic))
      }
      // A broker that has just started, or was frozen, rejects the request until it coordinates the group again.
      const positions = await eventually(() => ask().catch(unlessAway), 'the commits being told')
      return positions.reduce((sum, { nextOffset }) => sum + Number(nextOffset), 0)
    },
    async ledger() {
      const rows = await query<Record<keyof LedgerRow, string>>(
        `SELECT partition, from_offset AS "from", to_offset AS "to", records, written, duplicate, stale, superseded,
           dead_lettered, gaps, expired, skipped
         FROM holdfast.stream_ledger WHERE topic = $1 AND group_id = $2 ORDER BY partition, from_offset`,
        [names.topic, groupId],
      )
      // int8 arrives as text; a test's offsets are small.
      return rows.map(row =>
        Object.fromEntries(Object.entries(row).map(([name, value]) => [name, Number(value)])),
      ) as unknown as LedgerRow[]
    },
    async findings({ deep = false } = {}) {
      const env = {
        KAFKA_BROKERS: brokers,
        KAFKA_TOPIC: names.topic,
        KAFKA_DLQ_TOPIC: names.dlqTopic,
        KAFKA_GROUP_ID: groupId,
        DATABASE_URL: databaseUrl,
      }
      const verify = () => verifyStream(loadConfig(env), orderStream(env), deep ? { deep: () => {} } : { full: true })
      // A broker that is silent for seconds, as on a busy machine, is asked again.
      let proof = await verify()
      for (let again = 0; again < 3 && proof.unasked.length > 0; again++) proof = await verify()
      const { findings, unasked } = proof
      return [
        ...findings.map(
          ({ partition, offset, what }) => `partition ${partition ?? '?'}, offset ${offset ?? '?'}: ${what}`,
        ),
        ...unasked.map(({ what, why }) => `could not ask for ${what}: ${why}`),
      ]
    },
  })
  return seenAs(names.groupId)
}

function unlessAway(error: unknown): undefined {
  if (!(error instanceof BrokerUnavailableError)) throw error
}
