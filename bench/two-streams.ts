/** The shape `two-streams`: orders, and returns beside them, in one process. */
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import type { KafkaConnection } from '#src/engine/kafka/client.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { RETURN_TABLES, someReturns, TWO_STREAMS } from '../test/support/two-streams.ts'
import type { Backlog } from './backlog.ts'
import { differences, ledgerFailures, recordsPerBatch, tallyOf } from './checks.ts'
import { DRAIN, givenSettings, serviceContender, serviceOptions } from './contenders.ts'
import { ask, migrated } from './database.ts'
import { drainBacklog } from './drain-span.ts'
import type { ShapeResult } from './figures.ts'
import { type Bench, type Contender, takeTurns } from './rounds.ts'

const BOTH = 'both streams'
const TOPIC = 'returns'
const CHUNK = 5_000

export async function measureTwoStreams(
  bench: Bench,
  backlog: Backlog,
): Promise<Omit<ShapeResult, 'shape' | 'orders'>> {
  const ends = await produceReturns(bench.servers.connection, backlog)
  const contenders = [serviceContender(bench, backlog, { name: DRAIN }), bothStreams(bench, backlog, ends)]
  const measurements = await takeTurns(bench, 'two-streams', contenders)
  return { bases: [DRAIN], measurements, further: {}, failures: [] }
}

/** As many returns as there are orders. @returns the next offset of each partition */
async function produceReturns(connection: KafkaConnection, { orders, partitions }: Backlog): Promise<bigint[]> {
  const ends = Array.from({ length: partitions }, () => 0n)
  await using producer = await startProducer({ connection })
  const topics = { topic: TOPIC, dlqTopic: `${TOPIC}.dlq`, partitions, replication: undefined }
  await ensureTopics(connection, producer, topics)
  for (let start = 0; start < orders; start += CHUNK) {
    const records = someReturns(start, Math.min(orders, start + CHUNK))
    const places = records.map(({ key, value }) =>
      producer.produce({ topic: TOPIC, key, value: Buffer.from(value), headers: [] }),
    )
    for (const { partition, offset } of await Promise.all(places)) {
      if (offset >= (ends[partition] ?? 0n)) ends[partition] = offset + 1n
    }
  }
  return ends
}

function bothStreams(bench: Bench, backlog: Backlog, ends: readonly bigint[]): Contender {
  const { servers, options } = bench
  return {
    name: BOTH,
    async prepare(databaseUrl) {
      await migrated(databaseUrl)
      await ask(databaseUrl, RETURN_TABLES)
    },
    async work(databaseUrl, run) {
      const returns = { topic: TOPIC, dlqTopic: `${TOPIC}.dlq`, groupId: `${run}_returns`, ends }
      const settings = {
        ...givenSettings(),
        HOLDFAST_CONFIG: TWO_STREAMS,
        RETURNS_TOPIC: returns.topic,
        RETURNS_DLQ_TOPIC: returns.dlqTopic,
        RETURNS_GROUP_ID: returns.groupId,
      }
      const span = await drainBacklog(servers, {
        ...serviceOptions(bench, backlog, databaseUrl, run, { name: BOTH, settings }),
        others: [returns],
        ...{ processes: options.processes, scrapeEveryMs: undefined },
      })
      const failures = [
        ...span.failures,
        ...differences(await tallyOf(databaseUrl), backlog.expected),
        ...(await ledgerFailures(databaseUrl, run, { ...backlog, times: 1 })),
        ...(await ledgerFailures(databaseUrl, returns.groupId, { ...returns, invalid: 0, times: 1 })),
        ...(await returnFailures(databaseUrl, backlog.orders)),
      ]
      return [{ contender: BOTH, ...span, recordsPerBatch: await recordsPerBatch(databaseUrl, run), failures }]
    },
  }
}

/** Each return has one to three lines, in turn (`aReturn`). */
async function returnFailures(databaseUrl: string, count: number): Promise<string[]> {
  const [row] = await ask<{ returns: string; lines: string }>(
    databaseUrl,
    'SELECT (SELECT count(*) FROM returns) AS returns, (SELECT count(*) FROM return_lines) AS lines',
  )
  const lines = Array.from({ length: count }, (_, number) => 1 + (number % 3)).reduce((sum, each) => sum + each, 0)
  const found = `${row?.returns} returns with ${row?.lines} lines`
  const wanted = `${count} returns with ${lines} lines`
  return found === wanted ? [] : [`${found} in the tables, ${wanted} generated`]
}
