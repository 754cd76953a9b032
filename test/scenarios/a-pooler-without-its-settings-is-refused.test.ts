import { expect, it } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { aPgBouncer, withPgBouncers } from '../support/pgbouncer.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

await withPgBouncers('behind a pooler that lends sessions by the transaction', program => {
  it('the service ends and says which settings to set, and works once they are', async () => {
    // Given records, and such a pooler in DATABASE_URL
    const stream = await aStream()
    const records = generated(60, { seed: 71, updatesRatio: 0.3 })
    await stream.produce(records)
    const pooler = await aPgBouncer({ databaseUrl: stream.databaseUrl, mode: 'transaction', program })

    // When the service starts, then it ends by itself, and names what it lacks
    const refused = await startService({ ...stream, databaseUrl: pooler.url() })
    expect(await refused.exited).toBe(1)
    const said = JSON.stringify(refused.log.slice(-3))
    expect(said).toContain('DATABASE_DIRECT_URL')
    expect(said.includes('PG_PREPARED_STATEMENTS=off')).toBe(!program.keepsStatements)
    // And it has touched nothing
    expect(await stream.settled()).toBe(0)
    expect(await stream.committed()).toBe(0)

    // And with the settings it settles all, with its jobs and its notices
    const service = await startService({
      ...stream,
      databaseUrl: pooler.url(),
      env: {
        DATABASE_DIRECT_URL: stream.databaseUrl,
        ...(program.keepsStatements ? {} : { PG_PREPARED_STATEMENTS: 'off' }),
      },
    })
    await eventually(async () => (await stream.committed()) === records.length, 'all of them being committed')
    expect(await differences(stream, modelOf(records))).toEqual([])
    expect(await stream.findings()).toEqual([])
    for (const event of ['jobs_started', 'coherence_established'])
      await eventually(() => service.log.some(line => line.event === event), event)
    expect(await service.stop()).toBe(0)
  })
})
