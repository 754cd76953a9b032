import { expect, it } from 'vitest'
import { type EmbeddedPrometheus, startPrometheus } from '#tools/demo/servers/prometheus.ts'
import { readBoards } from '../support/dashboards.ts'
import { generated } from '../support/model.ts'
import { ownPostgres } from '../support/own-servers.ts'
import { RULES_DIR, withPrometheus } from '../support/prometheus.ts'
import { adminKeyOf, ask, eventually, isReady, startService } from '../support/service.ts'
import { aStream, streamTools } from '../support/stream.ts'

streamTools()

const RECORDS = 600
const SEED = 71
const REDRIVEN = 5
const PARTITIONS = 3

withPrometheus('the dashboards', () => {
  it('show a run with invalid records, an outage of Postgres, a redrive and readers: every query gives series with numbers', async () => {
    // Given a service under a Prometheus with our rules
    const postgres = await ownPostgres()
    const stream = await aStream({ databaseUrl: postgres.url, partitions: PARTITIONS })
    const service = await startService({ ...stream, env: { RETRY_MAX_MS: '500' } })
    await eventually(() => isReady(service), 'the service being ready')
    await using prometheus = await startPrometheus({
      targets: [{ url: service.url }],
      rulesDir: RULES_DIR,
      intervalMs: 500,
    })
    await prometheus.scraped(2)

    // When orders come in, some of them new versions and some of them invalid, and somebody reads
    const records = generated(RECORDS, { seed: SEED, invalidRatio: 0.1, updatesRatio: 0.2 })
    const invalid = records.filter(({ uid }) => uid === null).length
    await stream.produce(records.slice(0, RECORDS / 2))
    await eventually(async () => (await stream.settled()) === RECORDS / 2, 'the first half being settled')
    const read = async (uid: string) => (await ask(service, `/order/${uid}`)).status
    const known = records.find(({ uid }) => uid !== null)?.uid ?? ''
    expect([await read(known), await read(known), await read('nobody')]).toEqual([200, 200, 404])
    expect((await ask(service, '/orders?limit=5')).status).toBe(200)
    await prometheus.scraped(1)

    // And Postgres goes away while more of them come, and comes back
    await postgres.stop('fast')
    await stream.produce(records.slice(RECORDS / 2))
    await eventually(async () => (await service.metric('breaker_open', { dependency: 'postgres' })) === 1, 'the outage')
    expect(await read('somebody')).toBe(503)
    // A partition that was paused before it fetched these records learns their age from Kafka, two seconds later.
    await eventually(
      async () => (await service.metric('consumer_lag_seconds')) > PARTITIONS,
      'the partitions being behind by more than a second, on average',
    )
    await prometheus.scraped(3)
    await postgres.restart()
    await eventually(async () => (await stream.settled()) === RECORDS, 'the rest being settled')
    await eventually(
      async () => (await service.metric('dead_letters_open')) === invalid,
      'the dead letters being counted',
    )
    expect(await read(known)).toBe(200)

    // And some of the dead letters are sent back as they are, and fail again
    const key = await adminKeyOf(service)
    const started = await fetch(`${service.url}/admin/replays`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ q: 'reason:schema_violation', limit: REDRIVEN }),
    })
    expect(started.status).toBe(201)
    const failed = () => service.metric('replay_records_total', { result: 'failed_again' })
    await eventually(async () => (await failed()) === REDRIVEN, 'the redrive being settled')
    await eventually(
      async () => (await service.metric('dead_letters_open')) === invalid,
      'the dead letters being open again',
    )
    await prometheus.scraped(3)

    // Then whatever a panel, an annotation or a variable asks for gives series, and numbers in them
    // (A scrape or a count that comes late on a busy machine leaves a gap, which the next one closes.)
    await expect
      .poll(async () => {
        // What is read before the service listens to the others again leaves the cache once it does.
        await read(known)
        const silent: string[] = []
        for (const { where, promql } of everyQuery()) {
          const numbers = (await prometheus.query(promql)).filter(({ value }) => Number.isFinite(value))
          if (numbers.length === 0) silent.push(`${where}: ${promql}`)
        }
        return silent
      })
      .toEqual([])

    // And the panels tell what happened
    const shown = figuresOf(prometheus)
    expect(await shown('Dead letters', 'Open')).toBe(invalid)
    expect(await shown('Is it healthy?', 'Behind by')).toBe(0)
    expect(await shown('Is it healthy?', 'Ready')).toBe(1)
    expect(await shown('Utilisation, saturation, errors', 'Breakers')).toBe(0)
    expect(await shown('Utilisation, saturation, errors', 'Breakers', 'max_over_time')).toBe(1)
    expect(await shown('Is it healthy?', 'Behind by', 'max_over_time')).toBeGreaterThan(0.5)
    expect(await shown('Is it healthy?', 'Ready', 'min_over_time')).toBe(0)
    expect(await shown('How far, how fast, to what end?', 'Failed again')).toBe(1)
    expect(await shown('How far, how fast, to what end?', 'Still to come')).toBe(0)
  })
})

interface Asked {
  readonly row: string
  readonly panel: string
  readonly where: string
  readonly promql: string
}

/** Of all dashboards, as Grafana would send it for a single job and all of its replicas, over the whole run. */
function everyQuery(): Asked[] {
  const asked = readBoards().flatMap(board => {
    let row = ''
    const ofPanels = board.panels.flatMap(({ type, title, targets = [] }) => {
      if (type === 'row') row = title
      return targets.map(({ expr }) => ({
        row,
        panel: title,
        where: `${board.title}, ${title}`,
        promql: interpolated(expr),
      }))
    })
    const ofAnnotations = (board.annotations?.list ?? []).map(({ name, expr }) => {
      return { row: '', panel: name, where: `${board.title}, annotation ${name}`, promql: interpolated(expr) }
    })
    const ofVariables = (board.templating?.list ?? []).flatMap(({ name, query }) => {
      const text = typeof query === 'object' ? (query as { query: string }).query : ''
      const [, promql = ''] = /^label_values\((.+), \w+\)$/.exec(text) ?? []
      return promql === ''
        ? []
        : [{ row: '', panel: name, where: `${board.title}, $${name}`, promql: interpolated(promql) }]
    })
    return [...ofPanels, ...ofAnnotations, ...ofVariables]
  })
  expect(asked.length).toBeGreaterThan(60)
  return asked
}

function interpolated(expr: string): string {
  const promql = expr
    .replaceAll('$job', 'holdfast')
    .replaceAll('$instance', '.*')
    .replaceAll('$stream', '.*')
    .replace(/\$__(rate_interval|range)/g, '5m')
  expect(promql).not.toContain('$')
  return promql
}

/** The sum of what the first query of a panel gives; `over` the run: the highest or lowest that it has shown. */
function figuresOf(prometheus: EmbeddedPrometheus) {
  const asked = everyQuery()
  return async (row: string, panel: string, over?: 'max_over_time' | 'min_over_time'): Promise<number> => {
    const query = asked.find(one => one.row === row && one.panel === panel)
    expect(query, `${row}, ${panel}`).toBeDefined()
    const promql = over === undefined ? query?.promql : `${over}((${query?.promql})[5m:500ms])`
    return (await prometheus.query(promql ?? '')).reduce((sum, { value }) => sum + value, 0)
  }
}
