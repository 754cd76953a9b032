import { expect, it } from 'vitest'
import { METRICS, PREFIX } from '#src/telemetry/metric-table.ts'
import { startPrometheus } from '#tools/demo/servers/prometheus.ts'
import { type Page, parsePage, strangersOn } from '../support/metrics-page.ts'
import { anOrder } from '../support/orders.ts'
import {
  promtool,
  queriesOfDashboards,
  queriesOfRunbooks,
  RULES_DIR,
  rulesOf,
  withPrometheus,
} from '../support/prometheus.ts'
import { metricsIn } from '../support/promql.ts'
import { ask, eventually, isReady, type Service, startService } from '../support/service.ts'
import { aStream, type ProducedRecord, type Stream, streamTools } from '../support/stream.ts'

streamTools()

const PARTITIONS = 2
const PROM_CLIENTS_OWN =
  /^nodejs_(active_(handles|requests|resources)_total non-counter metrics|eventloop_utilization_(histogram|summary) metric name) should not/
/** Of the delivery: name, phone, email, address. */
const SECRETS = ['Zebulon Quimby', '+19175550111', 'zebulon@example.com', 'Quimby Street 7']

it('every fact has its metric, every label its closed set, and nothing of an order is told', async () => {
  // Given a service that has met every outcome: written, superseded, stale, duplicate, dead letters of three kinds
  const stream = await aStream({ partitions: PARTITIONS })
  const service = await startService({ ...stream })
  await eventually(() => isReady(service), 'the service being ready')
  await aDayOf(stream, service)

  // When its connections break, and somebody asks for orders in all the usual ways
  await stream.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'holdfast-lanes/%'`,
  )
  await stream.produce([orderRecord('order-after'), { value: 'broken', partition: 1 }])
  await eventually(async () => (await stream.settled()) === 11, 'the rest being settled')
  for (const path of [
    '/order/order-1',
    '/order/order-1',
    '/order/nobody',
    '/order/..%2f',
    '/orders?limit=1',
    '/nowhere',
    '/',
    '/order/order-1',
  ]) {
    await ask(service, path)
  }
  // The broker knows of a commit a moment before the service knows that it does.
  const page = await eventually(async () => {
    const told = await pageOf(service)
    const isTold = (await stream.committed()) === 11 && sumOf(told, 'consumer_lag_records', {}) === 0
    return isTold && countsAgree(told, 'end_to_end_latency_seconds_count', 'batch_records_count') && told
  }, 'the offsets being committed')

  // Then the page holds what the table says: all of it, and no more
  expect(strangersOn(page)).toEqual([])
  for (const name of Object.keys(METRICS)) expect([...page.names]).toContain(PREFIX + name)
  const text = JSON.stringify(page.samples)
  for (const secret of [...SECRETS, 'order-1', 'nobody']) expect(text).not.toContain(secret)

  // And the counts are those of the ledger
  const of = (name: string, labels: Record<string, string> = {}) => sumOf(page, name, labels)
  expect(of('records_total')).toBe(11)
  // Whether two versions of an order meet in one batch is a matter of milliseconds.
  expect(of('records_total', { outcome: 'written' }) + of('records_total', { outcome: 'superseded' })).toBe(6)
  expect(of('records_total', { outcome: 'stale' })).toBe(1)
  expect(of('records_total', { outcome: 'dead_lettered' })).toBe(4)
  expect(of('dead_letters_total', { reason: 'malformed_json' })).toBe(2)
  expect(of('dead_letters_total', { reason: 'empty_value' })).toBe(1)
  expect(of('unusual_records_total', { kind: 'key_mismatch' })).toBe(1)
  expect(of('batch_records_sum')).toBe(11)
  expect(of('batch_duration_seconds_count', { stage: 'write' })).toBe(of('batch_records_count'))
  expect(of('end_to_end_latency_seconds_count')).toBe(of('batch_records_count'))
  expect(of('rebalances_total')).toBeGreaterThan(0)
  expect(of('consumer_lag_records')).toBe(0)
  expect(of('consumer_lag_seconds')).toBe(0)
  expect(of('inflight_records')).toBe(0)
  expect(of('cache_requests_total', { result: 'hit' })).toBeGreaterThan(0)
  expect(of('http_request_duration_seconds_count', { route: '/order/:uid', status: '200' })).toBe(3)
  expect(of('http_request_duration_seconds_count', { route: 'unmatched', status: '404' })).toBeGreaterThan(0)
  expect(of('pg_pool_wait_seconds_count', { pool: 'lanes' })).toBeGreaterThan(0)
  expect(of('pg_pool_max_connections', { pool: 'lanes' })).toBe(4)
  expect(of('pg_pool_connections', { pool: 'listen', state: 'used' })).toBe(1)
  expect(of('health_check_ok', { probe: 'ready' })).toBe(page.samples.filter(isReadyCheck).length)
  // They were counted at the start, when there were none; and again every fifteen seconds, as many as there were by then.
  expect(of('dead_letters_open')).toBeLessThanOrEqual(4)

  // And another replica, started now, finds the dead letters, and one of them two hours old
  const agedMs = performance.now()
  await stream.query(
    `UPDATE holdfast.dead_letters SET failed_at = now() - interval '2 hours' WHERE reason = 'empty_value'`,
  )
  const reader = await startService({ ...stream, roles: ['api'] })
  const found = await eventually(async () => {
    const page = await pageOf(reader)
    return sumOf(page, 'dead_letters_open', {}) > 0 ? page : undefined
  }, 'the dead letters being counted')
  expect(strangersOn(found)).toEqual([])
  expect(sumOf(found, 'dead_letters_open', { reason: 'malformed_json' })).toBe(2)
  const agedForSeconds = (performance.now() - agedMs) / 1_000
  expect(sumOf(found, 'dead_letters_oldest_age_seconds', {})).toBeGreaterThan(7_199)
  expect(sumOf(found, 'dead_letters_oldest_age_seconds', {})).toBeLessThan(7_201 + agedForSeconds)
  // What belongs to a stream is not told by one that has none.
  expect(
    found.samples.filter(({ name }) => /lag|inflight|breaker|paused/.test(name) && !name.startsWith('nodejs')),
  ).toEqual([])
})

withPrometheus('what Prometheus makes of it', () => {
  it('has nothing against the page, knows all that rules, runbooks and dashboards ask for, and raises the right alert', async () => {
    // Given a service under a Prometheus with our rules
    const stream = await aStream({ partitions: PARTITIONS })
    const service = await startService({ ...stream })
    await eventually(() => isReady(service), 'the service being ready')
    await using prometheus = await startPrometheus({
      targets: [{ url: service.url }],
      rulesDir: RULES_DIR,
      intervalMs: 500,
    })
    await prometheus.scraped(2)

    // When there is a day's work
    await aDayOf(stream, service)
    await ask(service, '/order/order-1')
    await prometheus.scraped(3)

    // Then promtool finds no fault with the page, but for the names of three gauges that are prom-client's own
    const text = (await ask(service, '/metrics')).body
    const { said } = await promtool(['check', 'metrics'], text)
    expect(
      said
        .trim()
        .split('\n')
        .filter(line => !PROM_CLIENTS_OWN.test(line)),
    ).toEqual([])

    // And whatever is asked for anywhere is there
    const rules = await rulesOf(prometheus.url)
    const recorded = rules.filter(({ type }) => type === 'recording').map(({ name }) => name)
    const known = new Set([...parsePage(text).names, ...recorded, 'up', 'ALERTS'])
    const asked = [
      ...rules.map(({ name, query }) => ({ file: name, promql: query })),
      ...queriesOfRunbooks(),
      ...queriesOfDashboards(),
    ]
    expect(rules.length).toBeGreaterThan(20)
    for (const { file, promql } of asked) {
      expect(
        metricsIn(promql).filter(name => !known.has(name)),
        `${file}: ${promql}`,
      ).toEqual([])
    }
    for (const { file, promql } of queriesOfRunbooks()) {
      await expect(prometheus.query(promql), `${file}: ${promql}`).resolves.toBeInstanceOf(Array)
    }

    // And each recording rule gives series, and the one alert that belongs to such a day fires
    for (const name of recorded) {
      await eventually(async () => (await prometheus.query(name)).length > 0, `series of ${name}`)
    }
    const firing = await eventually(async () => {
      const alerts = await prometheus.query('ALERTS{alertstate="firing"}')
      return alerts.length >= 3 ? alerts : undefined
    }, 'an alert for each reason')
    expect(firing.map(({ labels }) => `${labels.alertname} ${labels.reason}`).sort()).toEqual([
      'HoldfastDeadLettersArriving empty_value',
      'HoldfastDeadLettersArriving malformed_json',
      'HoldfastDeadLettersArriving schema_violation',
    ])
  })
})

/** Nine records: three orders written, one of them newer than another of its batch, an older one, a key of another, and dead letters. */
async function aDayOf(stream: Stream, service: Service): Promise<void> {
  await stream.produce([orderRecord('order-1', 100), orderRecord('order-2', 100)])
  await eventually(async () => (await stream.settled()) === 2, 'the first orders being settled')
  await stream.produce([
    orderRecord('order-3', 100),
    orderRecord('order-3', 200),
    // Older than what is stored, from another partition: only its timestamp can tell.
    { ...orderRecord('order-1', 50), partition: 1, timestampMs: Date.now() - 3_600_000 },
    { ...orderRecord('order-2', 300), key: Buffer.from('somebody-else'), partition: 0 },
    { value: null, key: Buffer.from('order-9'), partition: 1 },
    { value: 'broken', partition: 1 },
    { value: '{"order_uid":"order-8"}', partition: 0 },
  ])
  await eventually(async () => (await stream.settled()) === 9, 'the day being settled')
  await eventually(async () => (await service.metric('records_total')) === 9, 'the day being counted')
}

function orderRecord(uid: string, amount = 100): ProducedRecord {
  const order = anOrder({ uid, amount })
  const [name = '', phone = '', email = '', address = ''] = SECRETS
  const value = { ...order, delivery: { ...order.delivery, name, phone, email, address } }
  return { key: Buffer.from(uid), value: JSON.stringify(value), partition: 0 }
}

async function pageOf(service: Service): Promise<Page> {
  return parsePage((await ask(service, '/metrics')).body)
}

function sumOf(page: Page, name: string, labels: Readonly<Record<string, string>>): number {
  return page.samples
    .filter(sample => sample.name === `${PREFIX}${name}`)
    .filter(sample => Object.entries(labels).every(([label, value]) => sample.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0)
}

function countsAgree(page: Page, one: string, other: string): boolean {
  return sumOf(page, one, {}) === sumOf(page, other, {})
}

function isReadyCheck({ name, labels }: Page['samples'][number]): boolean {
  return name === `${PREFIX}health_check_ok` && labels.probe === 'ready'
}
