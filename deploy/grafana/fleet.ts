import { BigValueColorMode } from '@grafana/grafana-foundation-sdk/common'
import type { Dashboard } from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries'
import { dashboard, PROMETHEUS, query, row, thresholds, withUnit } from './panels.ts'

/** Series of every restore. `live` keeps those of the agent that spoke last, within 90 s, and said that it runs. */
const all = (metric: string): string => `${metric}{job=~"$job"}`
const running = `(restore_status{job=~"$job", restore_state="running"} == 1)`
const inPhase = `(${all('restore_phase_status')} == 1)`
const heartbeat = all('restore_heartbeat_time_seconds')
const alive = `(${heartbeat} == on (restore_id) group_left () max by (restore_id) (${heartbeat}) > time() - 90)`
const live = (expr: string): string =>
  `${expr} and on (restore_id, instance) ${running} and on (restore_id, instance) ${alive}`
const quiet = `100 * (time() - ${all('restore_last_progress_time_seconds')}) / ${all('restore_stall_threshold_seconds')} and ${inPhase}`

const count = (title: string, description: string, expr: string, color: string) =>
  new Stat()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .withTarget(query(expr, { instant: true }))
    .unit('none')
    .colorMode(BigValueColorMode.Background)
    .thresholds(thresholds([null, 'text'], [1, color]))
    .height(4)
    .span(6)

const table = (title: string, description: string) =>
  new Table().title(title).description(description).datasource(PROMETHEUS).span(24)

const hidden = [{ id: 'custom.hidden', value: true }]
const named = (name: string) => [{ id: 'displayName', value: name }]
// biome-ignore lint/suspicious/noTemplateCurlyInString: Grafana's own placeholders
const RESTORE_URL = '/d/restore-agent-restore?var-restore_id=${__value.raw}&${__url_time_range}'
const linkToRestore = [
  ...named('Restore'),
  {
    id: 'links',
    value: [{ title: 'Open', url: RESTORE_URL }],
  },
]

/** Rows of several queries joined by restore, each query's value a column. */
const restoresNow = () =>
  table(
    'Restores now',
    'One row a restore, the one longest without progress first (as a share of what its step may take).',
  )
    .withTarget(query(`max by (restore_id) (${live(quiet)})`, { table: true, refId: 'quiet' }))
    .withTarget(
      query(`max by (restore_id, restore_phase, host_name) (${live(inPhase)})`, { table: true, refId: 'phase' }),
    )
    .withTarget(
      query(`max by (restore_id) (${live(all('restore_progress_percent'))})`, { table: true, refId: 'percent' }),
    )
    .withTarget(
      query(`max by (restore_id) (${live(`${all('restore_phase_progress_percent')} and ${inPhase}`)})`, {
        table: true,
        refId: 'phasePercent',
      }),
    )
    .withTarget(
      query(`1000 * max by (restore_id) (${live(all('restore_eta_time_seconds'))})`, { table: true, refId: 'eta' }),
    )
    .withTransformation({ id: 'joinByField', options: { byField: 'restore_id', mode: 'outer' } })
    .withTransformation({ id: 'sortBy', options: { sort: [{ field: 'Value #quiet', desc: true }] } })
    .unit('none')
    .overrideByName('restore_id', linkToRestore)
    .overrideByName('host_name', named('Host'))
    .overrideByName('restore_phase', named('Phase'))
    .overrideByName('Value #quiet', [
      ...named('Quiet, of threshold'),
      ...withUnit('percent'),
      { id: 'decimals', value: 0 },
      { id: 'custom.cellOptions', value: { type: 'color-background' } },
      { id: 'thresholds', value: thresholds([null, 'green'], [50, 'orange'], [100, 'red']).build() },
    ])
    .overrideByName('Value #percent', [...named('Restore'), ...withUnit('percent')])
    .overrideByName('Value #phasePercent', [...named('Of phase'), ...withUnit('percent')])
    .overrideByName('Value #eta', [...named('Expected end'), ...withUnit('dateTimeFromNow')])
    .overrideByRegexp('^(Time.*|Value #phase)$', hidden)
    .height(9)

