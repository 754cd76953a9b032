import { expect, it } from 'vitest'
import { brokenOrders } from '../support/broken-orders.ts'
import { addedText, openDeadLetter } from '../support/dead-letters.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { watchHeldUp } from '../support/held-up.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const HOUR_MS = 3_600_000
const PRELOAD = new URL('../support/clock-set-on-demand.mjs', import.meta.url).pathname
const orders = generated(400, { seed: 29, updatesRatio: 0.3 })
/** Beyond what a broker takes by default as a record's timestamp, which is an hour; then into the past. */
const AHEAD_MS = 30 * HOUR_MS
const BEHIND_MS = -30 * HOUR_MS

it('settles, waits and leaves as ever while its clock is set forward and back', async () => {
  // Given a service at work, whose clock can be set, and a wire between it and Postgres
  const stream = await aStream({ partitions: 3 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const env = {
    NODE_OPTIONS: `--import=${PRELOAD}`,
    CLOCK_STEPS: `${AHEAD_MS},${BEHIND_MS}`,
    // Far below the steps of the clock, and above any pause of a busy machine: no rebalance may come of either.
    KAFKA_CONFIG: 'session.timeout.ms=30000',
    RETRY_MAX_MS: '1000',
  }
  const service = await startService({ ...stream, databaseUrl: wire.url, env })
  const broken = (prefix: string) => brokenOrders(3, { prefix })
  await stream.produce([...orders.slice(0, 100), ...broken('before')])
  await eventually(async () => (await stream.settled()) === 103, 'the first ones being settled')
  await eventually(() => isReady(service), 'readiness')
  const rebalances = await service.metric('rebalances_total')

  // When it is set forward, then orders are settled as before, and dead letters get into their topic
  await setClock(service, AHEAD_MS)
  await stream.produce([...orders.slice(100, 200), ...broken('ahead')])
  await eventually(async () => (await stream.settled()) === 206, 'those of a clock that is ahead being settled')
  await eventually(() => isReady(service), 'readiness, ahead')

  // When Postgres goes away, and the clock is set back during the outage
  wire.set({ kind: 'reset' })
  await stream.produce([...orders.slice(200, 300), ...broken('outage')])
  await eventually(async () => (await service.metric('partition_paused', { reason: 'store_away' })) === 3, 'the pause')
  await setClock(service, BEHIND_MS)
  await new Promise<void>(resolve => setTimeout(resolve, 500))
  wire.set({ kind: 'pass' })
  const backAtMs = performance.now()
  const heldUpMs = watchHeldUp()
  await eventually(async () => (await stream.settled()) === 309, 'what came in the outage being settled')
  expect(performance.now() - backAtMs).toBeLessThan(10_000 + heldUpMs())
  const closed = await eventually(
    () => service.log.find(({ event }) => event === 'breaker_closed'),
    'the end of the outage being told',
  )
  expect(closed.open_seconds).toBeGreaterThanOrEqual(0)

  // And while it is behind, nothing is different either
  await stream.produce([...orders.slice(300), ...broken('behind')])
  await eventually(async () => (await stream.committed()) === 412, 'the rest being committed')
  await eventually(() => isReady(service), 'readiness, behind')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
  expect(await service.metric('rebalances_total')).toBe(rebalances)
  await expect.poll(() => service.metric('consumer_lag_seconds')).toBe(0)
  const page = (await ask(service, '/metrics')).body
  expect(page.split('\n').filter(line => /^holdfast_.*seconds[^ ]* -/.test(line))).toEqual([])

  // Then all is there once, the newest version of each, and each dead letter says when it failed by that clock
  expect(await differences(stream, modelOf(orders))).toEqual([])
  const letters = (await stream.readAll(stream.dlqTopic)).map(openDeadLetter)
  expect(new Set(letters.map(letter => addedText(letter, 'id'))).size).toBe(12)
  expect(letters.length).toBe(12)
  const failures = letters.map(letter => {
    const { order_uid } = JSON.parse(String(letter.original.value)) as { order_uid: string }
    const shiftMs = Date.parse(addedText(letter, 'failedAt') ?? '') - Date.now()
    return `${order_uid} ${Math.round(shiftMs / HOUR_MS)}`
  })
  const at = (prefix: string, hours: number) => [0, 1, 2].map(n => `${prefix}-${n} ${hours}`)
  expect(failures.filter(text => !text.startsWith('outage')).sort()).toEqual(
    [...at('ahead', 30), ...at('before', 0), ...at('behind', -30)].sort(),
  )
  expect(await stream.findings()).toEqual([])
  expect(await service.stop()).toBe(0)
})

async function setClock(service: Service, byMs: number): Promise<void> {
  service.kill('SIGUSR2')
  await eventually(() => service.log.some(({ msg }) => msg === `clock set by ${byMs} ms`), 'its clock being set')
}
