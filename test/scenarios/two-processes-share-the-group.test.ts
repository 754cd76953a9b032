import { expect, it } from 'vitest'
import { differences, modelOf } from '../support/model.ts'
import { eventually, type Service, startService } from '../support/service.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'
import { startTraffic } from '../support/traffic.ts'

streamTools()

const PARTITIONS = 6
/** Beyond it a process is killed by its own watchdog, and does not exit with 0. */
const SHUTDOWN_TIMEOUT_MS = 10_000
const env = { SHUTDOWN_TIMEOUT_MS: String(SHUTDOWN_TIMEOUT_MS), BATCH_MAX_RECORDS: '50' }

it('hands partitions over under load, once when one joins and once when one leaves', async () => {
  // Given one process at work on six partitions, under traffic that does not stop
  const stream = await aStream({ partitions: PARTITIONS })
  const first = await startService({ ...stream, env })
  await eventually(() => partitionsOf(first).size === PARTITIONS, 'the first one having all partitions')
  const traffic = startTraffic(stream, 50, 100, { seed: 6, updatesRatio: 0.3 })
  await eventually(async () => (await stream.settled()) > 0, 'the traffic arriving')

  // When a second one joins, each has three of them
  const second = await startService({ ...stream, env })
  await eventually(() => partitionsOf(second).size === PARTITIONS / 2, 'the second one having half of them')
  await eventually(() => partitionsOf(first).size === PARTITIONS / 2, 'the first one having given them up')
  const before = await workOf(first)
  await eventually(async () => (await workOf(first)) > before && (await workOf(second)) > 0, 'both working')

  // And when the first one is told to stop in the midst of it, it drains, commits and leaves within its bound
  expect(await first.stop()).toBe(0)
  await eventually(() => partitionsOf(second).size === PARTITIONS, 'the second one having all of them')
  await traffic.stop()
  const records = traffic.sent
  await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')

  // Then nothing was read twice: each offset stands in the ledger once, and nobody was fenced off
  const total = totalOf(await stream.ledger())
  expect(total).toMatchObject({
    offsets: records.length,
    records: records.length,
    duplicate: 0,
    stale: 0,
    dead_lettered: 0,
  })
  expect(total.written + total.superseded).toBe(records.length)
  for (const { log } of [first, second]) {
    expect(log.filter(({ event }) => event === 'ownership_lost')).toEqual([])
    const revoked = log.filter(({ event }) => event === 'revoked')
    expect(revoked.every(({ lost, drained }) => lost === false && drained === true)).toBe(true)
  }
  expect(await differences(stream, modelOf(records))).toEqual([])
  await eventually(async () => (await stream.committed()) === records.length, 'the commits')
  expect(await stream.findings()).toEqual([])
  expect(await second.stop()).toBe(0)
})

/** The partitions that a process has now, as its log tells. */
function partitionsOf({ log }: Service): Set<unknown> {
  const mine = new Set<unknown>()
  for (const { event, positions, partitions } of log) {
    if (event === 'assigned') for (const { partition } of positions as { partition: number }[]) mine.add(partition)
    if (event === 'revoked') for (const { partition } of partitions as { partition: number }[]) mine.delete(partition)
  }
  return mine
}

async function workOf(service: Service): Promise<number> {
  return await service.metric('records_total')
}
