/** The shape `latency`: how long it takes from a record to its commit, while records come at an even rate. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import type { Backlog } from './backlog.ts'
import { DRAIN, serviceContender, serviceOptions } from './contenders.ts'
import { ask, freshDatabase } from './database.ts'
import { stopAll } from './drain-span.ts'
import type { Figures, ShapeResult } from './figures.ts'
import { median } from './measurement.ts'
import { createPacedSender, type PacedSender } from './paced.ts'
import { cpuSecondsOfTree } from './process-figures.ts'
import { type Bench, takeTurns } from './rounds.ts'
import { since } from './servers.ts'
import { assignedAt, startService } from './service.ts'
import { watchCommits, watching } from './watching.ts'

const RUN = 'bench_latency_paced'
/** Shares of the drain rate. */
const SHARES = [0.1, 0.5, 0.9]
const TRICKLE_PER_SECOND = 50
const SECONDS = 10
/** Seconds at the beginning of a rate that are not counted: V8, caches and batches settle. */
const SETTLING_SECONDS = 2
/** Sent beforehand, as fast as it goes, so that no rate is measured on a cold process. */
const WARM_UP_ORDERS = 20_000

/**
 * First the drain rate; then one service, warmed up, left alone for ten seconds, and given records at 50 a second and at each share
 * of that rate. Latency is the commit's time, which PostgreSQL keeps for it (`track_commit_timestamp`), less the time at which the record
 * was due. (`stored_at` would be the start of the transaction.) The commit's time is taken ahead of its flush to disk.
 */
export async function measureLatency(bench: Bench, backlog: Backlog): Promise<Omit<ShapeResult, 'shape' | 'orders'>> {
  const { servers } = bench
  const measurements = await takeTurns(bench, 'latency', [serviceContender(bench, backlog, { name: DRAIN })])
  const rate = median(measurements.map(({ ordersPerSecond }) => ordersPerSecond))
  await ask(servers.postgres.url, 'ALTER SYSTEM SET track_commit_timestamp = on')
  await servers.postgres.restart()
  try {
    const { further, failures } = await measurePaced(bench, backlog, rate)
    return { bases: [], measurements, further, failures }
  } finally {
    await ask(servers.postgres.url, 'ALTER SYSTEM RESET track_commit_timestamp')
    await servers.postgres.restart()
  }
}

async function measurePaced(bench: Bench, { partitions, seed }: Backlog, rate: number) {
  const { servers, say } = bench
  const topic = `${RUN}-topic`
  const topics = { topic, dlqTopic: `${topic}.dlq`, partitions, replication: undefined }
  await using producer = await startProducer({ connection: servers.connection })
  await ensureTopics(servers.connection, producer, topics)
  const sender = createPacedSender({
    ...{ producer, topic, partitions, seed },
    settlingSeconds: SETTLING_SECONDS,
  })
  await using database = await freshDatabase(servers.postgres, RUN, bench.options)
  const place = { topic, dlqTopic: topics.dlqTopic, ends: sender.ends }
  const options = serviceOptions(bench, place, database.url, RUN, { name: RUN })
  await using commits = await watchCommits(servers, [options.orders])
  const service = { process: await startService(servers, options), logFile: options.logFile }
  const settled = () => watching([service], async () => (await commits.open()).length === 0 || undefined)
  const cpu = () => cpuSecondsOfTree(service.process.pid)
  try {
    await watching([service], () => assignedAt(service.logFile))
    await sender.sendAtOnce(WARM_UP_ORDERS)
    await settled()
    await sleep(2_000)
    const before = cpu()
    await sleep(SECONDS * 1000)
    const idle = since(cpu(), before)
    const idlePercent = idle === undefined ? undefined : (idle / SECONDS) * 100
    const figures: Record<string, Figures[string]> = { idle_cpu_percent: idlePercent }
    const failures: string[] = []
    const loads = [
      ['trickle', TRICKLE_PER_SECOND] as const,
      ...SHARES.map(share => [`latency_${share * 100}`, share * rate] as const),
    ]
    for (const [name, ratePerSecond] of loads) {
      say(`latency: ${Math.round(ratePerSecond)} orders/s for ${SECONDS} s`)
      const sent = await sender.send(ratePerSecond, SECONDS)
      await settled()
      const { measured, ...latencies } = await latenciesOf(database.url, sent)
      for (const [figure, ms] of Object.entries(latencies)) figures[`${name}_${figure}_ms`] = ms
      if (measured !== sent.counted) failures.push(`${name}: ${measured} orders stored, ${sent.counted} sent`)
    }
    failures.push(...(await rowFailures(database.url, sender)))
    return { further: figures, failures: [...failures, ...(await stopAll([service]))] }
  } finally {
    await service.process.stop('SIGKILL')
  }
}

interface Latencies {
  readonly measured: number
  readonly p50: number
  readonly p95: number
  readonly p99: number
  readonly max: number
}

/** Latencies of the orders whose records were due in that time, in ms. */
async function latenciesOf(
  databaseUrl: string,
  sent: { readonly fromMs: number; readonly toMs: number },
): Promise<Latencies> {
  const [row] = await ask<Record<keyof Latencies, string>>(
    databaseUrl,
    `WITH latencies AS (
       SELECT extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000 - source_timestamp AS ms FROM orders
       WHERE source_timestamp >= $1 AND source_timestamp < $2
     )
     SELECT count(ms) AS measured, max(ms) AS max, percentile_cont(0.5) WITHIN GROUP (ORDER BY ms) AS p50,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY ms) AS p95, percentile_cont(0.99) WITHIN GROUP (ORDER BY ms) AS p99
     FROM latencies`,
    [sent.fromMs, sent.toMs],
  )
  const figure = (name: keyof Latencies) => Number(row?.[name])
  return {
    measured: figure('measured'),
    p50: figure('p50'),
    p95: figure('p95'),
    p99: figure('p99'),
    max: figure('max'),
  }
}

async function rowFailures(databaseUrl: string, { sent }: PacedSender): Promise<string[]> {
  const [row] = await ask<{ orders: string; items: string }>(
    databaseUrl,
    'SELECT (SELECT count(*) FROM orders) AS orders, (SELECT count(*) FROM items) AS items',
  )
  const { orders, items } = sent()
  const found = `${row?.orders} orders with ${row?.items} items`
  return found === `${orders} orders with ${items} items` ? [] : [`${found} stored, ${orders} with ${items} sent`]
}
