import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { holdfast } from '../support/cli.ts'
import { eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const model = JSON.parse(await readFile(new URL('../../data/model.json', import.meta.url), 'utf8'))

it('stops at the limit, says so, and goes on after holdfast resume', async () => {
  // given a partition that holds nothing but invalid records, then a good one
  const stream = await aStream({ partitions: 2 })
  await stream.produce(Array.from({ length: 120 }, () => ({ value: '{"not": "an order"}', partition: 0 })))
  await stream.produce([{ value: JSON.stringify(model), partition: 0 }])
  const service = await startService({ ...stream, env: { DLQ_STORM_MAX_CONSECUTIVE: '50' } })

  // then exactly the limit is dead-lettered, and the operator is told where and what to do
  const readiness = await eventually(async () => {
    const response = await fetch(`${service.url}/readyz`)
    const body = await response.text()
    return response.status === 503 && body.includes('storm guard') && body
  }, 'readiness to say so')
  expect(readiness).toContain('holdfast resume --partition 0')
  // (It is said as soon as the batch is cut there; the batch is settled after that.)
  await eventually(async () => (await stream.committed()) === 50, 'the batch being settled and committed')
  expect(await stream.settled()).toBe(50)
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(50)
  expect((await fetch(`${service.url}/livez`)).status).toBe(200)
  const metrics = await (await fetch(`${service.url}/metrics`)).text()
  expect(metrics).toMatch(/holdfast_partition_paused\{.*partition="0".*reason="storm_guard"\} 1/)
  expect(
    service.log
      .filter(({ event, reason }) => event === 'paused' && reason === 'storm_guard')
      .map(where => where.partition),
  ).toEqual([0])

  // and a restart does not forget it
  expect(await service.stop()).toBe(0)
  const second = await startService({ ...stream, env: { DLQ_STORM_MAX_CONSECUTIVE: '100' } })
  await eventually(
    async () => (await (await fetch(`${second.url}/readyz`)).text()).includes('storm guard'),
    'the pause to hold',
  )
  expect(await stream.settled()).toBe(50)

  // nor how long the next record has been waiting, although it was never fetched: the lag grows as time goes by
  const lagged = async () => {
    const askedAtS = performance.now() / 1_000
    const lagS = await second.metric('consumer_lag_seconds', { partition: '0' })
    return lagS > 0 && { lagS, askedAtS, answeredAtS: performance.now() / 1_000 }
  }
  const before = await eventually(lagged, 'the age of the lag')
  await new Promise(resolve => setTimeout(resolve, 3_000))
  const after = await eventually(lagged, 'the age of the lag')
  expect(after.lagS - before.lagS).toBeGreaterThan(after.askedAtS - before.answeredAtS - 1)
  expect(after.lagS - before.lagS).toBeLessThan(after.answeredAtS - before.askedAtS + 1)
  expect(await second.metric('consumer_lag_records', { partition: '0' })).toBe(71)
  expect((await fetch(`${second.url}/livez`)).status).toBe(200)

  // when an operator lifts it, the rest flows, the good one as well, and each offset is accounted for
  const { stdout } = await holdfast(stream, 'resume', '--partition', '0', '--because', 'a test')
  expect(stdout).toContain('partition 0 resumed')
  await eventually(async () => (await stream.settled()) === 121, 'the rest')
  expect((await fetch(`${second.url}/order/${model.order_uid}`)).status).toBe(200)
  expect(await stream.query('SELECT what, because FROM holdfast.audit_log')).toEqual([
    { what: 'resume', because: 'a test' },
  ])
  expect(await second.stop()).toBe(0)
  await holdfast(stream, 'verify')
})

it.each([
  {
    what: 'a column that nobody fills',
    up: 'ALTER TABLE orders ADD COLUMN extra text NOT NULL',
    down: 'ALTER TABLE orders DROP COLUMN extra',
    partitions: 1,
    // At the start such a column is found before anything is read, and the process ends.
    restarts: false,
    cause: /column extra of orders \(SQLSTATE 23502\)/,
  },
  {
    what: 'a constraint that all break',
    up: "ALTER TABLE orders ADD CONSTRAINT only_xx CHECK (locale = 'xx') NOT VALID",
    down: 'ALTER TABLE orders DROP CONSTRAINT only_xx',
    partitions: 3,
    restarts: true,
    cause: /only_xx of orders \(SQLSTATE 23514\)/,
  },
])(
  '$what: nothing is dead-lettered, each partition waits and says why, and goes on once that is mended',
  async ({ up, down, partitions, restarts, cause }) => {
    // Given a service whose database begins to refuse every order, and 300 orders for each partition
    const stream = await aStream({ partitions })
    // (So long a linger that no batch is small, however they are fetched.)
    const started = { ...stream, env: { BATCH_MAX_RECORDS: '100', BATCH_LINGER_MS: '30000' } }
    const first = await startService(started)
    await eventually(() => isReady(first), 'its being ready')
    await stream.query(up)
    const records = Array.from({ length: 300 * partitions }, (_, i) => {
      return { value: JSON.stringify({ ...model, order_uid: `order-${i}` }), partition: i % partitions }
    })
    await stream.produce(records)
    const all = Array.from({ length: partitions }, (_, partition) => partition)

    // When they are read, then readiness names each partition with SQLSTATE and what they break, after a restart as well
    const readiness = async (url: string) => {
      const body = await (await fetch(`${url}/readyz`)).text()
      return all.every(partition => body.includes(`holdfast resume --partition ${partition}`)) && body
    }
    await eventually(() => readiness(first.url), 'each partition being stopped')
    // (Readiness may be read before the lines of the log are.)
    const log = await eventually(() => {
      const found = first.log.filter(({ event, reason }) => event === 'paused' && reason === 'storm_guard')
      return found.length >= partitions && found
    }, 'the log saying so')
    expect(log.map(({ partition }) => partition).sort()).toEqual(all)
    for (const { because } of log) expect(because).toMatch(cause)
    if (restarts) expect(await first.stop()).toBe(0)
    const service = restarts ? await startService(started) : first
    expect(await eventually(() => readiness(service.url), 'the pause to hold')).toMatch(cause)
    for (const partition of all) {
      expect(await service.metric('partition_paused', { partition: String(partition), reason: 'storm_guard' })).toBe(1)
    }
    const { stdout } = await holdfast(stream, 'lag', '--json')
    for (const row of stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))) {
      expect(row).toMatchObject({ paused_for: 'storm_guard', lag_records: 300 })
      expect(row.paused_because).toMatch(cause)
    }
    expect(await stream.readAll(stream.dlqTopic)).toEqual([])

    // And when it is mended and lifted, each is written
    await stream.query(down)
    await holdfast(stream, 'resume', '--because', 'mended')
    await eventually(async () => (await stream.settled()) === records.length, 'all of them')
    expect(await stream.query('SELECT count(*)::int AS orders FROM orders')).toEqual([{ orders: records.length }])
    expect(await stream.query('SELECT 1 FROM holdfast.dead_letters')).toEqual([])
    expect(await stream.findings()).toEqual([])
  },
)

