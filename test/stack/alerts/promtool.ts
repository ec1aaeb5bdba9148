import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import type { AlertCase } from './cases.ts'

const WHO_WAITS =
  'Ask first who waits for whom: restore_source_windows waiting at 0 is a slow source, above 0 a slow tool.'

const duration = (seconds: number) => `${Math.round(seconds)}s`

function promtoolTest({ name, series, looks, queries = [] }: AlertCase, names: readonly string[], stepS: number) {
  return {
    name,
    interval: duration(stepS),
    input_series: series,
    promql_expr_test: queries.map(({ expr, at, value, labels = '{}' }) => ({
      expr,
      eval_time: duration(at),
      exp_samples: [{ labels, value }],
    })),
    alert_rule_test: looks.flatMap(({ at, firing }) =>
      names.map(alertname => ({
        eval_time: duration(at),
        alertname,
        exp_alerts: firing
          .filter(({ alert }) => alert === alertname)
          .map(({ labels, summary }) => ({
            exp_labels: labels,
            exp_annotations: {
              summary,
              runbook_url: `docs/runbooks/${alertname}.md`,
              ...(alertname === 'RestoreStalled' && { description: WHO_WAITS }),
            },
          })),
      })),
    ),
  }
}

/**
 * Runs cases against a rules file's text with `promtool test rules`. Resolves to null when all hold, else to what
 * promtool says. (promtool reads JSON: it is YAML.)
 */
export async function testRules(promtool: string, rules: string, cases: readonly AlertCase[]): Promise<string | null> {
  const directory = await mkdtemp(join(tmpdir(), 'restore-agent-alerts-'))
  try {
    const names = [...new Set([...rules.matchAll(/- alert: (\w+)/g)].map(match => match[1]!))]
    await writeFile(join(directory, 'alerts.yml'), rules)
    const files = await Promise.all(
      [...Map.groupBy(cases, ({ stepS = 10 }) => stepS)].map(async ([stepS, together]) => {
        const file = `every-${stepS}s.json`
        const tests = together.map(alertCase => promtoolTest(alertCase, names, stepS))
        const content = { rule_files: ['alerts.yml'], evaluation_interval: duration(stepS), tests }
        await writeFile(join(directory, file), JSON.stringify(content))
        return file
      }),
    )
    const run = await execa(promtool, ['test', 'rules', ...files], { cwd: directory, reject: false, all: true })
    return run.exitCode === 0 ? null : run.all
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}
