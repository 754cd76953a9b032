import type { Builder } from '@grafana/grafana-foundation-sdk/cog'
import * as common from '@grafana/grafana-foundation-sdk/common'
import * as dashboard from '@grafana/grafana-foundation-sdk/dashboard'
import * as heatmap from '@grafana/grafana-foundation-sdk/heatmap'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'
import * as stat from '@grafana/grafana-foundation-sdk/stat'
import * as statetimeline from '@grafana/grafana-foundation-sdk/statetimeline'
import * as timeseries from '@grafana/grafana-foundation-sdk/timeseries'
import type { Runbooks } from './runbooks.ts'

/** One line of a graph, or a family of them. */
export interface Query {
  /** PromQL; `$job`, `$instance` and `$stream` are the dashboard's, `$__rate_interval` is Grafana's. */
  readonly expr: string
  /** The name of a line: text, with labels as `{{partition}}`. */
  readonly legend: string
  /** For latencies: shows exemplars, dots that link to the traces of single batches or requests. */
  readonly examples?: boolean
}

/** The content of a panel. Unit, description and runbook are required. */
export interface PanelSpec {
  readonly title: string
  /** How to read it, in a sentence or three; Markdown. */
  readonly about: string
  /** One of Grafana's, or `suffix:…`. */
  readonly unit: string
  /**
   * - `figure`: the current value, large, with its recent history behind it
   * - `lines`: each series for itself; `stack`: parts of a whole
   * - `states`: a band for each series, coloured by {@link names}
   * - `heat`: a histogram over time; the one query is of its buckets, by `le`
   */
  readonly kind: 'figure' | 'lines' | 'stack' | 'states' | 'heat'
  readonly queries: readonly Query[]
  /** The alert whose runbook helps when the panel looks wrong. */
  readonly runbook: string
  /** The matching view of the console, as the query of its address: `view=list&q=…`. Default: its first page. */
  readonly console?: string
  /** In 24ths of the page. Default: 4 for a figure, else 8. */
  readonly width?: number
  /** From this value on the figure has this colour; values below the first are green. */
  readonly thresholds?: readonly (readonly [from: number, color: string])[]
  /** The name of a value, and its colour. */
  readonly names?: Readonly<Record<number, readonly [text: string, color: string]>>
  /** Shown while there is no value; Grafana's own is "No data", which reads like a fault. */
  readonly whenNone?: string
  readonly max?: number
}

export interface Place {
  readonly id: number
  readonly x: number
  readonly y: number
}

export const SOURCE = { type: 'prometheus', uid: '$datasource' } as const
export const UNITS = {
  seconds: 's',
  bytes: 'bytes',
  share: 'percentunit',
  count: 'short',
  perSecond: 'suffix: /s',
} as const

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

export function widthOf({ kind, width }: PanelSpec): number {
  return width ?? (kind === 'figure' ? 4 : 8)
}

export function heightOf({ kind }: PanelSpec): number {
  return kind === 'figure' ? 4 : 8
}

/** @throws RangeError when the runbook does not exist */
export function buildPanel(spec: PanelSpec, { id, x, y }: Place, runbooks: Runbooks): Builder<dashboard.Panel> {
  const panel = byKind(spec)
    .id(id)
    .title(spec.title)
    .description(spec.about)
    .datasource(SOURCE)
    .gridPos({ x, y, w: widthOf(spec), h: heightOf(spec) })
    .links([
      link(`Runbook: ${spec.runbook}`, runbooks.linkTo(spec.runbook)),
      link('Console', consoleLink(spec.console)),
    ])
    .targets(spec.queries.map((query, index) => target(spec, query, LETTERS[index] ?? '?')))
    .unit(spec.unit)
    .noValue(spec.whenNone ?? 'none yet')
  if (spec.max !== undefined) panel.max(spec.max)
  if (spec.thresholds !== undefined || spec.kind === 'figure') panel.thresholds(thresholds(spec.thresholds ?? []))
  if (spec.names !== undefined) panel.mappings([names(spec.names)])
  return panel
}

function byKind(spec: PanelSpec) {
  switch (spec.kind) {
    case 'figure':
      return new stat.PanelBuilder()
        .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
        .colorMode(common.BigValueColorMode.Value)
        .graphMode(spec.names === undefined ? common.BigValueGraphMode.Area : common.BigValueGraphMode.None)
        .colorScheme(new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Thresholds))
    case 'lines':
      return lines()
    case 'stack':
      return lines()
        .fillOpacity(25)
        .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'))
    case 'states':
      return new statetimeline.PanelBuilder()
        .mergeValues(true)
        .showValue(common.VisibilityMode.Never)
        .rowHeight(0.8)
        .legend(legend())
        .colorScheme(new dashboard.FieldColorBuilder().mode(dashboard.FieldColorModeId.Thresholds))
    case 'heat':
      return new heatmap.PanelBuilder()
        .calculate(false)
        .color(
          new heatmap.HeatmapColorOptionsBuilder()
            .mode(heatmap.HeatmapColorMode.Scheme)
            .scheme('Oranges')
            .exponent(0.5)
            .steps(64)
            .reverse(false)
            .fill('dark-orange'),
        )
        .yAxis(new heatmap.YAxisConfigBuilder().unit(spec.unit))
        .showLegend()
  }
}

function lines(): timeseries.PanelBuilder {
  return (
    new timeseries.PanelBuilder()
      .lineWidth(1)
      .fillOpacity(8)
      .showPoints(common.VisibilityMode.Never)
      // The scale includes zero: otherwise noise fills the panel and looks like an event.
      .axisSoftMin(0)
      .legend(legend())
      .tooltip(
        new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending),
      )
  )
}

function legend() {
  return new common.VizLegendOptionsBuilder()
    .displayMode(common.LegendDisplayMode.List)
    .placement(common.LegendPlacement.Bottom)
    .showLegend(true)
    .calcs([])
}

function target(spec: PanelSpec, query: Query, refId: string) {
  return new DataqueryBuilder()
    .refId(refId)
    .expr(query.expr)
    .legendFormat(query.legend)
    .format(spec.kind === 'heat' ? PromQueryFormat.Heatmap : PromQueryFormat.TimeSeries)
    .exemplar(query.examples ?? false)
    .range()
}

function thresholds(steps: NonNullable<PanelSpec['thresholds']>) {
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps([{ value: null, color: 'green' }, ...steps.map(([value, color]) => ({ value, color }))])
}

function names(values: NonNullable<PanelSpec['names']>): dashboard.ValueMap {
  const options = Object.entries(values).map(([value, [text, color]], index) => [value, { text, color, index }])
  return { type: dashboard.MappingType.ValueToText, options: Object.fromEntries(options) }
}

/** @param query of the console's address, as `view=list&q=state:open` */
export function consoleLink(query?: string): string {
  return `\${console:raw}/admin${query === undefined ? '' : `?${query}`}`
}

export function link(title: string, url: string) {
  return new dashboard.DashboardLinkBuilder(title)
    .type(dashboard.DashboardLinkType.Link)
    .icon('external link')
    .url(url)
    .targetBlank(true)
}
