import { expect, it } from 'vitest'
import type { TimelineJson } from '#src/inbox/http/timeline.ts'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { anOrder } from '../support/orders.ts'
import { adminKeyOf, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const ORDERS = 40
const INVALID = 7

it('an outage of Postgres is in the time line once it is over, with the records and dead letters of two processes', async () => {
  // Given two processes of a group on a database that can be cut off, each with partitions of its own
  const stream = await aStream({ partitions: 2 })
  const wire = await wireToPostgres(stream.databaseUrl)
  const common = { ...stream, databaseUrl: wire.url, env: { KAFKA_CONFIG: 'heartbeat.interval.ms=500' } }
  const service = await startService(common)
  const other = await startService({ ...common, roles: ['consumer', 'api'] })
  await eventually(async () => (await isReady(service)) && (await isReady(other)), 'both being ready')
  const key = await adminKeyOf(service)
  await stream.produce(Array.from({ length: ORDERS }, (_, n) => order(n)))
  await eventually(async () => (await stream.settled()) === ORDERS, 'all being settled')

  // When it is cut off for longer than a step, and records arrive meanwhile
  wire.set({ kind: 'reset' })
  await stream.produce(Array.from({ length: INVALID }, (_, n) => ({ value: '{}', partition: n % 2 })))
  await eventually(() => service.log.some(({ event }) => event === 'breaker_opened'), 'the breaker opening')
  await new Promise(resolve => setTimeout(resolve, 15_000))
  wire.set({ kind: 'pass' })
  await eventually(async () => (await stream.settled()) === ORDERS + INVALID, 'the others being settled')

  // Then the outage stands in the time line: from when to when, and what waited for it
  const past = await eventually(async () => {
    const shown = await pastOf(service, key)
    const isOver = shown.stops.some(({ kind, to }) => kind === 'breaker' && to !== null)
    return isOver && sumOf(shown.dead_letters) === INVALID && shown
  }, 'the outage and the dead letters being shown')
  const outage = past.stops.find(({ kind }) => kind === 'breaker')
  expect(outage).toMatchObject({ name: 'postgres' })
  expect(Date.parse(outage?.to ?? '') - Date.parse(outage?.from ?? '')).toBeGreaterThanOrEqual(20_000)
  expect(past.stops.filter(({ kind, name }) => kind === 'pause' && name === 'store_away')).not.toEqual([])
  // And no record is missing or counted twice, whichever process settled it
  expect(Math.round(sumOf(past.rate.map(rate => (rate ?? 0) * past.step_seconds)))).toBe(ORDERS + INVALID)
  // And both starts, of a new version the first of them; the two may have fallen into two steps
  expect(sumOf(past.starts.map(({ count }) => count))).toBe(2)
  expect(past.starts.at(-1)).toMatchObject({ deployed: true })
})

function order(n: number) {
  return { value: JSON.stringify(anOrder({ uid: `order-${n}` })), partition: n % 2 }
}

async function pastOf(service: Service, key: string): Promise<TimelineJson> {
  const answer = await fetch(`${service.url}/admin/timeline?span=15m`, { headers: { Authorization: `Bearer ${key}` } })
  expect(answer.status).toBe(200)
  return (await answer.json()) as TimelineJson
}

function sumOf(counts: readonly (number | null)[]): number {
  return counts.reduce<number>((sum, count) => sum + (count ?? 0), 0)
}