export function fleetDashboard(): Dashboard {
  return dashboard(
    'restore-agent-fleet',
    'Restores',
    'All restores now, stalled ones first, and how the earlier ones ended.',
  )
    .withRow(row('Now'))
    .withPanel(
      count(
        'Running',
        'Restores whose agent speaks.',
        `count(${running} and on (restore_id, instance) ${alive}) or vector(0)`,
        'blue',
      ),
    )
    .withPanel(
      count(
        'Stalled',
        'Restores without progress for longer than their step may take.',
        `count(${live(`(${quiet}) >= 100`)}) or vector(0)`,
        'red',
      ),
    )
    .withPanel(
      count(
        'Silent',
        'Restores that said they run, and whose newest agent has said nothing for 90 s: died, or its telemetry does not arrive.',
        `count(max by (restore_id) (last_over_time(${all('restore_heartbeat_time_seconds')}[$__range])) < time() - 90 and on (restore_id) max by (restore_id) (last_over_time(restore_status{job=~"$job", restore_state="running"}[$__range])) == 1 unless on (restore_id) max by (restore_id) (last_over_time(restore_status{job=~"$job", restore_state!="running"}[$__range])) == 1) or vector(0)`,
        'red',
      ),
    )
    .withPanel(
      count(
        'Failed',
        'Restores that failed within the time shown.',
        `count(max by (restore_id) (last_over_time(restore_status{job=~"$job", restore_state="failed"}[$__range])) == 1) or vector(0)`,
        'red',
      ),
    )
    .withPanel(restoresNow())
    .withPanel(
      table(
        'Alerts',
        'What Prometheus fires for restores (deploy/prometheus/alerts.yml; docs/runbooks says what to do).',
      )
        .withTarget(query('ALERTS{alertname=~"Restore.+", alertstate="firing"}', { table: true, refId: 'A' }))
        .unit('none')
        .overrideByName('restore_id', linkToRestore)
        .overrideByRegexp('^(Time|Value|__name__|alertstate)$', hidden)
        .height(6),
    )
    .withRow(row('Course'))
    .withPanel(
      new TimeSeries()
        .title('Progress')
        .description('Percent of each whole restore.')
        .datasource(PROMETHEUS)
        .withTarget(
          query(`max by (restore_id) (${all('restore_progress_percent')} and on (restore_id, instance) ${alive})`, {
            legend: '{{restore_id}}',
          }),
        )
        .unit('percent')
        .min(0)
        .max(100)
        .height(9)
        .span(12),
    )
    .withPanel(
      new TimeSeries()
        .title('Quiet')
        .description('Time without progress as a share of what the running step may take: 100 % is stalled.')
        .datasource(PROMETHEUS)
        .withTarget(query(`max by (restore_id) (${live(quiet)})`, { legend: '{{restore_id}}' }))
        .unit('percent')
        .min(0)
        .height(9)
        .span(12),
    )
    .withPanel(
      table('How they ended', 'The last state of each restore within the time shown.')
        .withTarget(
          query(
            `max by (restore_id, restore_state, host_name) (last_over_time(restore_status{job=~"$job", restore_state!="running"}[$__range]) == 1)`,
            {
              table: true,
              refId: 'A',
            },
          ),
        )
        .unit('none')
        .overrideByName('restore_id', linkToRestore)
        .overrideByRegexp('^(Time|Value)$', hidden)
        .height(8),
    )
    .withRow(row('Telemetry itself'))
    .withPanel(
      new TimeSeries()
        .title("Collector's queues")
        .description('Batches that wait on disk for a backend. Grows while one is away, and drains afterwards.')
        .datasource(PROMETHEUS)
        .withTarget(
          query('sum by (exporter) (otelcol_exporter_queue_size{job="otel-collector"})', { legend: '{{exporter}}' }),
        )
        .unit('none')
        .min(0)
        .height(7)
        .span(12),
    )
    .withPanel(
      new TimeSeries()
        .title('Metric points that passed the collector')
        .description('Points a second that the agents sent.')
        .datasource(PROMETHEUS)
        .withTarget(
          query(
            'sum by (receiver) (rate(otelcol_receiver_accepted_metric_points_total{job="otel-collector"}[$__rate_interval]))',
            {
              legend: '{{receiver}}',
            },
          ),
        )
        .unit('none')
        .min(0)
        .height(7)
        .span(12),
    )
    .build()
}
