import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { binary } from '../binaries.ts'
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
