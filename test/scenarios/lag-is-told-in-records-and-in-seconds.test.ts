import { expect, it } from 'vitest'
import { holdfast, startHoldfast } from '../support/cli.ts'
import { anOrder } from '../support/orders.ts'
import { eventually, startService } from '../support/service.ts'
import { aStream, type Stream, streamTools } from '../support/stream.ts'
import { transactionalProducer } from '../support/transactions.ts'

streamTools()

const HOUR_MS = 3_600_000

it('holdfast lag tells of each partition how far it is behind, whether the service runs or not', async () => {
  // Given a topic with two orders that wait for an hour in one partition, and none in the other; and no service yet
  const stream = await aStream({ partitions: 2 })
  async function produce(uid: string, agoMs: number): Promise<number> {
    const timestampMs = Date.now() - agoMs
    await stream.produce([
      { value: JSON.stringify(anOrder({ uid })), key: Buffer.from(uid), partition: 1, timestampMs },
    ])
    return timestampMs
  }
  const first = await produce('order-1', HOUR_MS)
  await produce('order-2', 10_000)

  // Then both wait, the first for an hour
  let askedAtMs = Date.now()
  const [empty, behind] = await lagOf(stream)
  expect(empty).toMatchObject({ partition: 0, lag_records: 0, lag_seconds: 0, last_progress_at: null })
  expect(behind).toMatchObject({ partition: 1, next_offset: '0', end_offset: '2', lag_records: 2, paused_for: null })
  expectAge(behind?.lag_seconds, first, askedAtMs)
  expect((await holdfast(stream, 'lag')).stderr).toContain('has consumed nothing')

  // When the service has settled them, and is stopped, and a third one comes
  const service = await startService({ ...stream })
  await eventually(async () => (await stream.settled()) === 2, 'both being settled')
  expect((await lagOf(stream))[1]).toMatchObject({ next_offset: '2', lag_records: 0, lag_seconds: 0 })
  await service.stop()
  const third = await produce('order-3', 60_000)

  // Then that one waits for a minute
  askedAtMs = Date.now()
  const [, again] = await lagOf(stream)
  expect(again).toMatchObject({ next_offset: '2', end_offset: '3', lag_records: 1 })
  expect(again?.last_progress_at).toMatch(/^\d{4}-\d\d-\d\dT/)
  expectAge(again?.lag_seconds, third, askedAtMs)
  const away = { ...stream, env: { DATABASE_URL: 'postgres://127.0.0.1:1/none' } }
  const { stdout: told, stderr } = await holdfast(away, 'lag', '--json')
  expect(stderr).toContain('Postgres is away')
  expect(stderr).not.toContain('has consumed nothing')
  expect(JSON.parse(told.split('\n')[1] ?? '')).toMatchObject({ next_offset: '2', end_offset: '3', lag_records: 1 })
  const watching = startHoldfast(stream, 'lag', '--watch', '--json')
  await eventually(async () => watching.said().stdout.split('\n').length > 2, 'two rounds of --watch')
  watching.kill('SIGINT')
  expect(await watching.exited).toBe(0)
  for (const line of watching.said().stdout.trim().split('\n'))
    expect(JSON.parse(line)).toMatchObject({ partitions: [{ partition: 0 }, { partition: 1, lag_records: 1 }] })
  askedAtMs = Date.now()
  const { stdout } = await holdfast(stream, 'lag')
  const lines = stdout.split('\n')
  expect(lines.slice(0, 3)).toEqual([
    expect.stringMatching(/^partition +next +end +lag +seconds/),
    expect.stringMatching(/^0 +0 +0 +0 +0\.0$/),
    expect.stringMatching(/^1 +2 +3 +1 +\d+\.\d$/),
  ])
  expectAge(Number(lines[2]?.split(/ +/).at(-1)), third, askedAtMs)

  // When progress lies beyond the end, as after the topic was made anew: then what waits is not known, and the way out is told
  await stream.query('UPDATE holdfast.stream_progress SET next_offset = 9 WHERE partition = 1')
  expect((await lagOf(stream))[1]).toMatchObject({ next_offset: '9', end_offset: '3', lag_records: null })
  expect((await holdfast(stream, 'lag')).stderr).toContain('holdfast seek --partition 1')
  expect((await holdfast(stream, 'resume', '--partition', '1')).stderr).toContain('partition 1 does not wait')
})

it('holdfast lag tells of records that nobody gets, because a transaction before them was never ended', async () => {
  const stream = await aStream({ partitions: 1 })
  const producer = await transactionalProducer(stream.brokers)
  const at = { topic: stream.topic, partition: 0 }
  const end = await producer.begin([{ ...at, value: Buffer.from(JSON.stringify(anOrder({ uid: 'open' }))) }])
  await stream.produce([
    { value: JSON.stringify(anOrder({ uid: 'behind' })), key: Buffer.from('behind'), partition: 0 },
  ])

  const { stdout } = await holdfast(stream, 'lag', '--json')
  expect(JSON.parse(stdout)).toMatchObject({ end_offset: '0', lag_records: 0, open_transaction_records: 2 })
  expect((await holdfast(stream, 'lag')).stderr).toContain(`${stream.topic}-0: 2 offsets stand behind the start of`)
  await end('abort')
  await eventually(async () => (await lagOf(stream))[0]?.end_offset === '3', 'the end of the transaction')
  expect((await lagOf(stream))[0]).toMatchObject({ lag_records: 3, open_transaction_records: 0 })
})

/** As it was at some moment between the question and now; told to a tenth of a second. */
function expectAge(seconds: unknown, timestampMs: number, askedAtMs: number): void {
  expect(seconds).toBeGreaterThanOrEqual((askedAtMs - timestampMs) / 1_000 - 0.1)
  expect(seconds).toBeLessThanOrEqual((Date.now() - timestampMs) / 1_000 + 0.1)
}

async function lagOf(stream: Stream): Promise<Record<string, unknown>[]> {
  const { stdout } = await holdfast(stream, 'lag', '--json')
  return stdout
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))
}
