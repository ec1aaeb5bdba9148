import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from 'yaml'

/** docs/telemetry.md, the dashboards, the alerts and the runbooks agree with the metrics that the agent registers. */
const text = (path: string) => readFileSync(join(import.meta.dirname, '../..', path), 'utf8')

const ATTRIBUTES = ['id', 'phase', 'state', 'step', 'backup', 'window.state'].map(name => `restore.${name}`)
const registered = [...text('src/telemetry/metrics.ts').matchAll(/'(restore\.[a-z_.]+)'/g)]
  .map(match => match[1]!)
  .filter(name => !ATTRIBUTES.includes(name))

/** Names in the first column of the metrics table. */
const documented = text('docs/telemetry.md')
  .split('\n## ')
  .find(section => section.startsWith('Metrics\n'))!
  .split('\n')
  .filter(line => line.startsWith('| restore.'))
  .flatMap(line => line.split('|')[1]!.match(/restore\.[a-z_.]+[a-z]/g)!)

test('docs/telemetry.md has every registered metric and no other', () => {
  expect(documented.length).toBeGreaterThan(25)
  expect([...documented].sort()).toEqual([...new Set(registered)].sort())
})

test('every metric in dashboards and alerts is a registered one', () => {
  const known = registered.map(name => name.replaceAll('.', '_'))
  const used = ['deploy/grafana/restore.json', 'deploy/grafana/fleet.json', 'deploy/prometheus/alerts.yml'].flatMap(
    path =>
      [...text(path).matchAll(/\b(restore_[a-z_]+?)(_percent|_seconds|_bytes)?(_total|_sum)?[{[]/g)].map(
        match => match[1]!,
      ),
  )
  expect(used.length).toBeGreaterThan(50)
  expect([...new Set(used)].filter(name => !known.includes(name))).toEqual([])
})

test('every alert has its runbook', () => {
  const { groups } = parse(text('deploy/prometheus/alerts.yml')) as { groups: { rules: { alert?: string }[] }[] }
  for (const { alert } of groups.flatMap(({ rules }) => rules)) {
    if (alert === undefined) continue
    expect(text(`docs/runbooks/${alert}.md`)).toMatch(new RegExp(`^# ${alert}\n`))
  }
})
