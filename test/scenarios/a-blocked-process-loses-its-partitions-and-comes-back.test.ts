import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { watchForStepsBack } from '../support/steps-back.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const BLOCKER = fileURLToPath(new URL('../support/blocked-on-demand.mjs', import.meta.url))
const BLOCKED_FOR_MS = 10_000
const env = {
  NODE_OPTIONS: `--import=${BLOCKER}`,
  BLOCKED_FOR_MS: String(BLOCKED_FOR_MS),
  // The client's own threads go on with heartbeats: it is the missing poll that gives it away.
  KAFKA_CONFIG: 'session.timeout.ms=6000,max.poll.interval.ms=6000',
}

it('whose event loop is blocked beyond max.poll.interval.ms: is not alive meanwhile, and repeats nothing', async () => {
  // Given two processes at work
  const stream = await aStream({ partitions: 2 })
  const records = generated(400, { seed: 91, updatesRatio: 0.4 })
  const blocked = await startService({ ...stream, env })
  const other = await startService({ ...stream, env })
  await eventually(() => [blocked, other].every(({ log }) => log.some(hasWork)), 'both having a partition')
  await stream.produce(records.slice(0, 200))
  await eventually(async () => (await stream.committed()) === 200, 'the first half being committed')
  const watch = await watchForStepsBack(stream)

  // When the event loop of one stands still, while orders go on coming
  blocked.kill('SIGUSR2')
  await eventually(() => blocked.log.some(({ msg }) => msg === 'blocked from here on'), 'its standing still')
  const [probe] = await Promise.all([
    fetch(`${blocked.url}/livez`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined),
    stream.produce(records.slice(200, 300)),
  ])

  // Then a supervisor's probe gets no answer, and the other process takes over
  expect(probe).toBeUndefined()
  await eventually(async () => (await stream.committed()) === 300, 'the other one settling all of them')

  // And when it goes on, it learns of its loss, and gets a share again
  await eventually(() => blocked.log.some(({ event, lost }) => event === 'revoked' && lost === true), 'its losing all')
  await eventually(() => isReady(blocked), 'its being ready again')
  expect(await ask(blocked, '/livez')).toMatchObject({ status: 200 })
  await eventually(() => blocked.log.filter(hasWork).length >= 2, 'its having a partition again')
  await stream.produce(records.slice(300))
  await eventually(async () => (await stream.committed()) === 400, 'all of them being committed')
  expect(await watch.end()).toEqual([])
  expect(totalOf(await stream.ledger())).toMatchObject({ offsets: 400, records: 400, duplicate: 0, stale: 0 })
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(await stream.findings()).toEqual([])
  expect(await blocked.stop()).toBe(0)
  expect(await other.stop()).toBe(0)
})

function hasWork({ event, positions }: { readonly event?: string; readonly positions?: unknown }): boolean {
  return event === 'assigned' && (positions as unknown[]).length > 0
}
