import { setTimeout as interval } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createPool } from '#src/engine/postgres/pool.ts'
import { createRedrives } from '#src/inbox/postgres/redrives.ts'
import { NO_GUARD } from '#src/inbox/redrive-guard.ts'
import type { RedriveRequest } from '#src/inbox/redrive-ports.ts'
import { brokenOrders } from '../support/broken-orders.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { letterCounts, membersIn, redriven } from '../support/redrives.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const LETTERS = 120
/** Twenty seconds' worth: the stop comes in the first of them, on a machine that is busy with others as well. */
const RATE_PER_SECOND = 6

it('changes hands with the partitions under live traffic, and every promise is kept', async () => {
  // Given dead letters among the orders, and two processes that do everything
  const stream = await aStream({ partitions: 6 })
  const records = generated(3_000, { seed: 11, updatesRatio: 0.4 })
  await stream.produce([...records.slice(0, 200), ...brokenOrders(LETTERS, { partitions: 6 })])
  const first = await startService(stream)
  const second = await startService(stream)
  await eventually(async () => (await stream.settled()) === 200 + LETTERS, 'all of them being settled')
  let sent = 200
  const traffic = (async () => {
    for (; sent < records.length; sent += 50) {
      await stream.produce(records.slice(sent, sent + 50))
      await interval(50)
    }
  })()
  onTestFinished(async () => {
    sent = records.length
    await traffic
  })

  // When a redrive is asked for
  const pool = createPool({
    url: stream.databaseUrl,
    schema: 'holdfast',
    max: 1,
    statementTimeoutMs: 10_000,
    name: 'test',
  })
  onTestFinished(() => pool.end())
  const redrives = createRedrives({ pool, stream: 'orders', topic: stream.topic, check: async function* () {} })
  const request: RedriveRequest = {
    filter: { terms: [{ field: 'state', not: false, values: ['open'] }] },
    rate: RATE_PER_SECOND,
    ...{ to: 'topic', limit: undefined, onlyPassing: false, edited: undefined, automatic: false },
    guard: { ...NO_GUARD, yieldAboveSeconds: 0 },
  }
  const { id } = await redrives.start(request, { who: 'ada', because: 'a test' })
  const worksOnIt = ({ log }: Service) =>
    log.some(({ event, replay_id }) => event === 'replay_taken' && replay_id === id)
  const worker = await eventually(() => [first, second].find(worksOnIt), 'one of them taking it')
  const other = worker === first ? second : first
  await eventually(async () => (await membersIn(stream, 'failed_again')) > 0, 'the redrive being settled')

  // And the process that works on it is told to leave in the midst of it, so that its partitions go as well
  expect(await worker.stop()).toBe(0)
  expect(worker.log.find(({ event }) => event === 'replay_parted')).toMatchObject({ to: 'queued' })
  await eventually(async () => (await redrives.get(id))?.state === 'done', 'the other one finishing it')
  expect(worksOnIt(other)).toBe(true)
  await traffic

  // Then each member is in the topic once and has failed once more, and the orders are as if nothing had been
  await eventually(async () => (await stream.settled()) === records.length + 2 * LETTERS, 'all of it being settled')
  const ids = (await redriven(stream)).map(record => record.id)
  expect(ids).toHaveLength(LETTERS)
  expect(new Set(ids).size).toBe(LETTERS)
  expect(await letterCounts(stream)).toEqual({ 'open 1': LETTERS })
  expect(await redrives.get(id)).toMatchObject({ published: LETTERS, failed_again: LETTERS, skipped: 0, pending: 0 })
  expect(totalOf(await stream.ledger())).toMatchObject({ dead_lettered: 2 * LETTERS, stale: 0, duplicate: 0 })
  expect(await differences(stream, modelOf(records))).toEqual([])
  await eventually(async () => (await stream.findings()).length === 0, 'the proof')
  expect(await other.stop()).toBe(0)
})
