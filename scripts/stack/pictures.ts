/**
 * Makes what docs/observability.md shows of a real restore in the real stack: node scripts/stack/pictures.ts. The
 * traces are text on standard output. For Prometheus' own pages it needs chromium and PROMETHEUS_UI, a directory named
 * `prometheus` with the built pages in web/ui/static (Prometheus' Go module holds their source, and its README how to
 * build them).
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { makeBackup } from '../../test/stack/run/make-backup.ts'
import { holdPrepare, startRestore } from '../../test/stack/run/restore.ts'
import { slowly } from '../../test/stack/run/slowly.ts'
import { startStack } from '../../test/stack/run/stack.ts'
import { traceText } from './trace-text.ts'

const S = 1000
const target = join(import.meta.dirname, '../../docs/observability')
const ui = process.env.PROMETHEUS_UI
mkdirSync(target, { recursive: true })
const stack = await startStack({ prometheusDirectory: ui })
const beganMs = Date.now()

async function shoot(name: string, url: string, size: string): Promise<void> {
  const file = join(target, `${name}.png`)
  const shown = [
    '--headless',
    '--no-sandbox',
    '--hide-scrollbars',
    `--window-size=${size}`,
    '--virtual-time-budget=15000',
  ]
  await execa('chromium', [
    ...shown,
    `--user-data-dir=${join(stack.directory, 'chromium')}`,
    `--screenshot=${file}`,
    url,
  ])
}

async function printTrace(title: string, traceId: string): Promise<void> {
  const trace = await stack.jaeger.trace(traceId)
  console.log(`${title}\n\n${traceText(trace!)}`)
}

async function shootGraph(name: string, ...exprs: string[]): Promise<void> {
  if (!ui) return
  const range = `${Math.ceil((Date.now() - beganMs) / S) + 10}s`
  const parameters = exprs.map(
    (expr, i) => `g${i}.expr=${encodeURIComponent(expr)}&g${i}.tab=graph&g${i}.range_input=${range}`,
  )
  await shoot(name, `${stack.prometheus.url}/query?${parameters.join('&')}`, `1300,${110 + 790 * exprs.length}`)
}

try {
  const backup = await makeBackup(stack.directory)
  const directory = join(stack.directory, 'restore')
  mkdirSync(directory)
  const restore = startRestore({
    sources: [backup],
    directory,
    otlpUrl: stack.otlpUrl,
    exportIntervalMs: 2000,
    flags: ['--use-memory', '64M', '--start-check', '--owner', 'nobody:nogroup', '--stall-timeout', '60s'],
  })
  let letGo = slowly(restore, { workMs: 6, pauseMs: 250 })
  await restore.until('prepare', ({ phase, tools }) => phase === 'preparing_backup' && tools.length > 0, 120 * S)
  letGo()
  const held = await holdPrepare(restore)
  const { traceId } = restore.state()!.trace
  await sleep(100 * S)
  await printTrace('In mid-flight', traceId)
  if (ui) await shoot('prometheus-alerts', `${stack.prometheus.url}/alerts?state=firing`, '1300,290')
  process.kill(-held, 'SIGCONT')
  letGo = slowly(restore, { workMs: 20, pauseMs: 900 })
  await sleep(30 * S)
  letGo()
  await restore.ended
  await sleep(5 * S)
  await printTrace('After its end', traceId)
  await shootGraph(
    'prometheus-progress',
    'max by (restore_phase) (restore_phase_progress_percent and restore_phase_status == 1)',
    'max by (restore_phase) (time() - restore_last_progress_time_seconds and restore_phase_status == 1)',
  )
} finally {
  await stack.stop()
}