it('every second one bad: stops at half of the last 1,000 records', async () => {
  const stream = await aStream({ partitions: 1 })
  await stream.produce(
    Array.from({ length: 2_000 }, (_, i) => {
      const value = i % 2 === 0 ? '{"not": "an order"}' : JSON.stringify({ ...model, order_uid: `order-${i}` })
      return { value, partition: 0 }
    }),
  )
  const service = await startService(stream)
  await eventually(
    async () => (await (await fetch(`${service.url}/readyz`)).text()).includes('storm guard'),
    'the stop',
  )
  await eventually(async () => (await stream.committed()) === 1_000, 'the commit')
  expect(await stream.settled()).toBe(1_000)
  expect(await stream.readAll(stream.dlqTopic)).toHaveLength(500)
  const [row] = await stream.query<{ paused_because: string }>('SELECT paused_because FROM holdfast.stream_progress')
  expect(row?.paused_because).toMatch(
    /^500 dead letters among its last 1,000 records, .*schema_violation \(required\)$/,
  )
  expect(await stream.query('SELECT count(*)::int AS orders FROM orders')).toEqual([{ orders: 500 }])
  expect(await stream.findings()).toEqual([])
})

it('seek moves a partition of a stopped service: it reads again and skips, and the proof still holds', async () => {
  const stream = await aStream({ partitions: 1 })
  const uid = (i: number) => `order-${i}`
  const order = (i: number) => ({ value: JSON.stringify({ ...model, order_uid: uid(i) }), partition: 0 })
  await stream.produce(Array.from({ length: 10 }, (_, i) => order(i)))
  const service = await startService(stream)
  await eventually(async () => (await stream.settled()) === 10, 'ten orders')
  expect(await service.stop()).toBe(0)

  // when it is moved back, everything is read again without effect
  await holdfast(stream, 'seek', '--partition', '0', '--to', 'earliest', '--because', 'read again')
  await holdfast(stream, 'verify')
  const again = await startService(stream)
  await eventually(async () => {
    const [row] = await stream.query<{ duplicate: string }>(
      'SELECT sum(duplicate) AS duplicate FROM holdfast.stream_ledger',
    )
    return Number(row?.duplicate) === 10
  }, 'ten duplicates')
  expect(await again.stop()).toBe(0)
  await holdfast(stream, 'verify')

  // and when it is moved forward, what lies between is skipped, and listed
  await stream.produce([order(10), order(11)])
  await holdfast(stream, 'seek', '--partition', '0', '--to', '11', '--because', 'skip one')
  const last = await startService(stream)
  await eventually(
    async () => (await stream.query('SELECT 1 FROM orders WHERE order_uid = $1', [uid(11)])).length === 1,
    'order 11',
  )
  expect(await stream.query('SELECT 1 FROM orders WHERE order_uid = $1', [uid(10)])).toEqual([])
  expect(await last.stop()).toBe(0)
  const { stdout, stderr } = await holdfast(stream, 'verify')
  expect(`${stdout}${stderr}`).toContain('skipped [10, 11)')
})
