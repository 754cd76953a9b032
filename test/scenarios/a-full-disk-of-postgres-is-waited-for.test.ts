import { expect } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { itWithDisk } from '../support/small-disk.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const records = generated(4_000, { seed: 53_100, updatesRatio: 0.2 })
const BEFORE = 300

itWithDisk(
  'pauses while the disk of Postgres is full, blames no record, and goes on when there is room',
  async disk => {
    // Given a service, and a Postgres whose data stands on a disk of its own
    const postgres = await ownPostgres({ dir: disk.dir })
    const stream = await aStream({ partitions: 2, databaseUrl: postgres.url })
    const service = await startService({ ...stream, env: { RETRY_MAX_MS: '1000' } })
    await stream.produce(records.slice(0, BEFORE))
    await eventually(async () => (await stream.settled()) === BEFORE, 'the first orders being settled')
    const rebalances = await service.metric('rebalances_total')

    // When the disk has next to no room left, and more comes than that
    disk.leave(64 * 1024)
    await stream.produce(records.slice(BEFORE))
    await eventually(
      async () => (await ask(service, '/readyz?verbose')).body.includes('53100'),
      'the full disk being told',
    )
    // (a first attempt may be followed by a probe that is believed; of two partitions, the third is a second one)
    await eventually(async () => (await service.metric('retries_total')) >= 3, 'further attempts')

    // Then it counts as away for as long as it lasts, though Postgres answers whatever needs no room
    await stream.query('SELECT 1')
    const settled = await stream.settled()
    for (let look = 0; look < 20; look++) {
      expect(await ask(service, '/readyz')).toMatchObject({ status: 503 })
      expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
      await new Promise<void>(resolve => setTimeout(resolve, 100))
    }
    expect(await stream.settled()).toBeLessThan(records.length)
    expect(await stream.settled()).toBeGreaterThanOrEqual(settled)
    expect(await service.metric('breaker_open', { dependency: 'postgres' })).toBe(1)
    expect(service.log.filter(({ event }) => event === 'breaker_opened').length).toBeLessThan(5)

    // And when there is room again, all of it is stored, and nothing was set aside
    disk.leave(512 * 1024 ** 2)
    await eventually(async () => (await stream.settled()) === records.length, 'all of them being settled')
    await eventually(() => isReady(service), 'readiness')
    await eventually(async () => (await stream.committed()) === records.length, 'the commits')
    expect(await service.metric('breaker_open')).toBe(0)
    expect(await service.metric('rebalances_total')).toBe(rebalances)
    expect(await differences(stream, modelOf(records))).toEqual([])
    expect(await stream.readAll(stream.dlqTopic)).toEqual([])
    expect(await stream.findings()).toEqual([])
    expect(await service.stop()).toBe(0)
  },
)
