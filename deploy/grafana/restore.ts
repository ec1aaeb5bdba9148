import { PanelBuilder as BarGauge } from '@grafana/grafana-foundation-sdk/bargauge'
import {
  AxisPlacement,
  BigValueColorMode,
  BigValueTextMode,
  ReduceDataOptionsBuilder,
} from '@grafana/grafana-foundation-sdk/common'
import {
  type Dashboard,
  DashboardLinkBuilder,
  DashboardLinkType,
  QueryVariableBuilder,
  VariableHide,
  VariableRefresh,
  VariableSort,
} from '@grafana/grafana-foundation-sdk/dashboard'
import { PanelBuilder as Gauge } from '@grafana/grafana-foundation-sdk/gauge'
import { PanelBuilder as Logs } from '@grafana/grafana-foundation-sdk/logs'
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat'
import { PanelBuilder as StateTimeline } from '@grafana/grafana-foundation-sdk/statetimeline'
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table'
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries'
import {
  dashboard,
  fixedColor,
  JAEGER,
  LOKI,
  logQuery,
  PROMETHEUS,
  query,
  row,
  STATE_COLORS,
  thresholds,
  traceSearch,
  withUnit,
} from './panels.ts'

/**
 * Series of this restore. What ended, a phase or an agent, answers for five minutes more: join with `inPhase` or `live`
 * where it matters. `live` is restore:live_agent of alerts.yml, made here of what was sent, so that it is there also
 * for an outage that a queue filled afterwards.
 */
const of = (metric: string, matchers = ''): string => `${metric}{job=~"$job", restore_id="$restore_id"${matchers}}`
const heartbeat = of('restore_heartbeat_time_seconds')
const live = `and on (restore_id, instance) (${heartbeat} == on (restore_id) group_left () max by (restore_id) (${heartbeat}) > time() - 90)`
const now = (metric: string): string => `${of(metric)} ${live}`
const inPhase = `(${of('restore_phase_status')} == 1 ${live})`
const running = (metric: string): string => `${of(metric)} and ${inPhase}`
const lastIn = (metric: string): string => `last_over_time(${of(metric)}[$__range])`
/** A rate per second, over at least four exports. */
const rateOf = (metric: string): string => `rate(${of(metric)}[$__rate_interval])`

const last = () => new ReduceDataOptionsBuilder().calcs(['lastNotNull'])

const stat = (title: string, description: string) =>
  new Stat()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .height(4)
    .span(4)
    .reduceOptions(last())
    .noValue('unknown')
const gauge = (title: string, description: string) =>
  new Gauge()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .height(6)
    .span(4)
    .unit('percent')
    .min(0)
    .max(100)
    .thresholds(thresholds([null, 'blue'], [100, 'green']))
    .reduceOptions(last())
    .noValue('unknown')
const series = (title: string, description: string, unit: string) =>
  new TimeSeries()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .unit(unit)
    .height(8)
    .span(12)
    .fillOpacity(8)
    .lineWidth(2)
const timeline = (title: string, description: string, height: number) =>
  new StateTimeline()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .height(height)
    .span(24)
    .unit('none')
    .mergeValues(true)
    .axisPlacement(AxisPlacement.Auto)
    .mappings([{ type: 'value', options: { '1': { text: 'running', color: 'blue', index: 0 } } }] as never)

