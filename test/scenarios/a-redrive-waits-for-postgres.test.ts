import { expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { holdfast, startHoldfast } from '../support/cli.ts'
import { lockOrders } from '../support/locks.ts'
import { anOrder } from '../support/orders.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { letterCounts, membersIn, redriven, redrives } from '../support/redrives.ts'
import { runJob } from '../support/run-job.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

/** Eighteen seconds' worth: Postgres is away in the first of them, on a machine that is busy with others as well. */
const LETTERS = 90
const RATE = '5/s'

it('waits while Postgres is away in the midst of it, and sends each member once', async () => {
  const postgres = await ownPostgres()
  const stream = await aStream({ databaseUrl: postgres.url })
  await stream.produce(brokenOrders(LETTERS))
  const service = await startService({ ...stream, env: { RETRY_MAX_MS: '500' } })
  await eventually(async () => (await stream.settled()) === LETTERS, 'them being set aside')
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')

  // Given a redrive that the service works on, or the command of the operator who watches it: whoever was first
  const watching = startHoldfast(
    stream,
    ...[
      'dlq',
      'replay',
      'state:open',
      '--to',
      'topic',
      '--rate',
      RATE,
      '--canary',
      '0',
      '--max-failures',
      'off',
      '--yes',
    ],
  )
  const waits = () =>
    service.log.some(({ event }) => event === 'replay_waiting') || watching.said().stderr.includes('waiting: ')
  await eventually(async () => (await membersIn(stream, 'failed_again')) > 0, 'it being at work')

  // When Postgres crashes, and stays away for some seconds
  await postgres.stop('immediate')
  await eventually(waits, 'the redrive waiting')
  // Then nothing more is sent that could not be written down
  const sentUntilThen = (await redriven(stream)).length
  expect(sentUntilThen).toBeLessThan(LETTERS)
  await new Promise<void>(resolve => setTimeout(resolve, 3_000))
  expect(await redriven(stream)).toHaveLength(sentUntilThen)
  await postgres.restart()

  // And it goes on by itself, and each member is in the topic once
  expect(await watching.exited).toBe(1)
  expect(await redrives(stream)).toMatchObject([
    { state: 'done', published: LETTERS, failed_again: LETTERS, skipped: 0 },
  ])
  const ids = (await redriven(stream)).map(({ id }) => id)
  expect(ids).toHaveLength(LETTERS)
  expect(new Set(ids).size).toBe(LETTERS)
  expect(await letterCounts(stream)).toEqual({ 'open 1': LETTERS })
  await eventually(async () => (await stream.findings()).length === 0, 'the proof')
  expect(await service.stop()).toBe(0)
})

it('redrives by itself what was set aside while the store could not take it, once that is switched on', async () => {
  // Given a service that does not wait for ever, and a table that is locked for a while
  const stream = await aStream()
  const env = {
    OUTAGE_POLICY: 'dead-letter',
    RETRY_MAX_ATTEMPTS: '2',
    RETRY_MAX_MS: '200',
    PG_STATEMENT_TIMEOUT_MS: '3000',
    AUTO_REDRIVE_DELAYS: '1s',
  }
  const service = await startService({ ...stream, env })
  await eventually(() => isReady(service), 'readiness')
  await eventually(() => service.log.some(({ event }) => event === 'jobs_started'), 'the jobs')
  const lock = await lockOrders(stream)
  const orders = Array.from({ length: 12 }, (_, n) => anOrder({ uid: `victim-${n}` }))
  await stream.produce(orders.map((order, n) => ({ value: JSON.stringify(order), partition: n % 3 })))
  await eventually(async () => (await letterCounts(stream))['open 0'] === 12, 'them being set aside')
  await lock.release()
  const reasons = await stream.query('SELECT DISTINCT reason FROM holdfast.dead_letters')
  expect(reasons).toEqual([{ reason: 'retries_exhausted' }])

  // When the schedule comes and it is off, nothing happens; when it is switched on, they are redriven
  await runJob(stream, 'orders.automatic-redrive')
  expect(await redrives(stream)).toEqual([])
  const on = await holdfast(stream, 'dlq', 'auto', 'on', '--because', 'the table is free again', '--json')
  expect(JSON.parse(on.stdout)).toMatchObject({ on: true, next_run: expect.any(String) })
  await runJob(stream, 'orders.automatic-redrive')
  await eventually(async () => (await letterCounts(stream))['resolved 1'] === 12, 'them being resolved')

  // Then the list of redrives shows it, and the orders are stored
  // (Its records may be settled before their worker has noted that they are sent.)
  await eventually(async () => (await redrives(stream))[0]?.state === 'done', 'the redrive being done')
  expect(await redrives(stream)).toMatchObject([
    {
      automatic: true,
      requested_by: 'automatic',
      state: 'done',
      total: 12,
      filter: 'reason:retries_exhausted,unexpected_error state:open replays:0 age:>1s',
    },
  ])
  const [stored] = await stream.query<{ count: number }>('SELECT count(*)::int AS count FROM orders')
  expect(stored?.count).toBe(12)
  await eventually(async () => (await stream.findings()).length === 0, 'the proof')
})
