import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import { buildPanel, consoleLink, heightOf, link, type PanelSpec, SOURCE, widthOf } from './panel.ts'
import type { Runbooks } from './runbooks.ts'

export interface Row {
  readonly title: string
  /** From left to right, then down. */
  readonly panels: readonly PanelSpec[]
}

export interface BoardSpec {
  readonly uid: string
  readonly title: string
  readonly about: string
  readonly rows: readonly Row[]
  /** Another dashboard to link to, for more detail. */
  readonly beside: { readonly title: string; readonly uid: string }
  readonly from: string
}

const PAGE_WIDTH = 24

/** Rows below one another. Ids are counted up, so a panel keeps its id while nothing is put before it. */
export function buildBoard(spec: BoardSpec, runbooks: Runbooks): dashboard.Dashboard {
  const builder = new dashboard.DashboardBuilder(spec.title)
    .uid(spec.uid)
    .description(spec.about)
    .tags(['holdfast'])
    .readonly()
    .timezone('browser')
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .time({ from: spec.from, to: 'now' })
    .refresh('10s')
    .variables(variables())
    .annotations([restarts()])
    .links([
      link('Console', consoleLink()),
      boardLink(spec.beside.title, spec.beside.uid),
      boardLink('Runbooks', 'holdfast-runbooks'),
    ])
  let id = 0
  let y = 0
  for (const row of spec.rows) {
    // Placed by hand throughout: the builder takes x = 0, y = 0 for "somewhere", and moves it.
    const heading = new dashboard.RowBuilder(row.title)
      .id(++id)
      .gridPos({ x: 0, y, w: PAGE_WIDTH, h: 1 })
      .collapsed(false)
    builder.withRow(heading)
    y += 1
    let x = 0
    let lineHeight = 0
    for (const panel of row.panels) {
      if (x + widthOf(panel) > PAGE_WIDTH) {
        x = 0
        y += lineHeight
        lineHeight = 0
      }
      builder.withPanel(buildPanel(panel, { id: ++id, x, y }, runbooks))
      x += widthOf(panel)
      lineHeight = Math.max(lineHeight, heightOf(panel))
    }
    y += lineHeight
  }
  return builder.build()
}

function variables() {
  const query = (name: string, label: string, expr: string) =>
    new dashboard.QueryVariableBuilder(name)
      .label(label)
      .datasource(SOURCE)
      .query({ query: expr, refId: name })
      .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
      .sort(dashboard.VariableSort.AlphabeticalAsc)
  return [
    new dashboard.DatasourceVariableBuilder('datasource').label('Prometheus').type('prometheus'),
    query('job', 'Job', 'label_values(holdfast_build_info, job)'),
    query('instance', 'Replica', 'label_values(holdfast_build_info{job="$job"}, instance)')
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current({ selected: true, text: 'All', value: '$__all' }),
    query('stream', 'Stream', 'label_values(holdfast_records_total{job="$job"}, stream)')
      .multi(true)
      .includeAll(true)
      .allValue('.*')
      .current({ selected: true, text: 'All', value: '$__all' }),
    new dashboard.TextBoxVariableBuilder('console')
      .label('Service')
      .description('Where the service is, as your browser reaches it; the links to its console begin with it.')
      .defaultValue('http://127.0.0.1:8081'),
  ]
}

/** A line across all panels where a process began: a deployment, or a crash. */
function restarts() {
  return new dashboard.AnnotationQueryBuilder()
    .name('Starts')
    .datasource(SOURCE)
    .enable(true)
    .iconColor('blue')
    .expr('process_start_time_seconds{job="$job",instance=~"$instance"} * 1000')
    .useValueForTime(true)
    .titleFormat('{{instance}} started')
    .textFormat('')
    .step('60s')
}

function boardLink(title: string, uid: string) {
  return link(title, `/d/${uid}`).icon('dashboard').targetBlank(false).includeVars(true).keepTime(true)
}
