import { setTimeout as outage } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { startHoldfast } from '../support/cli.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { eventually } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const TERMINAL = new URL('../support/typed-at-a-terminal.mjs', import.meta.url).href

/** Longer than the demo goes without a look at the tables. */
const OUTAGE_MS = 1_000

it('goes on after Postgres was away, and ends with its summary and the proof', async () => {
  // Given a demo on a Postgres whose way can be cut, which somebody has allowed it to use by typing the database's name
  const stream = await aStream({ partitions: 2 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const database = new URL(stream.databaseUrl).pathname.slice(1)
  const demo = startHoldfast(
    {
      ...stream,
      databaseUrl: wire.url,
      env: { HTTP_PORT: '0', NODE_OPTIONS: `--import ${TERMINAL}`, TYPED: database },
    },
    ...['demo', '--use-env', '--rate', '50/s', '--invalid', '10%', '--json'],
  )
  const ready = await eventually(() => linesOf(demo.said().stdout)[0], 'its being ready')
  expect(ready).toEqual({
    ready: true,
    url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
    kafka: stream.brokers,
    database: wire.url,
    admin_key: expect.any(String),
    pid: expect.any(Number),
  })
  await eventually(async () => (await stream.settled()) > 50, 'orders being settled')

  // When Postgres is away for a while, and then told to stop
  const status = async () => (await fetch(`${ready.url}/readyz`, { headers: { Connection: 'close' } })).status
  wire.set({ kind: 'reset' })
  await eventually(async () => (await status()) === 503, 'the service noticing')
  await outage(OUTAGE_MS)
  wire.set({ kind: 'pass' })
  await eventually(async () => (await status()) === 200, 'the service going on')
  demo.kill('SIGINT')

  // Then it was there all the time, all that it sent is settled, and the proof holds
  expect(await demo.exited).toBe(0)
  const summary = linesOf(demo.said().stdout)[1] ?? {}
  const { produced, written, superseded, stale, duplicate, dead_lettered } = summary as Record<string, number> & {
    readonly dead_lettered: Readonly<Record<string, number>>
  }
  const ends = [written, superseded, stale, duplicate, ...Object.values(dead_lettered)]
  expect(ends.reduce((sum = 0, n = 0) => sum + n, 0)).toBe(produced)
  expect(summary).toMatchObject({ seconds: expect.any(Number), orders_per_second: expect.any(Number), verify: 'ok' })
  expect(Object.keys(summary)).toHaveLength(9)
})

function linesOf(stdout: string): Record<string, unknown>[] {
  return stdout
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line) as Record<string, unknown>)
}