export function restoreDashboard(): Dashboard {
  const built = dashboard(
    'restore-agent-restore',
    'Restore',
    'One restore: where it is, how it goes, when it ends, what it says.',
  )
    .withVariable(
      new QueryVariableBuilder('restore_id')
        .label('Restore')
        .datasource(PROMETHEUS)
        .query('label_values(restore_status{job=~"$job"}, restore_id)')
        // Ids begin with the time: the newest is first, and the one shown.
        .sort(VariableSort.AlphabeticalDesc)
        .refresh(VariableRefresh.OnTimeRangeChanged),
    )
    .withVariable(
      new QueryVariableBuilder('service')
        .label('Service')
        .datasource(PROMETHEUS)
        .query('label_values(restore_status{job=~"$job", restore_id="$restore_id"}, job)')
        // With a service.namespace, the job is namespace/name.
        .regex('/([^/]+)$/')
        .hide(VariableHide.HideVariable)
        .refresh(VariableRefresh.OnTimeRangeChanged),
    )
    .link(
      new DashboardLinkBuilder('All restores')
        .type(DashboardLinkType.Link)
        .url('/d/restore-agent-fleet')
        .keepTime(true),
    )

  const status = stat('State', 'What the agent that spoke last said of the whole restore.')
    .withTarget(
      query(
        `${lastIn('restore_status')} == 1 and on (instance) (${lastIn('restore_heartbeat_time_seconds')} == on () group_left () max(${lastIn('restore_heartbeat_time_seconds')}))`,
        { legend: '{{restore_state}}', instant: true },
      ),
    )
    .unit('none')
    .textMode(BigValueTextMode.Name)
    .colorMode(BigValueColorMode.Background)
  for (const [state, color] of Object.entries(STATE_COLORS)) status.overrideByName(state, fixedColor(color))

  return built
    .withRow(row('Now'))
    .withPanel(status)
    .withPanel(
      stat(
        'Expected end',
        'When the restore is expected to end, and the range of that estimate. Unknown while there is no evidence.',
      )
        .withTarget(query(`1000 * max(${now('restore_eta_time_seconds')})`, { legend: 'expected', refId: 'A' }))
        .withTarget(
          query(`1000 * max(${now('restore_eta_earliest_time_seconds')})`, { legend: 'earliest', refId: 'B' }),
        )
        .withTarget(query(`1000 * max(${now('restore_eta_latest_time_seconds')})`, { legend: 'latest', refId: 'C' }))
        .unit('dateTimeFromNow')
        .span(8),
    )
    .withPanel(
      stat('Since progress', 'How long progress has not moved, and how much of what this step may take that is.')
        .withTarget(
          query(`time() - max(${running('restore_last_progress_time_seconds')})`, {
            legend: 'since',
            refId: 'A',
            instant: true,
          }),
        )
        .withTarget(
          query(
            `100 * max((time() - ${of('restore_last_progress_time_seconds')}) / ${of('restore_stall_threshold_seconds')} and ${inPhase})`,
            { legend: 'of threshold', refId: 'B', instant: true },
          ),
        )
        .unit('s')
        .overrideByName('of threshold', [
          ...withUnit('percent'),
          { id: 'thresholds', value: thresholds([null, 'green'], [50, 'orange'], [100, 'red']).build() },
        ])
        .span(6),
    )
    .withPanel(
      stat(
        'Before the deadline',
        'Time between the expected end and the deadline; below zero it is at risk. Unknown without a deadline.',
      )
        .withTarget(query(`max(${now('restore_deadline_time_seconds')}) - max(${now('restore_eta_time_seconds')})`))
        .unit('s')
        .thresholds(thresholds([null, 'red'], [0, 'green'])),
    )
    .withPanel(
      stat('Attempts', 'Attempts begun, over all agents of this restore.')
        .withTarget(query(`sum(${lastIn('restore_attempts_total')})`, { instant: true }))
        .unit('none')
        .thresholds(thresholds([null, 'green'], [2, 'orange']))
        .span(2),
    )
    .withPanel(
      gauge('Restore', 'Percent of the whole restore.').withTarget(query(`max(${now('restore_progress_percent')})`)),
    )
    .withPanel(
      gauge('Phase', 'Percent of the phase now running. 100 only after the tool ended well and every check passed.')
        .withTarget(query(running('restore_phase_progress_percent'), { legend: '{{restore_phase}}', instant: true }))
        .span(6),
    )
    .withPanel(
      stat('Chain', 'Element of the chain now worked on, and elements in all.')
        .withTarget(query(`max(${now('restore_chain_position')})`, { legend: 'element', refId: 'A' }))
        .withTarget(query(`max(${now('restore_chain_length')})`, { legend: 'of', refId: 'B' }))
        .unit('none')
        .height(6)
        .span(4),
    )
    .withPanel(
      new BarGauge()
        .title('Phases that ended')
        .description('How long each ended phase took.')
        .datasource(PROMETHEUS)
        .withTarget(
          query(`sum by (restore_phase) (${lastIn('restore_phase_duration_seconds_sum')})`, {
            legend: '{{restore_phase}}',
            instant: true,
          }),
        )
        .unit('s')
        .min(0)
        .height(6)
        .span(6)
        .reduceOptions(last()),
    )
    .withPanel(
      stat('Errors', 'Errors by type. Every type is sent from the start with 0; only those that happened are shown.')
        .withTarget(
          query(`sum by (error_type) (${lastIn('restore_errors_total')}) > 0`, {
            legend: '{{error_type}}',
            refId: 'A',
            instant: true,
          }),
        )
        .withTarget(query(`sum(${lastIn('restore_errors_total')}) == 0`, { legend: 'none', refId: 'B', instant: true }))
        .unit('none')
        .textMode(BigValueTextMode.ValueAndName)
        .thresholds(thresholds([null, 'green'], [1, 'red']))
        .height(6),
    )
    .withRow(row('Course'))
    .withPanel(
      timeline('Phases', 'The phase that runs. A gap: nothing arrived.', 7).withTarget(
        query(`max by (restore_phase) (${now('restore_phase_status')}) == 1`, { legend: '{{restore_phase}}' }),
      ),
    )
    .withPanel(
      timeline('Steps', 'The step inside the phase.', 7).withTarget(
        query(`max by (restore_phase, restore_step) (${now('restore_step_status')}) == 1`, {
          legend: '{{restore_step}}',
        }),
      ),
    )
    .withPanel(
      series('Progress', "The whole restore, the phase, and MyHoard's number for prepare.", 'percent')
        .withTarget(query(`max(${now('restore_progress_percent')})`, { legend: 'restore', refId: 'A' }))
        .withTarget(
          query(`max by (restore_phase) (${running('restore_phase_progress_percent')})`, {
            legend: '{{restore_phase}}',
            refId: 'B',
          }),
        )
        .withTarget(
          query(`max(${running('restore_prepare_scan_progress_percent')})`, {
            legend: 'scan (as MyHoard counts)',
            refId: 'C',
          }),
        )
        .min(0)
        .max(100),
    )
    .withPanel(
      series('Time left', 'Expected time until the end of the restore, with its range.', 's')
        .withTarget(query(`max(${now('restore_eta_time_seconds')}) - time()`, { legend: 'expected', refId: 'A' }))
        .withTarget(
          query(`max(${now('restore_eta_earliest_time_seconds')}) - time()`, { legend: 'earliest', refId: 'B' }),
        )
        .withTarget(query(`max(${now('restore_eta_latest_time_seconds')}) - time()`, { legend: 'latest', refId: 'C' })),
    )
    .withPanel(
      series(
        'Quiet',
        'Time since progress moved and since the tool last did anything, against what this step may take.',
        's',
      )
        .withTarget(
          query(`time() - max(${running('restore_last_progress_time_seconds')})`, {
            legend: 'since progress',
            refId: 'A',
          }),
        )
        .withTarget(
          query(`time() - max(${running('restore_activity_time_seconds')})`, { legend: 'since activity', refId: 'B' }),
        )
        .withTarget(query(`max(${running('restore_stall_threshold_seconds')})`, { legend: 'threshold', refId: 'C' }))
        .overrideByName('threshold', fixedColor('red'))
        .min(0),
    )
    .withPanel(
      series('Heartbeat', 'Time since the last export of each agent process of this restore.', 's').withTarget(
        query(`time() - ${of('restore_heartbeat_time_seconds')}`, { legend: '{{instance}}' }),
      ),
    )
    .withRow(row('Work'))
    .withPanel(
      series('Throughput', "Bytes of the source read, and the tools' I/O.", 'Bps')
        .withTarget(
          query(`sum(deriv(${of('restore_source_read_bytes')}[$__rate_interval]))`, { legend: 'source', refId: 'A' }),
        )
        .withTarget(
          query(`sum by (disk_io_direction) (${rateOf('restore_tool_io_bytes_total')})`, {
            legend: 'tool {{disk_io_direction}}',
            refId: 'B',
          }),
        ),
    )
    .withPanel(
      series('Tool CPU', "Cores that the tools' processes use.", 'none').withTarget(
        query(`sum by (restore_phase) (${rateOf('restore_tool_cpu_seconds_total')})`, { legend: '{{restore_phase}}' }),
      ),
    )
    .withPanel(
      series(
        'Requests to the source',
        'Of a URL: requests whose bytes are under way (none waits: the source is slow), and requests whose bytes wait for the tool (the tool is slow). Retries a minute, by what failed.',
        'none',
      )
        .withTarget(
          query(`sum by (restore_window_state) (${of('restore_source_windows')})`, {
            legend: '{{restore_window_state}}',
            refId: 'A',
          }),
        )
        .withTarget(
          query(`60 * sum by (error_type) (${rateOf('restore_source_retries_total')})`, {
            legend: 'retries a minute: {{error_type}}',
            refId: 'B',
          }),
        ),
    )
    .withPanel(
      series('Source', 'Bytes read of the backup as it is stored, and their total where known.', 'bytes')
        .withTarget(
          query(`max by (restore_backup) (${of('restore_source_read_bytes')})`, {
            legend: '{{restore_backup}}',
            refId: 'A',
          }),
        )
        .withTarget(
          query(`max by (restore_backup) (${of('restore_source_size_bytes')})`, {
            legend: '{{restore_backup}} in all',
            refId: 'B',
          }),
        ),
    )
    .withPanel(
      series('Redo log', 'LSNs: read, applied, and where recovery ends.', 'none')
        .withTarget(
          query(`max by (restore_backup) (${of('restore_prepare_redo_scanned_bytes')})`, {
            legend: 'scanned {{restore_backup}}',
            refId: 'A',
          }),
        )
        .withTarget(
          query(`max by (restore_backup) (${of('restore_prepare_redo_applied_bytes')})`, {
            legend: 'applied {{restore_backup}}',
            refId: 'B',
          }),
        )
        .withTarget(
          query(`max by (restore_backup) (${of('restore_prepare_redo_target_bytes')})`, {
            legend: 'target {{restore_backup}}',
            refId: 'C',
          }),
        ),
    )
    .withPanel(
      series(
        'Rows to roll back',
        'Rows of uncommitted transactions left to undo. mariadb-backup leaves them to the server.',
        'none',
      ).withTarget(
        query(`max by (restore_backup) (${of('restore_prepare_rollback_rows')})`, { legend: '{{restore_backup}}' }),
      ),
    )
    .withPanel(
      series('Lines of the tools', 'Lines a second that the tools print, and those not passed on.', 'none')
        .withTarget(
          query(`sum by (restore_phase) (${rateOf('restore_tool_lines_total')})`, {
            legend: '{{restore_phase}}',
            refId: 'A',
          }),
        )
        .withTarget(
          query(`sum(${rateOf('restore_tool_lines_dropped_total')})`, { legend: 'not passed on', refId: 'B' }),
        ),
    )
    .withRow(row('Binlogs'))
    .withPanel(
      series('Binlogs', 'Bytes of binlogs applied, and to be applied until the target.', 'bytes')
        .withTarget(query(`max(${now('restore_binlog_applied_bytes')})`, { legend: 'applied', refId: 'A' }))
        .withTarget(query(`max(${now('restore_binlog_target_bytes')})`, { legend: 'target', refId: 'B' })),
    )
    .withPanel(
      series('Transactions', 'Transactions of binlogs applied a second.', 'none').withTarget(
        query(`sum(${rateOf('restore_binlog_transactions_total')})`, { legend: 'applied' }),
      ),
    )
    .withPanel(
      series(
        'Age of the data',
        'Time since the commit that was applied last; without binlogs, since the end of the backup.',
        's',
      ).withTarget(query(`time() - max(${now('restore_recovery_point_time_seconds')})`, { legend: 'age' })),
    )
    .withRow(row('Words and trace'))
    .withPanel(
      new Table()
        .title('Trace')
        .description(
          'The trace of this restore: from its first second, with every finished phase and a progress span every 10 %.',
        )
        .datasource(JAEGER)
        .withTarget(traceSearch('$service', 'restore.id=$restore_id'))
        .unit('none')
        .height(6)
        .span(24),
    )
    .withPanel(
      new Logs()
        .title('Log')
        .description("What the agent says, and the tools' own lines.")
        .datasource(LOKI)
        .withTarget(logQuery('{service_name="$service"} | restore_id="$restore_id"'))
        .height(12)
        .span(24)
        .showTime(true)
        .wrapLogMessage(true),
    )
    .build()
}
