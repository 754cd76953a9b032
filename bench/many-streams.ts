/**
 * How long a record waits where one process runs many streams that have little to do, by the number of libuv's threads: the poll of each
 * stream holds one until a record comes, for half a second at most. Real Kafka and PostgreSQL.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { parseCount } from '#src/cli/arguments.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { type GuardedProcess, startGuarded } from '#tools/demo/servers/guarded-process.ts'
import { ask, freshDatabase } from './database.ts'
import { cpuSecondsOfTree, peakMemoryOfTree } from './process-figures.ts'
import { type Servers, since, startServers } from './servers.ts'

const { streams, threads, rounds } = new Command('many-streams')
  .description('Measures latency, idle CPU and memory of a process with many streams.')
  .option('--streams <n>', 'in one process', parseCount, 24)
  .option('--threads <n,…>', 'values of UV_THREADPOOL_SIZE, which take turns', text => text.split(','), ['8', '32'])
  .option('--rounds <n>', 'of all of them', parseCount, 2)
  .parse()
  .opts<{ streams: number; threads: readonly string[]; rounds: number }>()

const HOLDFAST = fileURLToPath(new URL('../bin/holdfast', import.meta.url))
const CONFIG = fileURLToPath(new URL('many-streams.config.ts', import.meta.url))
const NAMES = Array.from({ length: streams }, (_, index) => `stream_${index + 1}`)
/** A second, over all streams: each has little to do. */
const RATE = 24
const SECONDS = 20
const IDLE_SECONDS = 10

const folder = mkdtempSync(join(tmpdir(), 'holdfast-many-'))
await using servers = await startServers({ dataDir: undefined, log: line => console.error(line) })
console.log(`${streams} streams in a process, ${RATE} records a second over all of them for ${SECONDS} s`)
console.log('threads  p50 ms  p99 ms  max ms  idle CPU %  peak MiB')
for (let round = 0; round < rounds; round++) for (const size of threads) await measure(servers, size, round)
rmSync(folder, { recursive: true })

async function measure(on: Servers, size: string, round: number): Promise<void> {
  const run = `t${size}_${round}`
  await using database = await freshDatabase(on.postgres, run, { keep: false })
  const env = {
    PATH: process.env.PATH ?? '',
    BENCH_STREAMS: String(streams),
    HOLDFAST_CONFIG: CONFIG,
    KAFKA_BROKERS: on.brokers,
    KAFKA_TOPIC_PARTITIONS: '1',
    DATABASE_URL: database.url,
    HTTP_PORT: '0',
    LOG_LEVEL: 'warn',
    UV_THREADPOOL_SIZE: size,
  }
  for (const name of NAMES) {
    const { stdout } = await promisify(execFile)(HOLDFAST, ['stream', 'migration', name, '--offline'], {
      env,
      cwd: folder,
    })
    await ask(database.url, stdout.split('-- Down Migration')[0] ?? '')
  }
  const service = await startGuarded({
    ...{ command: HOLDFAST, args: ['serve'], cwd: folder, env, logFile: join(folder, `${run}.log`) },
    ...{ stopSignal: 'SIGTERM', graceMs: 30_000 },
  })
  try {
    await warmUp(on, database.url, run)
    const idleBefore = cpuSecondsOfTree(service.pid)
    await sleep(IDLE_SECONDS * 1_000)
    const idle = since(cpuSecondsOfTree(service.pid), idleBefore)
    await send(on, `${run}_paced`, RATE * SECONDS)
    report(size, await latencies(database.url, `${run}_paced`, RATE * SECONDS), idle, service)
  } finally {
    await service.stop()
  }
}

/** One record for each stream, and until all are stored: every stream has its partitions. */
async function warmUp(on: Servers, url: string, run: string): Promise<void> {
  await send(on, `${run}_warm`, streams)
  await latencies(url, `${run}_warm`, streams)
}

/** To the streams in turn, evenly. */
async function send(on: Servers, prefix: string, count: number): Promise<void> {
  await using producer = await startProducer({ connection: on.connection })
  const start = performance.now()
  const acknowledged: Promise<unknown>[] = []
  for (let n = 0; n < count; n++) {
    const id = `${prefix}_${n}`
    const topic = NAMES[n % streams] ?? ''
    const value = Buffer.from(JSON.stringify({ id, n }))
    acknowledged.push(producer.produce({ topic, key: Buffer.from(id), value, headers: [] }))
    await sleep(Math.max(0, start + ((n + 1) * 1_000) / RATE - performance.now()))
  }
  await Promise.all(acknowledged)
}

/**
 * Waits until `count` records are stored.
 * @returns from the timestamp of each to the start of the transaction that stored it, in ms, in ascending order
 */
async function latencies(url: string, prefix: string, count: number): Promise<number[]> {
  const each = NAMES.map(
    name =>
      `SELECT extract(epoch FROM stored_at) * 1000 - source_timestamp AS ms FROM ${name} WHERE id LIKE '${prefix}\\_%'`,
  )
  for (let tries = 0; tries < 60; tries++) {
    const rows = await ask<{ ms: string }>(url, `${each.join(' UNION ALL ')} ORDER BY ms`)
    if (rows.length === count) return rows.map(({ ms }) => Number(ms))
    await sleep(1_000)
  }
  throw new Error(`${prefix}: not all of ${count} records were stored within a minute`)
}

function report(size: string, sorted: readonly number[], idle: number | undefined, service: GuardedProcess): void {
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]?.toFixed(0) ?? '?'
  const idlePercent = idle === undefined ? '?' : ((idle / IDLE_SECONDS) * 100).toFixed(1)
  const peak = peakMemoryOfTree(service.pid)
  const memory = peak === undefined ? '?' : (peak / 1024 / 1024).toFixed(0)
  const columns = [size, at(0.5), at(0.99), at(1), idlePercent, memory]
  const widths = [7, 6, 6, 6, 10, 8]
  console.log(columns.map((column, index) => column.padStart(widths[index] ?? 0)).join('  '))
}
