import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import { afterAll, expect, it, vi } from 'vitest'
import { startKafka } from '#tools/demo/servers/kafka.ts'
import { askForMetadata } from '#tools/demo/servers/kafka-probe.ts'
import { processIdentity } from '#tools/demo/servers/machine.ts'
import { startPostgres } from '#tools/demo/servers/postgres.ts'
import { startStack } from '#tools/demo/servers/stack.ts'
import { eventually } from '../../support/service.ts'

const kept = mkdtempSync(join(tmpdir(), 'holdfast-test-'))
chmodSync(kept, 0o755) // as root, PostgreSQL runs as another user, who must get into it
afterAll(() => rmSync(kept, { recursive: true, force: true }))

/** A folder may have any name. */
const ODD = `ä 漢, 'q" %d $HOME \\x;#`

it('PostgreSQL keeps what was committed through a crash, a restart and the next run on the same folder', async () => {
  const dir = join(kept, `${ODD} postgres`)
  {
    await using postgres = await startPostgres({ dir })
    await select(postgres.url, 'CREATE TABLE kept AS SELECT 42 AS answer')
    // At work when its server is killed: it holds on to the old server's memory until it is done, which a file tells it.
    const done = join(kept, 'done')
    const busy = new pg.Client({ connectionString: postgres.url, application_name: 'busy' })
    busy.on('error', () => {})
    await busy.connect()
    const untilDone = `DO $$ BEGIN
      WHILE pg_stat_file('${done}', true) IS NULL AND clock_timestamp() < now() + interval '2 minutes' LOOP END LOOP;
    END $$`
    const work = busy.query(untilDone).catch(() => {})
    const isAtWork = `SELECT 1 FROM pg_stat_activity WHERE application_name = 'busy' AND state = 'active'`
    await eventually(async () => (await select(postgres.url, isAtWork)).length > 0, 'its being at work')
    postgres.kill('SIGKILL')
    const restarted = postgres.restart()
    setTimeout(() => writeFileSync(done, ''), 500)
    await restarted
    await work
    expect(await select(postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
    await postgres.stop('immediate')
    await postgres.restart()
    expect(await select(postgres.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])
  }
  await using again = await startPostgres({ dir })
  expect(await select(again.url, 'SELECT answer FROM kept')).toEqual([{ answer: 42 }])

  // And its log, which only its user may read, holds no row: not even of one that it refuses
  await select(again.url, 'CREATE TABLE few (name text CHECK (length(name) < 5))')
  const client = new pg.Client({ connectionString: again.url })
  await client.connect()
  await expect(client.query('INSERT INTO few VALUES ($1)', ['Test Testov'])).rejects.toThrow('few_name_check')
  await client.end()
  const log = await eventually(() => {
    const text = readFileSync(again.logFile, 'utf8')
    return text.includes('few_name_check') ? text : undefined
  }, 'the refusal being logged')
  expect(log).not.toContain('Testov')
  expect(statSync(again.logFile).mode & 0o077).toBe(0)
})

it('Kafka comes back on the same port after a crash, and on other ports with a folder that was kept', async () => {
  const dir = join(kept, `${ODD} kafka`)
  {
    await using kafka = await startKafka({ dir })
    const { brokers, pid } = kafka
    kafka.kill('SIGKILL')
    await kafka.restart()
    expect(kafka.brokers).toBe(brokers)
    expect(kafka.pid).not.toBe(pid)
    await expect.poll(() => askForMetadata(portOf(brokers))).toBeUndefined()
    expect(existsSync(join(dir, 'data', 'meta.properties'))).toBe(true)
  }
  await using again = await startKafka({ dir })
  await expect.poll(() => askForMetadata(portOf(again.brokers))).toBeUndefined()
})

it('Kafka opens a listener for a proxy, and sends its clients through it', async () => {
  await using kafka = await startKafka({ proxyPort: 54321 })
  expect(kafka.proxied?.brokers).toBe('127.0.0.1:54321')
  await expect.poll(() => askForMetadata(Number(kafka.proxied?.upstreamPort))).toBeUndefined()
})

it('a stack starts nothing that the caller brings, and stops only what it started', async () => {
  const stack = await startStack({ kafkaBrokers: 'kafka.example:9092', databaseUrl: 'postgres://db.example/orders' })
  expect(stack).toMatchObject({ kafkaBrokers: 'kafka.example:9092', databaseUrl: 'postgres://db.example/orders' })
  expect(stack.kafka ?? stack.postgres).toBeUndefined()
  await stack.stop()
  await stack.stop()
})

it('both real servers end, and leave no files, when their owner is killed with -9', async () => {
  const module = new URL('../../../tools/demo/servers/stack.ts', import.meta.url).href
  const script = `
    import { startStack } from ${JSON.stringify(module)}
    const { kafka, postgres } = await startStack()
    console.log(JSON.stringify([kafka, postgres].map(({ pid, dir }) => ({ pid, dir }))))
    setInterval(() => {}, 60_000)`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: owner.stdout }), 'line')
  const servers: { pid: number; dir: string }[] = JSON.parse(line)
  expect(servers.map(({ pid }) => processIdentity(pid))).not.toContain(undefined)

  owner.kill('SIGKILL')
  await vi.waitFor(() => {
    expect(servers.map(({ pid }) => processIdentity(pid))).toEqual([undefined, undefined])
    expect(servers.map(({ dir }) => existsSync(dir))).toEqual([false, false])
  }, 60_000)
})

function portOf(brokers: string): number {
  return Number(brokers.split(':')[1])
}

async function select(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}
