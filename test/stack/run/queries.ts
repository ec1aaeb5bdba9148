import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import type { Prometheus } from './prometheus.ts'
import { ROOT } from './services.ts'

/** Every PromQL that ships: of the dashboards by panel, of the alerts by selector. */
export interface PanelQuery {
  dashboard: string
  panel: string
  expr: string
}

interface Panel {
  type: string
  title: string
  targets?: { expr?: string; datasource: { type: string } }[]
}
interface DashboardJson {
  title: string
  panels: Panel[]
  templating: { list: { type: string; name: string; query: string }[] }
}

const dashboards = ['restore', 'fleet'].map(
  name => JSON.parse(readFileSync(join(ROOT, `deploy/grafana/${name}.json`), 'utf8')) as DashboardJson,
)

export const panelQueries: readonly PanelQuery[] = dashboards.flatMap(({ title, panels }) =>
  panels.flatMap(panel =>
    (panel.targets ?? [])
      .filter(({ datasource }) => datasource.type === 'prometheus')
      .map(({ expr }) => ({ dashboard: title, panel: panel.title, expr: expr! })),
  ),
)

/** `label_values(selector, label)` of the dashboards' variables. */
export const variableQueries: readonly string[] = dashboards.flatMap(({ templating }) =>
  templating.list.filter(({ type }) => type === 'query').map(({ query }) => query),
)

/** As Grafana fills them in; 40 s is four times the data source's `timeInterval`. */
export const filledIn = (expr: string, restoreId: string): string =>
  expr
    .replaceAll('$job', 'restore-agent')
    .replaceAll('$restore_id', restoreId)
    .replaceAll('$__rate_interval', '40s')
    .replaceAll('$__range', '30m')

/**
 * What only some restores have: errors, rows to roll back (mariadb-backup leaves them to the server), and MyHoard's
 * number (mariadb-backup prints what it is made of every 15 s only). Each is asserted where it must be there; those of
 * binlogs and of requests to a source in alerts/alerts.test.ts, on series by hand.
 */
export const NOT_IN_EVERY_RESTORE =
  /restore_(errors_total.* > 0|prepare_rollback_rows|prepare_scan_progress_percent|source_(windows|retries)|binlog_|recovery_point_time)/

/** Those of the queries that give nothing for a restore since `fromS`. */
export async function withoutData(
  prometheus: Prometheus,
  queries: readonly PanelQuery[],
  restoreId: string,
  fromS: number,
): Promise<string[]> {
  const empty: string[] = []
  for (const { panel, expr } of queries) {
    const found = await prometheus.range(filledIn(expr, restoreId), fromS, Date.now() / 1000, 1)
    if (!found.some(({ points }) => points.length > 0)) empty.push(`${panel}: ${expr}`)
  }
  return empty
}

export interface AlertExpression {
  name: string
  expr: string
}
export const ruleExpressions: readonly AlertExpression[] = (
  parse(readFileSync(join(ROOT, 'deploy/prometheus/alerts.yml'), 'utf8')) as {
    groups: { rules: { alert?: string; record?: string; expr: string }[] }[]
  }
).groups.flatMap(({ rules }) => rules.map(({ alert, record, expr }) => ({ name: (alert ?? record)!, expr })))

interface Node {
  type: string
  name?: string
  matchers?: { name: string; type: string; value: string }[]
  [child: string]: unknown
}

/** The selectors inside an expression, as Prometheus parses it. */
export async function selectorsOf(prometheus: Prometheus, expr: string): Promise<string[]> {
  const response = await fetch(`${prometheus.url}/api/v1/parse_query?${new URLSearchParams({ query: expr })}`)
  const { data } = (await response.json()) as { data: Node }
  const found: string[] = []
  const visit = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return
    const { type, matchers } = node as Node
    if (type === 'vectorSelector' || type === 'matrixSelector')
      found.push(`{${matchers!.map(({ name, type: op, value }) => `${name}${op}${JSON.stringify(value)}`).join(',')}}`)
    else Object.values(node).forEach(visit)
  }
  visit(data)
  return found
}
