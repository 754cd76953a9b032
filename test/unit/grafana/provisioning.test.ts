import { expect, it } from 'vitest'
import { parse } from 'yaml'
import { type ComposeService, composeFile, isThere, textOf } from '../containers/compose-file.ts'

interface DataSource {
  readonly uid: string
  readonly type: string
  readonly url: string
  readonly isDefault?: boolean
  readonly jsonData?: {
    readonly timeInterval: string
    readonly exemplarTraceIdDestinations: readonly { readonly name: string; readonly datasourceUid: string }[]
  }
}

const { datasources } = parse(textOf('grafana/provisioning/datasources/holdfast.yaml')) as {
  datasources: readonly DataSource[]
}
const grafana = composeFile().services.grafana as ComposeService
const mounts = Object.fromEntries((grafana.volumes ?? []).map(volume => volume.split(':').slice(0, 2).reverse()))

it('the data sources are servers of docker-compose.yml', () => {
  for (const { url, type } of datasources) {
    const [, variable = ''] = /^\$\{(\w+)\}$/.exec(url) ?? []
    const { hostname } = new URL(String(grafana.environment?.[variable]))
    expect(composeFile().services, type).toHaveProperty(hostname)
  }
})

it('one of them is what a dashboard takes when nobody chooses, and an example of a latency leads to its trace', () => {
  const usual = datasources.filter(({ isDefault }) => isDefault)
  expect(usual.map(({ type }) => type)).toEqual(['prometheus'])
  const { timeInterval, exemplarTraceIdDestinations } = usual[0]?.jsonData ?? {}
  const { global } = parse(textOf('prometheus/prometheus.yml')) as { global: { scrape_interval: string } }
  expect(timeInterval).toBe(global.scrape_interval)
  const traces = datasources.find(({ type }) => type === 'jaeger')?.uid
  // The label that src/telemetry/metrics.ts puts on an exemplar.
  expect(exemplarTraceIdDestinations).toEqual([{ name: 'trace_id', datasourceUid: traces }])
  expect(textOf('src/telemetry/metrics.ts')).toContain('trace_id:')
})

it('the dashboards are read from where they are mounted', () => {
  const { providers } = parse(textOf('grafana/provisioning/dashboards/holdfast.yaml')) as {
    providers: readonly { readonly options: { readonly path: string } }[]
  }
  expect(providers.map(({ options }) => mounts[options.path])).toEqual(['./grafana/dashboards'])
  const home = String(grafana.environment?.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH)
  expect(isThere(home.replace('/etc/grafana/', 'grafana/'))).toBe(true)
  expect(mounts['/etc/grafana/provisioning']).toBe('./grafana/provisioning')
})
