/**
 * How fast dead letters are redriven, into the store and to the topic, by the command beside a running service. Real Kafka and
 * PostgreSQL, default settings. The letters are orders that an earlier version of the service refused by mistake.
 */

import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from 'commander'
import { parseCount } from '#src/cli/arguments.ts'
import { ensureTopics } from '#src/engine/kafka/admin.ts'
import { startProducer } from '#src/engine/kafka/producer.ts'
import { REDRIVE_TARGETS, type Redrive, type RedriveTarget } from '#src/inbox/redrive-ports.ts'
import { startGuarded } from '#tools/demo/servers/guarded-process.ts'
import { grouped } from '../src/engine/grouped.ts'
import { anOrder } from '../test/support/orders.ts'
import { ask, freshDatabase } from './database.ts'
import { median } from './measurement.ts'
import { startServers } from './servers.ts'

const { letters, rounds } = new Command('redrive')
  .description('Measures redrives of dead letters into the store and to the topic.')
  .option('--letters <n>', 'that are redriven', parseCount, 15_913)
  .option('--rounds <n>', 'the ways take turns', parseCount, 2)
  .parse()
  .opts<{ letters: number; rounds: number }>()

const CHECKOUT = fileURLToPath(new URL('..', import.meta.url))
const HOLDFAST = join(CHECKOUT, 'bin/holdfast')
/** The earlier version of the service wants zips of digits. */
const STRICTER = join(CHECKOUT, 'test/support/stricter-schema.mjs')
const PARTITIONS = 6
const UNGUARDED = ['--canary', '0', '--max-failures', 'off', '--yield-above', 'off'] as const

const folder = mkdtempSync(join(tmpdir(), 'holdfast-redrive-'))
try {
  await using servers = await startServers({ dataDir: undefined, log: line => console.error(line) })
  const { brokers, connection, postgres } = servers
  await using producer = await startProducer({ connection })
  const seconds = new Map<RedriveTarget, number[]>()
  for (let round = 0; round < rounds; round++) {
    const ways = round % 2 === 0 ? REDRIVE_TARGETS : REDRIVE_TARGETS.toReversed()
    for (const to of ways) seconds.set(to, [...(seconds.get(to) ?? []), await measure(`r${round}_${to}`, to)])
  }
  console.log(`${grouped(letters)} dead letters, all of which pass; median of ${rounds}`)
  for (const [to, times] of seconds) {
    const rate = grouped(Math.round(letters / median(times)))
    console.log(
      `  --to ${to.padEnd(6)} ${median(times).toFixed(1).padStart(6)} s  ${rate}/s  (${times.map(time => time.toFixed(1)).join(', ')})`,
    )
  }

  /** @returns seconds from its start until the last letter was settled */
  async function measure(run: string, to: RedriveTarget): Promise<number> {
    const names = { topic: `${run}.orders`, dlqTopic: `${run}.orders.dlq` }
    await ensureTopics(connection, producer, { ...names, partitions: PARTITIONS, replication: undefined })
    for (let start = 0; start < letters; start += 5_000) {
      const count = Math.min(5_000, letters - start)
      await Promise.all(
        Array.from({ length: count }, (_, n) => producer.produce({ topic: names.topic, ...british(start + n) })),
      )
    }
    await using database = await freshDatabase(postgres, run, { keep: false })
    const env = {
      PATH: `${dirname(process.execPath)}:${process.env.PATH ?? ''}`,
      ...{ KAFKA_BROKERS: brokers, KAFKA_TOPIC: names.topic, KAFKA_DLQ_TOPIC: names.dlqTopic, KAFKA_GROUP_ID: run },
      ...{ DATABASE_URL: database.url, HTTP_PORT: '0', DLQ_STORM_MAX_CONSECUTIVE: '0', DLQ_STORM_RATIO: '0' },
    }
    const serve = (over: Readonly<Record<string, string>>) =>
      startGuarded({
        ...{ command: HOLDFAST, args: ['serve', '--roles', 'consumer'], cwd: folder, env: { ...env, ...over } },
        ...{ logFile: join(folder, `${run}.log`), stopSignal: 'SIGTERM', graceMs: 30_000 },
      })
    const strict = await serve({ NODE_OPTIONS: `--import=${STRICTER}` })
    await until(database.url, 'SELECT count(*) = $1 AS ok FROM holdfast.dead_letters')
    await strict.stop()
    const service = await serve({})
    const { stdout } = await promisify(execFile)(
      HOLDFAST,
      ['dlq', 'redrive', 'state:open', '--to', to, '--rate', 'off', ...UNGUARDED, '--yes', '--json'],
      { cwd: folder, env },
    )
    const redrive = JSON.parse(stdout) as Redrive
    if (redrive.resolved !== letters) throw new Error(`${redrive.resolved} of ${letters} were resolved: ${stdout}`)
    const [span] = await ask<{ seconds: number }>(
      database.url,
      `SELECT extract(epoch FROM max(e.at) - (SELECT min(started_at) FROM holdfast.replays))::float8 AS seconds
        FROM holdfast.dead_letter_events AS e WHERE e.what = 'resolved'`,
    )
    await service.stop()
    return span?.seconds ?? Number.NaN
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** Valid, but for the schema of the earlier version. */
function british(n: number) {
  const order = anOrder({ uid: `british-${n}`, items: 3 })
  const value = JSON.stringify({ ...order, delivery: { ...order.delivery, zip: 'SW1A 1AA' } })
  return { key: Buffer.from(order.order_uid), value: Buffer.from(value), headers: [] }
}

async function until(url: string, question: string): Promise<void> {
  for (;;) {
    const [row] = await ask<{ ok: boolean }>(url, question, [letters])
    if (row?.ok) return
    await new Promise<void>(resolve => setTimeout(resolve, 500))
  }
}
