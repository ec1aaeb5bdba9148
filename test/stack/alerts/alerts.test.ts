import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { binary } from '../binaries.ts'
import { filledIn, panelQueries } from '../run/queries.ts'
import { agentSeries } from './agent-series.ts'
import { ALERT_CASES, type AlertCase } from './cases.ts'
import { mutantsOf, type Rule } from './mutants.ts'
import { testRules } from './promtool.ts'

const text = await readFile(new URL('../../../deploy/prometheus/alerts.yml', import.meta.url), 'utf8')
const rules = (parse(text) as { groups: [{ rules: Rule[] }] }).groups[0].rules
const recorded = rules.filter(rule => rule.record !== undefined)
const promtool = await binary('promtool')

const rulesFile = (mine: readonly Rule[]) => stringify({ groups: [{ name: 'restore-agent', rules: mine }] })
const speaksOf = (rule: Rule) => (alertCase: AlertCase) =>
  rule.record !== undefined || alertCase.looks.some(({ firing }) => firing.some(({ alert }) => alert === rule.alert))

describe('alerts.yml', () => {
  test.each(ALERT_CASES.map(alertCase => [alertCase.name, alertCase] as const))('%s', async (_, alertCase) => {
    expect(await testRules(promtool, text, [alertCase])).toBeNull()
  })

  test('every alert fires in some case', () => {
    const fired = new Set(ALERT_CASES.flatMap(({ looks }) => looks.flatMap(({ firing }) => firing.map(f => f.alert))))
    expect([...fired].sort()).toEqual([...new Set(rules.flatMap(rule => rule.alert ?? []))].sort())
  })
})

/** Of one restore, every 10 s for 5 minutes. */
const seriesOf = (name: string, value: (index: number) => number, more = '') => ({
  series: `${name}{job="restore-agent",instance="a",host_name="db1",restore_id="r1"${more}}`,
  values: Array.from({ length: 31 }, (_, index) => value(index)).join(' '),
})
const panelsOf = (title: string) =>
  panelQueries
    .filter(({ dashboard, panel }) => dashboard === 'Restore' && panel === title)
    .map(({ expr }) => ({ expr: filledIn(expr, 'r1'), at: 300 }))

test('the dashboard’s panels of binlogs: bytes, transactions a second, and the age of the data', async () => {
  const series = [
    ...agentSeries({ to: 300, phases: [{ phase: 'applying_binlogs', progress: t => t, threshold: 240 }] }),
    seriesOf('restore_binlog_applied_bytes', index => 1000 * index),
    seriesOf('restore_binlog_target_bytes', () => 50_000),
    seriesOf('restore_binlog_transactions_total', index => 70 * index),
    seriesOf('restore_recovery_point_time_seconds', () => -3600),
  ]
  const values = { Binlogs: [30_000, 50_000], Transactions: [7], 'Age of the data': [3900] }
  const queries = Object.entries(values).flatMap(([title, expected]) => {
    const found = panelsOf(title)
    expect(found).toHaveLength(expected.length)
    return found.map((query, index) => ({ ...query, value: expected[index]! }))
  })
  expect(await testRules(promtool, text, [{ name: 'binlogs', series, looks: [], queries }])).toBeNull()
})

test('the dashboard’s panel of requests to a source: those under way, and retries a minute by what failed', async () => {
  const series = [
    seriesOf('restore_source_windows', index => index, ',restore_backup="1",restore_window_state="active"'),
    seriesOf('restore_source_retries_total', index => 2 * index, ',restore_backup="1",error_type="reset"'),
  ]
  const [windows, retries, ...others] = panelsOf('Requests to the source')
  expect(others).toEqual([])
  const queries = [
    { ...windows!, value: 30, labels: '{restore_window_state="active"}' },
    { ...retries!, value: 12, labels: '{error_type="reset"}' },
  ]
  expect(await testRules(promtool, text, [{ name: 'source', series, looks: [], queries }])).toBeNull()
})

// A rule whose clause can be broken without any case noticing is a rule nobody tested.
describe.each(rules.map((rule, index) => [rule.alert ?? rule.record!, index] as const))(
  'mutants of %s (%i)',
  (_, index) => {
    const original = rules[index]!
    const others =
      original.alert === undefined ? rules : rules.filter(r => r.alert === original.alert || recorded.includes(r))
    const first = ALERT_CASES.filter(speaksOf(original))
    const then = ALERT_CASES.filter(alertCase => !first.includes(alertCase))

    test.concurrent.each([...mutantsOf(original)].map(({ broken, rule }) => [broken, rule] as const))(
      '%s is noticed',
      async (_broken, rule) => {
        const mutated = rulesFile(others.map(other => (other === original ? rule : other)))
        const noticed = (await testRules(promtool, mutated, first)) ?? (await testRules(promtool, mutated, then))
        expect(noticed).not.toBeNull()
      },
    )
  },
)
