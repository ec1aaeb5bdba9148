/**
 * Writes the dashboards' JSON beside their sources (`npm run dashboards`). The JSON is committed, so that Grafana needs
 * nothing of ours; test/deploy/dashboards.test.ts fails when it is not what these files make.
 */
import { writeFile } from 'node:fs/promises'
import { fleetDashboard } from './fleet.ts'
import { restoreDashboard } from './restore.ts'

export const DASHBOARDS = { restore: restoreDashboard, fleet: fleetDashboard } as const

export const dashboardJson = (name: keyof typeof DASHBOARDS): string =>
  `${JSON.stringify(DASHBOARDS[name](), null, 2)}\n`

if (import.meta.main) {
  for (const name of Object.keys(DASHBOARDS) as (keyof typeof DASHBOARDS)[])
    await writeFile(new URL(`${name}.json`, import.meta.url), dashboardJson(name))
}
