import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { differences, generated, modelOf } from '../support/model.ts'
import { ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools, totalOf } from '../support/stream.ts'

streamTools()

const STALLER = fileURLToPath(new URL('../support/stalled-on-demand.mjs', import.meta.url))
const KAFKA_CONFIG = 'session.timeout.ms=6000,heartbeat.interval.ms=1000'
const env = {
  KAFKA_CONFIG,
  NODE_OPTIONS: `--import=${STALLER}`,
  STALLED_PARTITION: '1',
  // Beyond what a statement may take, as the settings demand
  PG_STATEMENT_TIMEOUT_MS: '2000',
  STUCK_AFTER_MS: '4000',
}

it('is named by /livez when work is at hand and nothing is away, and goes on in the next process', async () => {
  // Given a stream of three partitions at work
  const stream = await aStream({ partitions: 3 })
  const records = generated(300, { seed: 131 })
  const service = await startService({ ...stream, env })
  await stream.produce(records.slice(0, 100))
  await eventually(async () => (await stream.settled()) === 100, 'the first records being settled')
  expect(await ask(service, '/livez')).toMatchObject({ status: 200 })

  // When the work of one of them never ends
  service.kill('SIGUSR2')
  await eventually(() => service.log.some(({ msg }) => msg === 'stalled from here on'), 'its having heard of it')
  const answers = await stream.produce(records.slice(100, 200))
  const elsewhere = answers.filter(({ partition }) => partition !== 1).length
  await eventually(async () => (await stream.settled()) === 100 + elsewhere, 'the other partitions going on')

  // Then the process asks for a restart, and says what stands still, and for how long
  const { body } = await eventually(async () => {
    const answer = await ask(service, '/livez?verbose')
    return answer.status === 503 && answer
  }, 'its asking for a restart')
  const { checks } = JSON.parse(body) as { checks: { name: string; ok: boolean; reason?: string; since?: string }[] }
  expect(checks.filter(({ ok }) => !ok)).toEqual([
    {
      name: 'partitions_move',
      ok: false,
      reason: expect.stringMatching(
        new RegExp(`^${stream.topic}-1 has stood still for \\d+ s with ${100 - elsewhere} records in hand, although`),
      ),
      since: expect.any(String),
    },
  ])
  const stoodMs = Date.now() - Date.parse(checks.find(({ ok }) => !ok)?.since ?? '')
  expect(stoodMs).toBeGreaterThan(4_000)
  expect(await service.metric('health_check_ok', { probe: 'live', check: 'partitions_move' })).toBe(0)

  // And all is settled once it is started anew
  service.kill('SIGKILL')
  const next = await startService({ ...stream, env: { KAFKA_CONFIG } })
  await stream.produce(records.slice(200))
  await eventually(async () => (await stream.settled()) === 300, 'all of them being settled')
  expect(await differences(stream, modelOf(records))).toEqual([])
  expect(totalOf(await stream.ledger())).toMatchObject({ records: 300, duplicate: 0, stale: 0 })
  expect(await ask(next, '/livez')).toMatchObject({ status: 200 })
  expect(await stream.findings()).toEqual([])
})

it('is not one that a standby has not got: two processes on one partition are both ready', async () => {
  const stream = await aStream({ partitions: 1 })
  // (Sessions outlast a pause of the machine: the partition stays with one of them.)
  const lasting = { ...env, KAFKA_CONFIG: 'session.timeout.ms=30000' }
  const pair = [await startService({ ...stream, env: lasting }), await startService({ ...stream, env: lasting })]
  await eventually(async () => (await Promise.all(pair.map(isReady))).every(Boolean), 'both being ready')
  await stream.produce(generated(20, { seed: 132 }))
  // (What is committed has been counted; what is settled may not have been.)
  await eventually(async () => (await stream.committed()) === 20, 'the records being committed')

  // When time passes, beyond the limit of standing still
  const counts = await Promise.all(pair.map(service => service.metric('records_total')))
  expect(counts.toSorted((a, b) => a - b)).toEqual([0, 20])
  await new Promise(resolve => setTimeout(resolve, 5_000))

  // Then both live and are ready, and say of each question that it holds
  for (const service of pair) {
    expect(await ask(service, '/livez')).toMatchObject({ status: 200 })
    const { body } = await eventually(async () => {
      const answer = await ask(service, '/readyz?verbose')
      return answer.status === 200 && answer
    }, 'its being ready')
    const { checks } = JSON.parse(body) as { checks: { name: string; ok: boolean }[] }
    expect(checks.map(({ name }) => name)).toEqual([
      'start',
      'postgres',
      'stream',
      'group_member',
      'breakers',
      'partitions',
      'shutdown',
    ])
  }
})
