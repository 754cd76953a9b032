import { describe, expect, it } from 'vitest'
import { lockOrders, settling } from '../support/locks.ts'
import { differences, fingerprint, generated, modelOf } from '../support/model.ts'
import { aPgBouncer, withPgBouncers } from '../support/pgbouncer.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { watchForStepsBack } from '../support/steps-back.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const PARTITIONS = 2
/** Half of it is how long a lock is waited for: longer than this test may be held up before it freezes who waits. */
const TIMEOUT_MS = 14_000
/** What a start, a takeover and the slowness of the machine may add. */
const SLACK_MS = 12_000

await withPgBouncers('behind a pooler', program => {
  describe.each(['session', 'transaction'] as const)('in %s mode', mode => {
    async function aSetUp() {
      const stream = await aStream({ partitions: PARTITIONS })
      const pooler = await aPgBouncer({ databaseUrl: stream.databaseUrl, mode, program })
      const isTransaction = mode === 'transaction'
      const env = {
        // The least that a broker allows: so long it takes until a frozen member is given up.
        KAFKA_CONFIG: 'session.timeout.ms=6000,heartbeat.interval.ms=1000',
        PG_STATEMENT_TIMEOUT_MS: String(TIMEOUT_MS),
        ...(isTransaction ? { DATABASE_DIRECT_URL: stream.databaseUrl } : {}),
        ...(isTransaction && !program.keepsStatements ? { PG_PREPARED_STATEMENTS: 'off' } : {}),
      }
      const start = () => startService({ ...stream, databaseUrl: pooler.url(), env })
      return { stream, pooler, start }
    }

    it('frozen inside a transaction beyond its session: its rows are let go in time, and nothing goes back', async () => {
      // Given a process that settles, and newer versions of its orders that wait in its transactions for a lock of ours
      const { stream, start } = await aSetUp()
      const records = generated(300, { seed: 41, updatesRatio: 0.6 })
      const [first, second, third] = [records.slice(0, 100), records.slice(100, 200), records.slice(200)]
      const zombie = await start()
      await stream.produce(first)
      await eventually(async () => (await stream.committed()) === 100, 'the first orders being committed')
      const watch = await watchForStepsBack(stream)
      const lock = await lockOrders(stream)
      await stream.produce(second)
      await eventually(
        async () => (await settling(stream, 'waits for a lock')) === PARTITIONS,
        'both lanes in transactions',
      )

      // When it is frozen there
      zombie.kill('SIGSTOP')
      await lock.release()
      await eventually(async () => (await settling(stream, 'idle')) === PARTITIONS, 'transactions without a process')
      const idleSince = performance.now()
      await eventually(async () => (await settling(stream, 'idle')) === 0, 'their end')
      const heldMs = performance.now() - idleSince

      // Then Postgres has ended its transactions as it does without a pooler, and another process takes over
      expect(heldMs).toBeLessThan(TIMEOUT_MS + SLACK_MS)
      const heir = await start()
      await stream.produce(third)
      await eventually(async () => (await stream.committed()) === 300, 'the other one having settled all')
      expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 300, duplicate: 0, stale: 0 })
      const taken = await fingerprint(stream)

      // And when the frozen one wakes, it has lost all, and not a byte is touched
      zombie.kill('SIGCONT')
      await eventually(() => zombie.log.some(({ event, lost }) => event === 'revoked' && lost === true), 'its loss')
      await eventually(() => isReady(zombie), 'its being ready again')
      expect(await fingerprint(stream)).toBe(taken)
      expect(await watch.end()).toEqual([])
      expect(await differences(stream, modelOf(records))).toEqual([])
      expect(await stream.readAll(stream.dlqTopic)).toEqual([])
      expect(await stream.findings()).toEqual([])
      expect(await zombie.stop()).toBe(0)
      expect(await heir.stop()).toBe(0)
    })

    it('processes and the pooler itself killed under load: an outage, and nothing is lost or written twice', async () => {
      const { stream, pooler, start } = await aSetUp()
      const records = generated(4_000, { seed: 43, updatesRatio: 0.4, invalidRatio: 0.02 })
      let service = await start()
      for (let part = 0; part < 4; part++) {
        await stream.produce(records.slice(part * 1_000, (part + 1) * 1_000))
        await eventually(async () => (await stream.settled()) > part * 1_000 + 100, 'some of them being settled')
        if (part % 2 === 0) {
          service.kill('SIGKILL')
          await service.exited
          service = await start()
        } else {
          await pooler.restart()
        }
      }
      await eventually(async () => (await stream.committed()) === 4_000, 'all being committed')
      const totals = totalOf(await stream.ledger())
      expect(totals).toMatchObject({ offsets: 4_000, duplicate: 0 })
      expect(await differences(stream, modelOf(records))).toEqual([])
      expect(await stream.findings({ deep: true })).toEqual([])
      expect(await service.stop()).toBe(0)
    })
  })
})
