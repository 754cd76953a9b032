import { setTimeout as interval } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { wireToPostgres } from '../support/faults/wire-to-postgres.ts'
import { removeBelow } from '../support/kafka-tools.ts'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

/** Longer than a busy machine may hold a process up, which would cost it its membership as well. */
const POLL_INTERVAL_MS = 12_000
const KAFKA_CONFIG = `session.timeout.ms=${POLL_INTERVAL_MS},max.poll.interval.ms=${POLL_INTERVAL_MS}`

it.each(['reset', 'black-hole'] as const)(
  'takes partitions over while Postgres is away (%s): it stays a member, reads nothing, and goes on once that is back',
  async kind => {
    // Given two processes of a group with a partition each, of which one can be cut off from Postgres
    const stream = await aStream({ partitions: 2 })
    const wire = await wireToPostgres(stream.databaseUrl)
    const leaving = await startService({ ...stream, env: { KAFKA_CONFIG } })
    const staying = await startService({ ...stream, databaseUrl: wire.url, env: { KAFKA_CONFIG } })
    await eventually(async () => (await isReady(leaving)) && (await isReady(staying)), 'both being ready')
    await eventually(() => [leaving, staying].every(({ log }) => log.some(hasWork)), 'both having a partition')
    const records = generated(400, { seed: 91, updatesRatio: 0.2 })
    await stream.produce(records.slice(0, 200))
    await eventually(async () => (await stream.settled()) === 200, 'the first orders being settled')
    // (So that no offset can be guessed at which there is something.)
    for (const partition of [0, 1]) await removeBelow(stream.brokers, stream.topic, partition, 50)

    // When it is cut off, and the other one leaves its partition to it
    const assignments = () => staying.log.filter(hasWork)
    const before = assignments().length
    wire.set({ kind })
    expect(await leaving.stop()).toBe(0)
    const unknown = () =>
      new Set(staying.log.flatMap(line => (line.event === 'position_unknown' ? [line.partition] : [])))
    await eventually(() => unknown().size === 1, 'its saying that it does not know where its new partition goes on')
    await stream.produce(records.slice(200))
    await interval(2 * POLL_INTERVAL_MS)

    // Then it is alive, says what it waits for, and the group has not removed it
    expect(await ask(staying, '/livez')).toMatchObject({ status: 200 })
    const ready = await ask(staying, '/readyz')
    expect(ready.status).toBe(503)
    expect(ready.body).toMatch(/cannot be read: Postgres (is away|and Kafka have not said)/)
    expect(await staying.metric('partition_paused', { reason: 'position_unknown' })).toBe(1)
    expect(staying.log.filter(({ event, lost }) => event === 'revoked' && lost === true)).toEqual([])

    // And once Postgres is back it reads on, and nothing is lost or written twice
    wire.set({ kind: 'pass' })
    await eventually(async () => (await stream.settled()) === 400, 'the others being settled')
    await eventually(() => isReady(staying), 'readiness')
    expect(staying.log.filter(({ event, lost }) => event === 'revoked' && lost === true)).toEqual([])
    // (Its own partition was never looked for anew.)
    for (const { positions } of assignments().slice(before)) {
      expect(positions).toMatchObject([...unknown()].map(partition => ({ partition })))
    }
    expect(await differences(stream, modelOf(records))).toEqual([])
    expect(totalOf(await stream.ledger())).toMatchObject({ records: 400, duplicate: 0, stale: 0, dead_lettered: 0 })
    expect(await stream.findings()).toEqual([])
    expect(await staying.stop()).toBe(0)
  },
)

function hasWork({ event, positions }: { readonly event?: string; readonly positions?: unknown }): boolean {
  return event === 'assigned' && (positions as unknown[]).length > 0
}
