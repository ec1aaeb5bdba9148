import type { Builder, Dataquery } from '@grafana/grafana-foundation-sdk/cog'
import type { DataSourceRef } from '@grafana/grafana-foundation-sdk/common'
import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  ThresholdsConfigBuilder,
  ThresholdsMode,
  VariableRefresh,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { DataqueryBuilder as LokiQuery } from '@grafana/grafana-foundation-sdk/loki'
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus'

/** What both dashboards are made of: data sources, variables, queries, colours. */
export const PROMETHEUS: DataSourceRef = { type: 'prometheus', uid: '$prometheus_datasource' }
export const LOKI: DataSourceRef = { type: 'loki', uid: '$loki_datasource' }
export const JAEGER: DataSourceRef = { type: 'jaeger', uid: '$jaeger_datasource' }

interface QueryOptions {
  legend?: string
  /** The newest value only; as rows of a table with `table`. */
  instant?: boolean
  table?: boolean
  refId?: string
}

export function query(expr: string, { legend, instant, table, refId }: QueryOptions = {}): DataqueryBuilder {
  const built = new DataqueryBuilder().datasource(PROMETHEUS).expr(expr)
  if (instant || table) built.instant()
  else built.range()
  if (table) built.format(PromQueryFormat.Table)
  if (legend) built.legendFormat(legend)
  if (refId) built.refId(refId)
  return built
}

export const logQuery = (expr: string): LokiQuery => new LokiQuery().datasource(LOKI).expr(expr).refId('A')

/** A search in Jaeger; the SDK has no builder for it. */
export const traceSearch = (service: string, tags: string): Builder<Dataquery> => ({
  build: () => {
    const search = { refId: 'A', datasource: JAEGER, queryType: 'search', service, tags, limit: 20, dataqueryName: '' }
    return { ...search, _implementsDataqueryVariant: () => {} }
  },
})

/** Colours from a value on: `[null, 'green'], [80, 'red']`. */
export const thresholds = (...steps: readonly (readonly [number | null, string])[]): ThresholdsConfigBuilder =>
  new ThresholdsConfigBuilder().mode(ThresholdsMode.Absolute).steps(steps.map(([value, color]) => ({ value, color })))

export const fixedColor = (color: string) => [{ id: 'color', value: { mode: 'fixed', fixedColor: color } }]
export const withUnit = (unit: string) => [{ id: 'unit', value: unit }]

export const STATE_COLORS = { running: 'blue', succeeded: 'green', failed: 'red', cancelled: 'orange' } as const

export const row = (title: string): RowBuilder => new RowBuilder(title)

export function dashboard(uid: string, title: string, description: string): DashboardBuilder {
  return new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['restore-agent'])
    .readonly()
    .timezone('browser')
    .time({ from: 'now-1h', to: 'now' })
    .refresh('10s')
    .withVariable(
      new DatasourceVariableBuilder('prometheus_datasource').label('Prometheus data source').type('prometheus'),
    )
    .withVariable(new DatasourceVariableBuilder('loki_datasource').label('Loki data source').type('loki'))
    .withVariable(new DatasourceVariableBuilder('jaeger_datasource').label('Jaeger data source').type('jaeger'))
    .withVariable(
      new QueryVariableBuilder('job')
        .label('Job')
        .datasource(PROMETHEUS)
        .query('label_values(restore_status, job)')
        .refresh(VariableRefresh.OnTimeRangeChanged)
        .multi(true)
        .includeAll(true)
        .allValue('.+')
        .current({ text: 'All', value: '$__all' }),
    )
}
