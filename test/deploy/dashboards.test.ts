import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { DASHBOARDS, dashboardJson } from '../../deploy/grafana/generate.ts'

const names = Object.keys(DASHBOARDS) as (keyof typeof DASHBOARDS)[]

test.each(names)('%s.json is what its source makes (npm run dashboards)', async name => {
  const committed = await readFile(new URL(`../../deploy/grafana/${name}.json`, import.meta.url), 'utf8')
  expect(committed).toBe(dashboardJson(name))
})
