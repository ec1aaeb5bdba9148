import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, inject, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { freePort } from '../../scripts/sample/server.ts'
import { binary } from './binaries.ts'
import { type Daemon, startDaemon } from './run/daemon.ts'
import { type Prometheus, prometheusAt } from './run/prometheus.ts'
import { NOT_IN_EVERY_RESTORE, panelQueries, ruleExpressions, selectorsOf, withoutData } from './run/queries.ts'
import { eventually, holdPrepare, type Restore, startRestore } from './run/restore.ts'
import { makeService, ROOT, type Service } from './run/services.ts'
import { slowly } from './run/slowly.ts'

/**
 * A site without OTLP: a real Prometheus, with the alerts of this repository and the scrape configuration of
 * docs/telemetry.md, scrapes a restore and then a daemon. Dashboards and alerts must work as they do by OTLP.
 */
const S = 1000
const STALL_S = 60

let directory: string
let service: Service
let prometheus: Prometheus
let port: number
let beganS: number
let restore: Restore
let daemon: Daemon | undefined
const env = () => ({
  OTEL_METRICS_EXPORTER: 'prometheus',
  OTEL_EXPORTER_PROMETHEUS_HOST: '127.0.0.1',
  OTEL_EXPORTER_PROMETHEUS_PORT: String(port),
})

/** The block in docs/telemetry.md, with this test's address, more often. */
function documentedScrape(): object {
  const [, block] = /^```yaml\n(scrape_configs:.*?)^```/ms.exec(readFileSync(join(ROOT, 'docs/telemetry.md'), 'utf8'))!
  expect(block).toContain('localhost:9464')
  const { scrape_configs } = parse(block!.replace('localhost:9464', `127.0.0.1:${port}`)) as {
    scrape_configs: object[]
  }
  return { scrape_configs: scrape_configs.map(scrape => ({ ...scrape, scrape_interval: '2s' })) }
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'restore-agent-scrape-'))
  port = await freePort()
  const address = `127.0.0.1:${await freePort()}`
  const deployed = join(ROOT, 'deploy/prometheus')
  const config = { ...parse(readFileSync(join(deployed, 'prometheus.yml'), 'utf8')), ...documentedScrape() }
  config.rule_files = [join(deployed, 'alerts.yml')]
  writeFileSync(join(directory, 'prometheus.yml'), stringify(config))
  service = makeService({
    file: await binary('prometheus'),
    args: [
      `--config.file=${join(directory, 'prometheus.yml')}`,
      `--storage.tsdb.path=${join(directory, 'tsdb')}`,
      `--web.listen-address=${address}`,
    ],
    cwd: directory,
    log: join(directory, 'prometheus.log'),
    readyUrl: `http://${address}/-/ready`,
  })
  await service.start()
  prometheus = prometheusAt(`http://${address}`)
  beganS = Date.now() / S
})
afterAll(async () => {
  restore?.kill('SIGKILL')
  await daemon?.stop()
  await service?.stop()
  await rm(directory, { recursive: true, force: true })
})

test(
  'RestoreStalled fires for a stopped tool, and ends when it goes on',
  async () => {
    const folder = join(directory, 'restore')
    mkdirSync(folder)
    restore = startRestore({
      sources: [inject('backup')],
      directory: folder,
      flags: ['--use-memory', '64M', '--stall-timeout', `${STALL_S}s`, '--deadline', '2h'],
      env: env(),
    })
    let letGo = slowly(restore, { workMs: 6, pauseMs: 250 })
    await restore.until('prepare', ({ phase, tools }) => phase === 'preparing_backup' && tools.length > 0, 90 * S)
    letGo()
    const held = await holdPrepare(restore)
    const [alert] = await eventually('RestoreStalled', 2 * STALL_S * S, async () => {
      const firing = await prometheus.firing('RestoreStalled')
      return firing.length > 0 && firing
    })
    expect(alert).toMatchObject({ restore_id: restore.state()!.restoreId, restore_phase: 'preparing_backup' })
    process.kill(-held, 'SIGCONT')
    letGo = slowly(restore, { workMs: 20, pauseMs: 900 })
    await eventually('its end', 45 * S, async () => (await prometheus.firing('RestoreStalled')).length === 0)
    letGo()
    const { exitCode, stderr } = await restore.ended
    expect(exitCode, stderr).toBe(0)
  },
  6 * 60 * S,
)

test(
  'the daemon: one restore that succeeds; then RestoreFailed fires for one that fails',
  async () => {
    const truncated = join(directory, 'truncated.xb.zst')
    const whole = readFileSync(inject('backup'))
    writeFileSync(truncated, whole.subarray(0, Math.floor(whole.length / 2)))
    const folder = join(directory, 'daemon')
    mkdirSync(folder)
    daemon = await startDaemon(folder, { whole: inject('backup'), truncated }, env())
    const status = (restoreId: string, word: string) => async () =>
      (await prometheus.query(`restore_status{restore_id="${restoreId}",restore_state="${word}"} == 1`)).length > 0
    const good = await daemon.post('whole')
    expect(await daemon.ended()).toBe('succeeded')
    await eventually('its success', 15 * S, status(good, 'succeeded'))
    const bad = await daemon.post('truncated')
    expect(await daemon.ended()).not.toBe('succeeded')
    await eventually('its failure', 15 * S, status(bad, 'failed'))
    const firing = await eventually('RestoreFailed', 40 * S, async () => {
      const found = await prometheus.firing('RestoreFailed')
      return found.length > 0 && found
    })
    expect(firing.map(({ restore_id }) => restore_id)).toEqual([bad])
    // The series of an ended restore may have ended by now.
    const errors = await prometheus.query(`max_over_time(restore_errors_total{restore_id="${bad}"}[5m]) > 0`)
    expect(errors.map(({ labels }) => labels.error_type)).toEqual(['source_truncated'])
    const ofErrors = panelQueries.filter(({ expr }) => /restore_errors_total.* > 0/.test(expr))
    expect(await withoutData(prometheus, ofErrors, bad, beganS)).toEqual([])
  },
  4 * 60 * S,
)

test('every query of the dashboards returns data of the scraped restore', async () => {
  // Panels about the collector have nothing to show where there is none, and the redo log of so small a backup may be
  // applied between two scrapes: restore.test.ts asserts its panel by OTLP.
  const left = /otelcol_|restore_prepare_redo_/
  const queries = panelQueries.filter(({ expr }) => !NOT_IN_EVERY_RESTORE.test(expr) && !left.test(expr))
  expect(queries.length).toBeGreaterThan(20)
  expect(await withoutData(prometheus, queries, restore.state()!.restoreId, beganS)).toEqual([])
})

test.each(ruleExpressions.map(({ name, expr }) => [name, expr] as const))(
  '%s asks for series that were scraped',
  async (_, expr) => {
    for (const selector of await selectorsOf(prometheus, expr))
      expect(await prometheus.query(`last_over_time(${selector}[30m])`), selector).not.toEqual([])
  },
)
